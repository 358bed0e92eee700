"""The gate: does a bundle, run as users will run it, do what its source model does?

The reference is the source's own encoder. The bundle encodes every sentence alone and in batches of
several sizes; what differs is counted in the terms of the work that vectors are for, and each figure
must reach what suits the bundle's precision.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightmine.encoder.encoder import Encoder
from lightmine.errors import ArgumentError, BundleError
from lightmine.evaluation import similarity_correlation
from lightmine.export.sentences import read_scored_pairs
from lightmine.loading.bundle import Manifest

BATCH_SIZES = (1, 7, 32)
NEIGHBOURS = 10
# Where sentences count as paraphrases when pairs gained and lost are counted.
PAIR_SCORE = 0.8
ROUNDS = 3
Encode = Callable[[Sequence[str]], np.ndarray]

# What a figure must be at least or, where it is a loss, at most. By precision; those of fp32 hold for
# what a precision does not name.
FLOORS = {
    "fp32": {"cosine_mean": 0.99999, "cosine_min": 0.9999, "neighbours": 0.999},
    "fp16": {"cosine_mean": 0.9999, "cosine_min": 0.999, "neighbours": 0.98},
    "int8": {"cosine_mean": 0.993, "cosine_min": 0.98, "neighbours": 0.85},
    "int8-fast": {"cosine_mean": 0.993, "cosine_min": 0.98, "neighbours": 0.85},
    "int8-static": {"cosine_mean": 0.997, "cosine_min": 0.97, "neighbours": 0.85},
}
# The same where weights have 7 bits, so that they suit every processor.
REDUCED_FLOORS = {"int8-fast": {"cosine_min": 0.97}, "int8-static": {"cosine_mean": 0.996}}
CEILINGS = {"spearman_loss": 0.5, "batch_change": 1e-6}


class ParityError(BundleError):
    """The bundle does not give the source model's vectors."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figures:
    """What was measured of a bundle against its source.

    ``neighbours`` is the share of each sentence's ten nearest that are the source's; ``pairs`` are those
    of at least `PAIR_SCORE`. ``batch_change`` is the largest change of any number in a unit vector
    between a sentence alone and in a batch. ``spearman`` is rank correlation times 100. Speeds are
    sentences a second of one machine, of which only the ratio says something.
    """

    against: str
    sentences: int
    evaluation: str
    batch_sizes: tuple[int, ...]
    cosine_mean: float
    cosine_min: float
    worst_sentence: str
    neighbours: float
    pairs: int
    pairs_lost: int
    pairs_gained: int
    batch_change: float
    megabytes: float = 0.0
    speed: float | None = None
    source_speed: float | None = None
    spearman: float | None = None
    source_spearman: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The figures as the manifest keeps them; speeds are not kept, being the machine's."""
        fields = dataclasses.asdict(self) | {"batch_sizes": list(self.batch_sizes)}
        for name in ("speed", "source_speed"):
            del fields[name]
        return {name: value for name, value in fields.items() if value is not None}

    def rows(self) -> dict[str, str]:
        """The figures as a reader wants them, what and how much."""
        rows = {
            "against": f"{self.against}, on {self.evaluation}",
            "cosine": f"{self.cosine_mean:.7f} mean, {self.cosine_min:.7f} lowest",
            "worst": repr(self.worst_sentence[:60]),
            "neighbours": f"{self.neighbours:.2%} of the {NEIGHBOURS} nearest are the source's",
            "pairs": f"{self.pairs} of {PAIR_SCORE} or more in the source; "
            f"{self.pairs_lost} lost, {self.pairs_gained} gained",
            "in batches": f"changes a number by {self.batch_change:.1e} at most",
        }
        if self.spearman is not None and self.source_spearman is not None:
            rows["STS"] = f"Spearman {self.spearman:.2f}, the source's {self.source_spearman:.2f}"
        if self.speed and self.source_speed:
            rows["speed"] = (
                f"{self.speed:.0f} sentences/s, {self.speed / self.source_speed:.1f} times the source's, here"
            )
        return rows


def measure(
    encode: Encode,
    source: Encode,
    *,
    sentences: Sequence[str],
    against: str,
    what: str = "",
    many: Encode | None = None,
    sts: Path | None = None,
    speed: bool = False,
) -> Figures:
    """Compare two encoders.

    Parameters
    ----------
    encode
        The bundle: sentences, as one batch, to a float array (n, dimension).
    source
        The source model, likewise; the length of its vectors does not matter.
    sentences
        What to encode.
    against
        The source's name in the report.
    what
        What the sentences are, in the report.
    many
        The bundle as it encodes many sentences, in batches of its own, for STS and speed.
    sts
        A file of scored pairs, for Spearman's correlation.
    speed
        Whether to take the time of both.
    """
    sizes = tuple(sorted({min(size, len(sentences)) for size in BATCH_SIZES}))
    wanted = _unit(_source_rows(source, sentences))
    runs = [_unit(_in_batches(encode, sentences, size)) for size in sizes]
    if runs[0].shape != wanted.shape:
        widths = f"the bundle gives {runs[0].shape[1]} dimensions, {against} gives {wanted.shape[1]}"
        raise ParityError(f"parity failed: {widths}")
    cosines = np.stack([np.einsum("nd,nd->n", run, wanted) for run in runs])
    # A vector that is not a number is worse than any cosine.
    worst = np.where(np.isfinite(cosines), cosines, -np.inf).min(axis=0)
    pairs, found = _pairs(wanted), _pairs(runs[-1])
    figures = Figures(
        against=against,
        sentences=len(sentences),
        evaluation=what or f"{len(sentences)} sentences",
        batch_sizes=sizes,
        cosine_mean=float(cosines.mean()),
        cosine_min=float(cosines.min()),
        worst_sentence=sentences[int(worst.argmin())][:100],
        neighbours=_agreement(wanted, runs[-1]),
        pairs=len(pairs),
        pairs_lost=len(pairs - found),
        pairs_gained=len(found - pairs),
        batch_change=float(max(np.abs(run - runs[0]).max() for run in runs)),
    )
    changes: dict[str, float] = {}
    if sts is not None:
        changes |= {"spearman": spearman(many or encode, sts), "source_spearman": spearman(source, sts)}
    if speed:
        changes |= _speeds(many or encode, source, sentences)
    return dataclasses.replace(figures, **changes)


def shortfalls(figures: Figures, manifest: Manifest, overrides: Mapping[str, float]) -> list[str]:
    """What is not as good as it must be, each in words; empty where the bundle passes.

    Raises
    ------
    ArgumentError
        An override of a name that is no threshold.
    """
    floors = dict(FLOORS.get(manifest.precision, FLOORS["fp32"]))
    if not manifest.cpus:
        floors |= REDUCED_FLOORS.get(manifest.precision, {})
    ceilings = dict(CEILINGS)
    if manifest.batch == "mates":
        del ceilings["batch_change"]
    known = {*floors, *CEILINGS}
    for name, value in overrides.items():
        if name not in known:
            raise ArgumentError(f"no threshold is named {name}: there are {', '.join(sorted(known))}")
        (floors if name in floors else ceilings)[name] = value
    values = {name: getattr(figures, name) for name in floors}
    found = {"batch_change": figures.batch_change}
    if figures.spearman is not None and figures.source_spearman is not None:
        found["spearman_loss"] = figures.source_spearman - figures.spearman
    # "not >=" rather than "<", so that what is no number fails too.
    missed = [
        f"{name} is {values[name]:.6f}, {floor} is required"
        for name, floor in floors.items()
        if not values[name] >= floor
    ]
    missed += [
        f"{name} is {found[name]:.2g}, {ceiling} is the most"
        for name, ceiling in ceilings.items()
        if name in found and not found[name] <= ceiling
    ]
    return missed


def require(figures: Figures, manifest: Manifest, overrides: Mapping[str, float]) -> None:
    """Raise `ParityError` where anything falls short."""
    if missed := shortfalls(figures, manifest, overrides):
        raise ParityError(
            f"parity failed against {figures.against}: {'; '.join(missed)}; worst sentence: "
            f"{figures.worst_sentence!r}"
        )


def runner(encoder: Encoder) -> Encode:
    """The bundle as the gate runs it: one batch a call, so that short sentences are padded."""
    return lambda some: encoder.encode(some, batch_tokens=max(1, len(some)) * encoder.manifest.max_tokens)


def spearman(encode: Encode, path: Path) -> float:
    """Rank correlation, times 100, of cosines with the scores of a file of pairs."""
    left, right, scores = read_scored_pairs(path)
    rows = _unit(encode([*left, *right]))
    cosines = np.einsum("nd,nd->n", rows[: len(left)], rows[len(left) :])
    return 100 * similarity_correlation(cosines, scores).spearman


def report(manifest: Manifest, rows: Mapping[str, str], missed: Sequence[str]) -> str:
    """The text of `verify.md`."""
    verdict = "Rejected: " + "; ".join(missed) if missed else "Passed."
    table = "\n".join(f"| {what} | {value.replace('|', chr(92) + '|')} |" for what, value in rows.items())
    return (
        f"# {manifest.name}, {manifest.precision}\n\n{verdict}\n\n| what | measured |\n|---|---|\n{table}\n"
    )


def _source_rows(source: Encode, sentences: Sequence[str]) -> np.ndarray:
    try:
        return source(sentences)
    except Exception as error:  # whatever the model's own code raises
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BundleError(f"the source model itself cannot encode: {line}") from error


def _in_batches(encode: Encode, sentences: Sequence[str], size: int) -> np.ndarray:
    return np.concatenate([encode(sentences[at : at + size]) for at in range(0, len(sentences), size)])


def _unit(rows: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):  # a zero row becomes NaN, and fails the check
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _agreement(wanted: np.ndarray, found: np.ndarray) -> float:
    """The share of nearest neighbours that both have."""
    count = min(NEIGHBOURS, len(wanted) - 1)
    if count < 1:
        return 1.0
    near = []
    for rows in (wanted, found):
        scores = np.nan_to_num(rows @ rows.T, nan=-2.0)
        np.fill_diagonal(scores, -np.inf)
        # Sentences that are the source's equals must not be told apart by the last bit.
        near.append(np.argsort(-np.round(scores, 6), axis=1, kind="stable")[:, :count])
    return float(np.mean([len(np.intersect1d(a, b)) / count for a, b in zip(*near, strict=True)]))


def _pairs(rows: np.ndarray) -> set[tuple[int, int]]:
    left, right = np.nonzero(np.triu(np.nan_to_num(rows @ rows.T), k=1) >= PAIR_SCORE)
    return set(zip(left.tolist(), right.tolist(), strict=True))


def _speeds(encode: Encode, source: Encode, sentences: Sequence[str]) -> dict[str, float]:
    """Sentences a second of both, in turns, each the median of its rounds."""
    times: dict[str, list[float]] = {"speed": [], "source_speed": []}
    for _ in range(ROUNDS):
        for name, run in (("speed", encode), ("source_speed", source)):
            start = time.perf_counter()
            run(sentences)
            times[name].append(time.perf_counter() - start)
    return {name: len(sentences) / statistics.median(taken) for name, taken in times.items()}
