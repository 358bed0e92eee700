"""A bundle before the gate: what it is measured on, its report, and whether it passes."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from pathlib import Path

from export_scripts import gate
from export_scripts.files import keep_rejected
from export_scripts.sentences import EVALUATION, read_scored_pairs, read_sentences
from lightmine.encoding.bundle import Manifest, write_manifest
from lightmine.encoding.encoder import Encoder
from lightmine.errors import ArgumentError

VERIFY = "verify.md"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """What a bundle is measured on, and thresholds that differ from the precision's own."""

    evaluation: Path = EVALUATION
    sts: Path | None = None
    require: Mapping[str, float] = dataclasses.field(default_factory=dict)
    speed: bool = False

    def sentences(self) -> list[str]:
        """The sentences; a file that cannot be read is found out here, before the work."""
        if self.sts is not None:
            read_scored_pairs(self.sts)
        return read_sentences(self.evaluation)


def pass_gate(
    folder: Path,
    manifest: Manifest,
    source: gate.Encode,
    *,
    out: Path,
    sentences: list[str],
    against: str,
    check: Check,
) -> Manifest:
    """Measure the bundle, write what was found into it, and let it pass or keep it aside."""
    encoder = Encoder.load(folder)
    figures = gate.measure(
        gate.runner(encoder),
        source,
        sentences=sentences,
        against=against,
        many=encoder.encode,
        sts=check.sts,
        speed=check.speed,
    )
    figures = dataclasses.replace(figures, megabytes=round(size_of(folder, manifest) / 1e6, 1))
    manifest = write_manifest(folder, dataclasses.replace(manifest, parity=figures.as_dict()))
    missed = gate.shortfalls(figures, manifest, check.require)
    rows = summary(folder, manifest) | figures.rows()
    (folder / VERIFY).write_text(gate.report(manifest, rows, missed), encoding="utf-8")
    if missed:
        rejected = keep_rejected(folder, out)
        try:
            gate.require(figures, manifest, check.require)
        except gate.ParityError as error:
            raise gate.ParityError(f"{error}; kept as {rejected}") from None
    return manifest


def summary(folder: Path, manifest: Manifest) -> dict[str, str]:
    """What a bundle is, for a table."""
    return {
        "size": f"{size_of(folder, manifest) / 1e6:.1f} MB",
        "precision": f"{manifest.precision} ({manifest.recipe})",
        "processors": ", ".join(manifest.cpus) or "any",
        "dimension": f"{manifest.dimension}",
        "tokens": f"{manifest.max_tokens} at most",
        "licence": manifest.licence,
    }


def size_of(folder: Path, manifest: Manifest) -> int:
    """Bytes of a bundle's files."""
    return sum((folder / name).stat().st_size for name in manifest.files)


def table_of(text: str) -> dict[str, str]:
    """The rows of `verify.md`."""
    cells = [line.strip("| ").split(" | ", 1) for line in text.splitlines() if line.startswith("| ")]
    return dict(cells[1:])


def check_of(options: argparse.Namespace) -> Check:
    """The options of the gate, which `export` and `verify` share."""
    require = {}
    for entry in options.require:
        name, _, value = entry.partition("=")
        try:
            require[name] = float(value)
        except ValueError:
            raise ArgumentError(f"--require {entry}: give a name and a number, as cosine_min=0.98") from None
    return Check(
        evaluation=Path(options.eval) if options.eval else EVALUATION,
        sts=Path(options.sts) if options.sts else None,
        require=require,
        speed=options.speed,
    )


def add_check_options(parser: argparse.ArgumentParser) -> None:
    """The options that `check_of` reads."""
    parser.add_argument("--eval", metavar="FILE", help="sentences to measure on, one a line (default: ours)")
    parser.add_argument("--sts", metavar="FILE", help="CSV or TSV of two sentences and a score, for Spearman")
    parser.add_argument(
        "--require",
        metavar="NAME=X",
        action="append",
        default=[],
        help="another threshold, as cosine_min=0.98",
    )
    parser.add_argument("--speed", action="store_true", help="measure speed beside the source, too")
