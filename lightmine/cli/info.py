"""``lightmine info``."""

from __future__ import annotations

import json

import click

from lightmine.cli._command import command
from lightmine.cli._options import json_option, provider_option, verify_option
from lightmine.encoder.providers import Provider
from lightmine.encoder.runtime import Runtime
from lightmine.loading.bundle import Verify, manifest_json
from lightmine.loading.resolve import resolve_model
from lightmine.loading.resolved_model import ResolvedModel
from lightmine.system.threads import thread_limit

# The meaning of a manifest's `batch`: what other sentences of the batch do to a vector.
BATCH_EFFECTS = {
    "any": "other sentences of the batch do not change a vector",
    "independent": "other sentences do not change a vector, since each is run alone; with --fast they do",
    "dependent": "other sentences of the batch change a vector a little: it scales values by the batch",
}


@command()
@click.argument("model", required=False, envvar="LIGHTMINE_MODEL")
@json_option
@provider_option
@verify_option
def info(model: str | None, as_json: bool, provider: Provider, verify: Verify) -> None:
    """Show the facts of a model, and what runs it here.

    The files of a bundle are checked. With --json its whole manifest is printed.

    MODEL is the folder of a bundle, a directory with an ONNX graph, owner/name[@revision] on a hub, or a
    packaged model. The default is the model that LIGHTMINE_MODEL names, otherwise static-multilingual.

    \b
    Example:
      lightmine info
    """
    source = resolve_model(model, verify=verify)
    if as_json:
        click.echo(manifest_json(source.manifest), nl=False)
        return
    runtime = Runtime(source.graph, source.manifest, provider=provider)
    manifest = source.with_dimension(runtime.run).manifest
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
        "batch": BATCH_EFFECTS[manifest.batch],
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
