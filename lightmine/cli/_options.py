"""Options that several commands share."""

from __future__ import annotations

import click

from lightmine.cli._command import option, options
from lightmine.encoder.providers import PROVIDERS
from lightmine.io.output import STDOUT
from lightmine.io.pair_writer import FORMATS
from lightmine.loading.bundle import VERIFY

quiet_option = option(
    "Run", "--quiet", "-q", is_flag=True, help="Show no progress and no notes on standard error."
)
json_option = option("Output", "--json", "as_json", is_flag=True, help="Print one JSON object.")
model_option = option(
    "Model", "--model", metavar="MODEL", envvar="LIGHTMINE_MODEL", show_envvar=True,
    show_default="static-multilingual",
    help="The model: the folder of a bundle, a directory with an ONNX graph, owner/name[@revision] on a hub, "
    "or a packaged model (static-multilingual or static-tiny).",
)  # fmt: skip
provider_option = option(
    "Model", "--provider", type=click.Choice(PROVIDERS), default="auto",
    help="What runs the model. auto takes the fastest that works here; lightmine info shows which.",
)  # fmt: skip
verify_option = option(
    "Model", "--verify", type=click.Choice(VERIFY), default="full",
    help="How the files of a bundle are checked: by SHA-256 (full), or by their sizes alone.",
)  # fmt: skip
fast_option = option(
    "Encoding", "--fast", is_flag=True,
    help="Run int8 models in batches. It takes less time, and the vector of a sentence then depends a little "
    "on the other sentences of its batch.",
)  # fmt: skip
prompt_options = options(
    option("Encoding", "--prompt", metavar="TEXT", show_default="the model's own",
           help="Text that is put before every sentence."),
    option("Encoding", "--prompt-name", metavar="NAME", show_default="the model's own",
           help="The same, by the name that the model gives it."),
)  # fmt: skip
cache_option = option(
    "Encoding", "--cache", metavar="DIR", envvar="LIGHTMINE_CACHE", show_envvar=True, show_default="no cache",
    help="Folder that keeps embeddings. Texts whose embeddings are in it are not encoded again.",
)  # fmt: skip
top_k_option = option(
    "Mining", "--top-k", type=click.IntRange(1), metavar="N", default=100,
    help="Largest number of partners that a sentence may list.",
)  # fmt: skip
max_pairs_option = option(
    "Mining", "--max-pairs", type=click.IntRange(1), metavar="N", default=500_000,
    help="Largest number of pairs that are kept, the best first.",
)  # fmt: skip
count_from_option = option(
    "Gold", "--count-from", type=click.IntRange(0, 1), metavar="N", default=1,
    help="For text without ids: the number, 0 or 1, that the gold gives to the first line.",
)  # fmt: skip
memory_option = option(
    "Run", "--memory-budget", default="1GiB", metavar="SIZE",
    help="Largest amount of memory that mining may use beyond the embeddings and the result.",
)  # fmt: skip
threads_option = option(
    "Run", "--threads", type=click.IntRange(1), metavar="N", show_default="one for each processor",
    help="Number of threads.",
)  # fmt: skip
resume_option = option(
    "Run", "--resume", metavar="DIR", show_default="nothing is kept",
    help="Folder that keeps the state of the mining. After an interruption the same command resumes there.",
)  # fmt: skip
output_option = option(
    "Output", "--output", "-o", default=STDOUT, metavar="FILE",
    help="File for the pairs: .tsv, .csv, .jsonl (also with .gz, .bz2, .xz, .zst) or .parquet; - is standard "
    "output.",
)  # fmt: skip
format_option = option(
    "Output", "--format", "format_", type=click.Choice(FORMATS),
    show_default="from the file name; a table on a terminal, TSV in a pipe",
    help="Format of the output.",
)  # fmt: skip
