"""The command line; the only place that prints."""

from __future__ import annotations

import sys

import click

from lightmine import __version__
from lightmine.cli._command import LazyGroup, Option
from lightmine.cli._process import PIPE_CLOSED, PipeClosed, open_standard_streams, stop_writing
from lightmine.errors import LightmineError

# Commands by the heading under which help shows them. Each has a module of its name; only that of the command
# that runs is imported.
SECTIONS = {
    "Mining": ("paraphrase", "bitext", "margin"),
    "Thresholds and quality": ("calibrate", "evaluate"),
    "Embeddings": ("encode", "cache"),
    "Models": ("models", "info", "pull", "export"),
    "This machine": ("doctor",),
}


@click.group(
    cls=LazyGroup,
    package="lightmine.cli",
    sections=SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="lightmine", cls=Option, group="Run")
@click.option("--debug", is_flag=True, cls=Option, group="Run",
              help="Show a traceback if an error stops the command.")  # fmt: skip
def cli(debug: bool) -> None:
    """Find paraphrases in a collection of sentences, and translations between two. No PyTorch."""


def main() -> None:
    """Run the command line: an error is one line on stderr and exit status 2."""
    debug = "--debug" in sys.argv
    open_standard_streams()
    try:
        status = cli.main(standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (PipeClosed, BrokenPipeError):
        stop_writing()
        sys.exit(PIPE_CLOSED)
    except Exception as error:
        if debug:
            raise
        _fail(_message(error))
    sys.exit(status if isinstance(status, int) else 0)


def _message(error: Exception) -> str:
    if isinstance(error, LightmineError):
        return str(error)
    # ONNX Runtime has no exception of its own for missing memory.
    if isinstance(error, MemoryError) or "std::bad_alloc" in str(error):
        return "out of memory; lower --memory-budget or mine fewer sentences at a time"
    return f"unexpected {type(error).__name__}: {error}; run again with --debug and report what it shows"


def _fail(message: str) -> None:
    print(f"lightmine: {message}", file=sys.stderr)
    sys.exit(2)
