"""The command line; the only place that prints."""

from __future__ import annotations

import sys

import click

from lightmine import __version__
from lightmine.cli._process import (
    PIPE_CLOSED,
    LazyGroup,
    PipeClosed,
    open_standard_streams,
    stop_writing,
)
from lightmine.errors import LightmineError

# In the order that help shows them, and the module of each: only that of the command that runs is imported.
COMMANDS = {
    "paraphrase": "mining", "bitext": "mining", "margin": "mining", "evaluate": "evaluate",
    "calibrate": "calibrate", "encode": "encode", "cache": "cache", "info": "model", "models": "models",
    "pull": "pull", "doctor": "doctor", "export": "model",
}  # fmt: skip


@click.group(
    cls=LazyGroup,
    modules=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="lightmine")
@click.option("--debug", is_flag=True, help="Show a traceback where an error stops the command.")
def cli(debug: bool) -> None:
    """Find paraphrases in a collection of sentences, and translations between two. No PyTorch."""


def main() -> None:
    """Run the command line: one line to stderr and exit status 2 for whatever the user can mend."""
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
    # ONNX Runtime has no exception of its own for it.
    if isinstance(error, MemoryError) or "std::bad_alloc" in str(error):
        return "out of memory; lower --memory-budget or mine fewer sentences at a time"
    return f"unexpected {type(error).__name__}: {error}; run again with --debug and report what it shows"


def _fail(message: str) -> None:
    print(f"lightmine: {message}", file=sys.stderr)
    sys.exit(2)
