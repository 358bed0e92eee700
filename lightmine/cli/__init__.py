"""The command line; the only place that prints."""

from __future__ import annotations

import os
import sys

import click

from lightmine import __version__
from lightmine.cli.cache import cache
from lightmine.cli.calibrate import calibrate
from lightmine.cli.catalogue import models
from lightmine.cli.doctor import doctor
from lightmine.cli.encode import encode
from lightmine.cli.evaluate import evaluate
from lightmine.cli.hub import pull
from lightmine.cli.mining import bitext, margin, paraphrase
from lightmine.cli.model import export, info
from lightmine.cli.signals import INTERRUPTED, PIPE_CLOSED, TERMINATED, Terminated, terminable
from lightmine.errors import LightmineError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="lightmine")
@click.option("--debug", is_flag=True, help="Show a traceback where an error stops the command.")
def cli(debug: bool) -> None:
    """Find paraphrases in a collection of sentences, and translations between two. No PyTorch."""


for _command in (
    paraphrase, bitext, margin, evaluate, calibrate, encode, cache, info, models, pull, doctor, export,
):  # fmt: skip
    cli.add_command(_command)


def main() -> None:
    """Run the command line: one line to stderr and exit status 2 for whatever the user can mend."""
    debug = "--debug" in sys.argv
    try:
        with terminable():
            status = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(INTERRUPTED)
    except Terminated:
        sys.exit(TERMINATED)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has had enough. Nothing more may be written at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(PIPE_CLOSED)
    except Exception as error:
        if debug:
            raise
        _fail(_message(error))
    sys.exit(status if isinstance(status, int) else 0)


def _message(error: Exception) -> str:
    if isinstance(error, LightmineError):
        return str(error)
    if isinstance(error, MemoryError):
        return "out of memory; lower --memory-budget or mine fewer sentences at a time"
    return f"unexpected {type(error).__name__}: {error}; run again with --debug and report what it shows"


def _fail(message: str) -> None:
    print(f"lightmine: {message}", file=sys.stderr)
    sys.exit(2)
