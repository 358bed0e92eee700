"""``lightmine export``."""

from __future__ import annotations

import subprocess
import sys

import click

from lightmine.cli._command import command


@command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def export(arguments: tuple[str, ...]) -> None:
    """Turn a sentence-transformers model into a bundle.

    This needs torch and other packages; the message names those that are missing.

    \b
    Example:
      lightmine export sentence-transformers/all-MiniLM-L6-v2 minilm
    """
    from lightmine.export.requirements import refuse_without_packages

    if not {"-h", "--help"} & set(arguments):
        refuse_without_packages(from_onnx="--from-onnx" in arguments)
    # In a process of its own, so that torch and the runtime are never loaded together.
    sys.exit(subprocess.run([sys.executable, "-m", "lightmine.export", *arguments], check=False).returncode)
