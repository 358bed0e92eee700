"""The command line of the export: ``lightmine export``, or ``python -m lightmine.export``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightmine.errors import ArgumentError
from lightmine.export.arguments import export_parser
from lightmine.export.check import VERIFY, check_of, exit_status, table_of
from lightmine.export.requirements import import_packages
from lightmine.export.sentences import CALIBRATION

if TYPE_CHECKING:
    from lightmine.export.recipe import Recipe


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return 0, 2 for an error that has a message, 3 for a bundle that fails."""
    options = export_parser().parse_args(argv)
    return exit_status(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    start = time.monotonic()
    import_packages(from_onnx=options.from_onnx)
    _export(options)
    out = Path(options.out)
    text = (out / VERIFY).read_text(encoding="utf-8")
    rows = {"bundle": str(out)} | table_of(text) | {"took": f"{time.monotonic() - start:.0f} s"}
    print("\n".join(f"{what:<11}{value}" for what, value in rows.items()))
    return 0


def _export(options: argparse.Namespace) -> None:
    common: dict[str, Any] = {
        "recipe": _recipe(options),
        "check": check_of(options),
        "name": options.name,
        "licence": options.licence,
        "force": options.force,
        "report": lambda line: print(line, file=sys.stderr),
    }
    if options.from_onnx:
        from lightmine.export.from_onnx import bundle_directory

        if options.revision or options.truncate_dim or options.exporter != "torch":
            raise ArgumentError("--revision, --truncate-dim and --exporter are not for --from-onnx")
        bundle_directory(
            Path(options.model), Path(options.out), file=options.file, pooling=options.pooling, **common
        )
        return
    from lightmine.export.export import export_bundle

    if options.file or options.pooling:
        raise ArgumentError("--file and --pooling are for --from-onnx")
    export_bundle(
        options.model, options.out, revision=options.revision, truncate_dim=options.truncate_dim,
        exporter=options.exporter, opset=options.opset, **common,
    )  # fmt: skip


def _recipe(options: argparse.Namespace) -> Recipe:
    from lightmine.export.recipe import Recipe

    return Recipe(
        optimize=options.optimize,
        precision=options.precision,
        target=options.target,
        calibration=Path(options.calibrate) if options.calibrate else CALIBRATION,
    )


if __name__ == "__main__":
    sys.exit(main())
