"""``lightmine pull``."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import click

from lightmine.cli._command import command, option
from lightmine.cli._notes import note
from lightmine.cli._options import quiet_option
from lightmine.errors import OutputError
from lightmine.loading.hub import Fetched, fetch
from lightmine.loading.resolve import resolve_model, split_name, write_origin


@command()
@click.argument("model", metavar="OWNER/NAME")
@option(
    "Model", "--revision", metavar="NAME", show_default="the main branch", help="A branch, a tag or a commit."
)
@option(
    "Model",
    "--file",
    metavar="PATH",
    show_default="the only one",
    help="The ONNX file, if the model has several.",
)
@option(
    "Output",
    "--output",
    "-o",
    metavar="FOLDER",
    show_default="the cache of huggingface_hub",
    help="New folder for the files, which can be copied to another machine.",
)
@quiet_option  # fmt: skip
def pull(model: str, revision: str | None, file: str | None, output: str | None, quiet: bool) -> None:
    """Download a model from a hub.

    Only the files that are needed to run it are downloaded. Prints the folder, or with --file the path of the
    graph; every command takes it for --model. The variables HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE and
    HF_HUB_CACHE have the same meaning as for huggingface_hub (extra [hub]).

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
    # A model that cannot be run is refused now, and not on the machine that it is copied to.
    source = resolve_model(fetched.folder, file=file)
    if output is not None:
        place = _copy(fetched, name, Path(output))
    else:
        # The cache can hold other graphs of the model, too.
        place = source.graph if file else source.folder
    size = sum((fetched.folder / part).stat().st_size for part in fetched.files)
    note(f"{name} at {fetched.commit}: {len(fetched.files)} files, {size / 1e6:.1f} MB", quiet=quiet)
    click.echo(place)


def _copy(fetched: Fetched, name: str, out: Path) -> Path:
    """Copy the files (the cache has links) to a folder that appears when it is complete."""
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
