"""``lightmine export``."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import click

from lightmine.cli._command import command
from lightmine.errors import MissingExtraError

# What the exporter imports; with --from-onnx it needs less.
NEEDED = ("torch", "transformers", "sentence_transformers", "onnx")


@command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def export(arguments: tuple[str, ...]) -> None:
    """Turn a sentence-transformers model into a bundle.

    This needs the extra [export].

    \b
    Example:
      lightmine export sentence-transformers/all-MiniLM-L6-v2 minilm
    """
    if {"-h", "--help"} & set(arguments):
        sys.exit(subprocess.run([sys.executable, "-m", "export_scripts.arguments"], check=False).returncode)
    needed = ("onnx",) if "--from-onnx" in arguments else NEEDED
    missing = [name for name in needed if not _there(name)]
    if missing:
        raise MissingExtraError(
            f"exporting needs {', '.join(missing)}, which running does not: "
            "pip install 'lightmine[export]' on the machine that exports"
        )
    # In a process of its own, so that torch and the runtime are never loaded together.
    sys.exit(
        subprocess.run([sys.executable, "-m", "export_scripts.export", *arguments], check=False).returncode
    )


def _there(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
