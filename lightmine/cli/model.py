"""``lightmine info`` and ``lightmine export``."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import click

from lightmine.cli._options import provider_option, verify_option
from lightmine.encoder.runtime import Runtime
from lightmine.errors import MissingExtraError
from lightmine.loading.bundle import manifest_json
from lightmine.loading.resolve import open_source
from lightmine.loading.resolved_model import ResolvedModel
from lightmine.system.threads import thread_limit

# What a manifest's `batch` means to whoever encodes.
BATCH_MATES = {
    "any": "do not change a vector",
    "one": "do not change a vector: sentences are run one at a time; --fast runs them together, and they do",
    "mates": "change a vector a little: this graph scales its numbers by the whole batch",
}


# What the exporter imports; a folder that carries ONNX needs less.
NEEDED = ("torch", "transformers", "sentence_transformers", "onnx")


@click.command()
@click.argument("model", required=False, envvar="LIGHTMINE_MODEL")
@click.option("--json", "as_json", is_flag=True, help="The whole manifest as JSON.")
@provider_option
@verify_option
def info(model: str | None, as_json: bool, provider: str, verify: str) -> None:
    """Show what a model says about itself, a bundle's files checked, and what runs it here.

    MODEL is a bundle's folder, a directory with an ONNX graph, owner/name[@revision] on a hub, or one of the
    packaged models by its name. By default it is what LIGHTMINE_MODEL names, or else static-multilingual.

    \b
    Example:
      lightmine info
    """
    source = open_source(model, verify=verify)
    if as_json:
        click.echo(manifest_json(source.manifest), nl=False)
        return
    runtime = Runtime(source.graph, source.manifest, provider=provider)
    manifest = source.measured(runtime.run).manifest
    limit = thread_limit()
    facts = {
        "model": manifest.name,
        "folder": str(source.folder),
        "graph": source.graph.relative_to(source.folder).as_posix(),
        "source": manifest.source + (f" at {manifest.revision}" if manifest.revision else ""),
        "licence": manifest.licence,
        "languages": " ".join(manifest.languages) or "not stated",
        "dimension": str(manifest.dimension),
        "longest input": f"{manifest.max_tokens} tokens, cut beyond",
        "pooling": manifest.pooling,
        "precision": manifest.precision + (f": {manifest.recipe}" if manifest.recipe else ""),
        "suits": " ".join(manifest.cpus) or "any processor",
        "thresholds": ", ".join(f"{name} {value:g}" for name, value in manifest.thresholds.items())
        or "none recommended",
        "prompts": ", ".join(map(repr, manifest.prompts)) or "none",
        "default prompt": repr(manifest.prompts.get(manifest.default_prompt or "", "")),
        "batch-mates": BATCH_MATES[manifest.batch],
        "size": f"{source.size / 1e6:.1f} MB, {_checked(source)}",
        "parity": json.dumps(manifest.parity, ensure_ascii=False) if manifest.parity else "not measured",
        "runs on": f"{runtime.provider}: {runtime.reason}",
        "threads": f"{limit.threads}, from {limit.source}",
    }
    for name, value in facts.items():
        click.echo(f"{name:15} {value}")


def _checked(source: ResolvedModel) -> str:
    if source.verified:
        return "every file as its SHA-256 says"
    return "sizes as stated, hashes not checked" if source.manifest.files else "no hashes to check it by"


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def export(arguments: tuple[str, ...]) -> None:
    """Turn a sentence-transformers model into a bundle (needs the extra [export]).

    \b
    Example:
      lightmine export sentence-transformers/all-MiniLM-L6-v2 minilm
    """
    if {"-h", "--help"} & set(arguments):
        sys.exit(subprocess.run([sys.executable, "-m", "lightmine.export.arguments"], check=False).returncode)
    needed = ("onnx",) if "--from-onnx" in arguments else NEEDED
    missing = [name for name in needed if not _there(name)]
    if missing:
        raise MissingExtraError(
            f"exporting needs {', '.join(missing)}, which running does not: "
            "pip install 'lightmine[export]' on the machine that exports"
        )
    # A process of its own: nothing of torch is ever loaded beside the runtime.
    sys.exit(
        subprocess.run([sys.executable, "-m", "lightmine.export.export", *arguments], check=False).returncode
    )


def _there(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
