"""Measure any bundle against its source: ``python -m lightmine.export.verify BUNDLE --against MODEL``."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import sys
from pathlib import Path

from lightmine.encoder.encoder import Encoder
from lightmine.export import gate
from lightmine.export.arguments import command
from lightmine.export.check import check_of, exit_status, size_of, summary
from lightmine.export.requirements import import_packages
from lightmine.export.source import encode_source, find_source, load_model
from lightmine.loading.bundle import read_manifest


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return 0, 2 for an error that has a message, 3 for a bundle that fails."""
    options = _parser().parse_args(argv)
    return exit_status(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    rows, missed = verify(options)
    print("\n".join(f"{what:<11}{value}" for what, value in rows.items()))
    for what in missed:
        print(f"error: {what}", file=sys.stderr)
    return 3 if missed else 0


def verify(options: argparse.Namespace) -> tuple[dict[str, str], list[str]]:
    """The rows of the table, and the figures that are too low or too high, in words."""
    check = check_of(options)
    folder = Path(options.bundle)
    manifest = read_manifest(folder)
    check.refuse_unreadable()
    sentences, what = check.sentences(manifest.languages)
    encoder = Encoder.load(folder, provider=options.provider)
    import_packages()
    source = find_source(options.against, revision=options.revision)
    model = load_model(source)
    if manifest.dimension < model.get_embedding_dimension():
        model.truncate_dim = manifest.dimension
    figures = gate.measure(
        gate.runner(encoder),
        lambda some: encode_source(model, some),
        sentences=sentences,
        what=what,
        against=f"{source.name}, sentence-transformers {importlib.metadata.version('sentence-transformers')}",
        many=encoder.encode,
        sts=check.sts,
        speed=check.speed,
    )
    figures = dataclasses.replace(figures, megabytes=round(size_of(folder, manifest) / 1e6, 1))
    rows = {"bundle": str(folder), "provider": encoder.provider} | summary(folder, manifest) | figures.rows()
    return rows, gate.shortfalls(figures, manifest, check.require)


def _parser() -> argparse.ArgumentParser:
    parser = command(
        "python -m lightmine.export.verify",
        purpose="Measure a bundle's vectors against its source model's.",
        example="labse --against sentence-transformers/LaBSE",
    )
    parser.add_argument("bundle", metavar="BUNDLE", help="a bundle's folder")
    parser.add_argument("--against", metavar="MODEL", required=True, help="the source: a folder, or a hub id")
    parser.add_argument("--provider", default="cpu", help="cpu, openvino or cuda (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
