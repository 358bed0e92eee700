"""``lightmine doctor``."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from lightmine.cli._command import command, option
from lightmine.cli._options import json_option


@command()
@json_option
@option("Run", "--seconds", type=click.FloatRange(0, 600), metavar="N", default=10,
        help="Time for the benchmark in seconds; 0 leaves it out.")  # fmt: skip
def doctor(as_json: bool, seconds: float) -> None:
    """Show what works on this machine, and how fast it is.

    Shows the processor, memory, packages and providers, tests each provider, and gives advice. The exit
    status is 1 if no provider works.

    \b
    Example:
      lightmine doctor
    """
    # Here, so that the help of all commands does not import the encoder and the engine.
    from lightmine import __version__
    from lightmine.doctor import examine, is_well

    report = {"lightmine": __version__} | examine(seconds=seconds)
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        for name, value in _lines(report):
            click.echo(f"{name:11} {value}")
    sys.exit(0 if is_well(report) else 1)


def _lines(report: dict[str, Any]) -> list[tuple[str, str]]:
    system, processor, threads, memory = (report[n] for n in ("system", "processor", "threads", "memory"))
    packages = ", ".join(f"{name} {version}" for name, version in report["packages"].items() if version)
    has = [name for name, there in processor["features"].items() if there]
    lines = [
        ("lightmine", f"{report['lightmine']}, Python {system['python']}, {system['platform']}"),
        ("packages", packages),
        (
            "processor",
            f"{processor['name']}: {', '.join(has) or 'none of the relevant features is known'}",
        ),
        ("threads", f"{threads['limit']}, from {threads['source']}"),
        ("memory", _memory(memory)),
    ]
    for name, found in report["providers"].items():
        lines.append((name, ("runs" if found["runs"] else "does not run") + f": {found['detail']}"))
    lines.append(("kernel", _kernel(report["kernel"])))
    if speed := report["benchmark"]:
        lines.append(("encoding", f"{speed['sentences_per_second']:,} sentences a second ({speed['model']})"))
        rate = speed["pairs_per_second"] / 1e6
        what = f"nearest 10 of {speed['rows']:,} random rows of {speed['dimension']}, the hardest case"
        lines.append(("mining", f"{rate:,.0f} million pairs a second ({what})"))
    advice = report["advice"] or ["Nothing to mend."]
    return lines + [("advice" if not place else "", text) for place, text in enumerate(advice)]


def _memory(memory: dict[str, Any]) -> str:
    whole = f"{memory['bytes'] / 2**30:.1f} GiB" if memory["bytes"] else "unknown"
    limit = memory["limit"]
    return whole + (f", of which the container may use {limit / 2**30:.1f} GiB" if limit else "")


def _kernel(kernel: dict[str, Any]) -> str:
    if not kernel["variant"]:
        return f"NumPy: {kernel['reason']}"
    return f"compiled, {kernel['reason']}; its products were compared with integer arithmetic"
