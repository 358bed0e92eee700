"""``lightmine pull``."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import click

from lightmine.cli._options import note, quiet_option
from lightmine.errors import OutputError
from lightmine.loading.hub import Fetched, fetch
from lightmine.loading.resolve import resolve_model, split_name, write_origin


@click.command()
@click.argument("model", metavar="OWNER/NAME")
@click.option("--revision", help="A branch, a tag or a commit; by default the main branch.")
@click.option("--file", metavar="PATH", help="Which ONNX file, where the model has several.")
@click.option(
    "--output",
    "-o",
    metavar="FOLDER",
    help="A new folder for the files, to be copied anywhere; by default they stay in the hub's cache.",
)
@quiet_option
def pull(model: str, revision: str | None, file: str | None, output: str | None, quiet: bool) -> None:
    """Fetch a model from a hub: the files that running it needs, and no others.

    Prints the folder, or with --file the path of that graph, as every command takes it for --model.
    HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE and HF_HUB_CACHE mean what they mean to huggingface_hub (extra
    [hub]).

    \b
    Example:
      lightmine pull sentence-transformers/all-MiniLM-L6-v2 -o minilm
    """
    if output is not None and Path(output).exists():
        raise OutputError(f"{output}: exists; name a new folder")
    name, revision = split_name(model, revision)
    fetched = fetch(
        name, revision=revision, file=file, progress=not quiet,
        unreachable="connect to a network, unset HF_HUB_OFFLINE, or set HF_ENDPOINT to a hub that answers",
    )  # fmt: skip
    # Whatever could not be run is refused now, not on the machine that it is copied to.
    source = resolve_model(fetched.folder, file=file)
    if output is not None:
        place = _copy(fetched, name, Path(output))
    else:
        # The cache may hold other graphs of the model too.
        place = source.graph if file else source.folder
    size = sum((fetched.folder / part).stat().st_size for part in fetched.files)
    note(f"{name} at {fetched.commit}: {len(fetched.files)} files, {size / 1e6:.1f} MB", quiet=quiet)
    click.echo(place)


def _copy(fetched: Fetched, name: str, out: Path) -> Path:
    """Real files, not the cache's links, in a folder that appears whole or not at all."""
    try:
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.absolute().parent) as scratch:
            folder = Path(scratch) / "new"
            for part in fetched.files:
                (folder / part).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(fetched.folder / part, folder / part)
            write_origin(folder, name, fetched.commit)
            folder.rename(out)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror}") from None
    return out
