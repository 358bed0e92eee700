"""Measure a bundle on sentences, write the report, and let it pass or refuse it."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lightmine.encoder.encoder import Encoder
from lightmine.errors import ArgumentError, LightmineError
from lightmine.export import gate
from lightmine.export.files import keep_rejected
from lightmine.export.sentences import evaluation_sentences, read_scored_pairs, read_sentences
from lightmine.loading.bundle import Manifest, write_manifest

VERIFY = "verify.md"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """What a bundle is measured on, and thresholds that differ from the precision's own."""

    evaluation: Path | None = None
    sts: Path | None = None
    require: Mapping[str, float] = dataclasses.field(default_factory=dict)
    speed: bool = False

    def refuse_unreadable(self) -> None:
        """Read the files now, so that one that cannot be read is refused before the work."""
        if self.sts is not None:
            read_scored_pairs(self.sts)
        if self.evaluation is not None:
            read_sentences(self.evaluation)

    def sentences(self, languages: Sequence[str]) -> tuple[list[str], str]:
        """The sentences for a model of these languages, and a description of them."""
        if self.evaluation is not None:
            found = read_sentences(self.evaluation)
            return found, f"{len(found)} sentences of {self.evaluation.name}"
        found, chosen = evaluation_sentences(languages)
        what = chosen[0] if len(chosen) == 1 else f"{len(chosen)} languages"
        return found, f"{len(found)} sentences of ours, in {what}"


def pass_gate(
    folder: Path,
    manifest: Manifest,
    source: gate.Encode,
    *,
    out: Path,
    against: str,
    check: Check,
    report: Callable[[str], None],
) -> Manifest:
    """Measure the bundle and write the figures into it; move it to OUT.rejected and raise if it fails."""
    sentences, what = check.sentences(manifest.languages)
    report(f"checking   {what}, against {against}")
    encoder = Encoder.load(folder)
    figures = gate.measure(
        gate.runner(encoder),
        source,
        sentences=sentences,
        what=what,
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
    """Rows of a table that describe a bundle."""
    return {
        "size": f"{size_of(folder, manifest) / 1e6:.1f} MB",
        "precision": f"{manifest.precision} ({manifest.recipe})",
        "processors": ", ".join(manifest.cpus) or "any",
        "dimension": f"{manifest.dimension}",
        "tokens": f"{manifest.max_tokens} at most",
        "licence": manifest.licence,
    }


def size_of(folder: Path, manifest: Manifest) -> int:
    """The bytes of all files of a bundle."""
    return sum((folder / name).stat().st_size for name in manifest.files)


def table_of(text: str) -> dict[str, str]:
    """The rows of `verify.md`."""
    cells = [line.strip("| ").split(" | ", 1) for line in text.splitlines() if line.startswith("| ")]
    return dict(cells[1:])


def check_of(options: argparse.Namespace) -> Check:
    """The options of the gate, which the commands export and verify share."""
    require = {}
    for entry in options.require:
        name, _, value = entry.partition("=")
        try:
            require[name] = float(value)
        except ValueError:
            raise ArgumentError(f"--require {entry}: give a name and a number, as cosine_min=0.98") from None
    return Check(
        evaluation=Path(options.eval) if options.eval else None,
        sts=Path(options.sts) if options.sts else None,
        require=require,
        speed=options.speed,
    )


def exit_status(work: Callable[[], int]) -> int:
    """The exit status of a command: its own, 2 for an error with a message, 3 for one of the gate."""
    try:
        return work()
    except LightmineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3 if isinstance(error, gate.ParityError) else 2
