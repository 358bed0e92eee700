"""The gate: does a bundle, run as users will run it, give the vectors of its source model?

The reference is the source model's own encoder. The bundle encodes every sentence alone and in batches of
several sizes. The differences are measured by cosine, by neighbours and by pairs; each figure must reach the
threshold for the bundle's precision.
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
from lightmine.errors import ArgumentError, BundleError, error_line
from lightmine.evaluation import similarity_correlation
from lightmine.export.sentences import read_scored_pairs
from lightmine.loading.bundle import Manifest

BATCH_SIZES = (1, 7, 32)
NEIGHBOURS = 10
# The score from which two sentences count as paraphrases, when pairs gained and lost are counted.
PAIR_SCORE = 0.8
ROUNDS = 3
Encode = Callable[[Sequence[str]], np.ndarray]

# The least that a figure must be, by precision.
MINIMUMS = {
    "fp32": {"cosine_mean": 0.99999, "cosine_min": 0.9999, "neighbours": 0.999},
    "fp16": {"cosine_mean": 0.9999, "cosine_min": 0.999, "neighbours": 0.98},
    "int8": {"cosine_mean": 0.993, "cosine_min": 0.98, "neighbours": 0.85},
    "int8-fast": {"cosine_mean": 0.993, "cosine_min": 0.98, "neighbours": 0.85},
    "int8-static": {"cosine_mean": 0.997, "cosine_min": 0.97, "neighbours": 0.85},
}
# Instead, if weights have 7 bits, so that they suit every processor.
REDUCED_MINIMUMS = {"int8-fast": {"cosine_min": 0.97}, "int8-static": {"cosine_mean": 0.996}}
# The most that a figure may be.
MAXIMUMS = {"spearman_loss": 0.5, "batch_change": 1e-6}


class ParityError(BundleError):
    """The bundle does not give the source model's vectors."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figures:
    """What was measured of a bundle against its source.

    ``neighbours`` is the share of each sentence's ten nearest that are the source's; ``pairs`` are those
    of at least `PAIR_SCORE`. ``batch_change`` is the largest change of an element of a unit vector
    between a sentence alone and in a batch. ``spearman`` is rank correlation times 100. Speeds are
    sentences a second on one machine; only their ratio can be compared.
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
        """The figures for the manifest, without the speeds, which depend on the machine."""
        fields = dataclasses.asdict(self) | {"batch_sizes": list(self.batch_sizes)}
        for name in ("speed", "source_speed"):
            del fields[name]
        return {name: value for name, value in fields.items() if value is not None}

    def rows(self) -> dict[str, str]:
        """The figures for a table: name and text."""
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
        A description of the sentences, in the report.
    many
        The bundle as it encodes many sentences, in batches of its own, for STS and speed.
    sts
        A file of scored pairs, for Spearman's correlation.
    speed
        Whether to measure the speed of both.
    """
    sizes = tuple(sorted({min(size, len(sentences)) for size in BATCH_SIZES}))
    wanted = _unit(_source_rows(source, sentences))
    runs = [_unit(_in_batches(encode, sentences, size)) for size in sizes]
    if runs[0].shape != wanted.shape:
        widths = f"the bundle gives {runs[0].shape[1]} dimensions, {against} gives {wanted.shape[1]}"
        raise ParityError(f"parity failed: {widths}")
    cosines = np.stack([np.einsum("nd,nd->n", run, wanted) for run in runs])
    # A vector that is not finite is worse than any cosine.
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
    changes: dict[str, Any] = {}
    if sts is not None:
        changes |= {"spearman": spearman(many or encode, sts), "source_spearman": spearman(source, sts)}
    if speed:
        changes |= _speeds(many or encode, source, sentences)
    return dataclasses.replace(figures, **changes)


def shortfalls(figures: Figures, manifest: Manifest, overrides: Mapping[str, float]) -> list[str]:
    """The figures that are too low or too high, each in words; empty if the bundle passes.

    Raises
    ------
    ArgumentError
        An override has a name that is not a threshold's.
    """
    minimums = dict(MINIMUMS.get(manifest.precision, MINIMUMS["fp32"]))
    if not manifest.cpus:
        minimums |= REDUCED_MINIMUMS.get(manifest.precision, {})
    maximums = dict(MAXIMUMS)
    if manifest.batch == "dependent":
        del maximums["batch_change"]
    known = {*minimums, *MAXIMUMS}
    for name, value in overrides.items():
        if name not in known:
            raise ArgumentError(f"no threshold is named {name}: there are {', '.join(sorted(known))}")
        (minimums if name in minimums else maximums)[name] = value
    values = {name: getattr(figures, name) for name in minimums}
    found = {"batch_change": figures.batch_change}
    if figures.spearman is not None and figures.source_spearman is not None:
        found["spearman_loss"] = figures.source_spearman - figures.spearman
    # "not >=" and not "<", so that NaN fails too.
    missed = [
        f"{name} is {values[name]:.6f}, {least} is required"
        for name, least in minimums.items()
        if not values[name] >= least
    ]
    missed += [
        f"{name} is {found[name]:.2g}, {most} is the most"
        for name, most in maximums.items()
        if name in found and not found[name] <= most
    ]
    return missed


def require(figures: Figures, manifest: Manifest, overrides: Mapping[str, float]) -> None:
    """Raise `ParityError` if a figure is too low or too high."""
    if missed := shortfalls(figures, manifest, overrides):
        raise ParityError(
            f"parity failed against {figures.against}: {'; '.join(missed)}; worst sentence: "
            f"{figures.worst_sentence!r}"
        )


def runner(encoder: Encoder) -> Encode:
    """The bundle as the gate runs it: each call is one batch, so that short sentences are padded."""
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
    except Exception as error:  # the model's own code raises many kinds
        raise BundleError(f"the source model itself cannot encode: {error_line(error, 0)}") from error


def _in_batches(encode: Encode, sentences: Sequence[str], size: int) -> np.ndarray:
    return np.concatenate([encode(sentences[at : at + size]) for at in range(0, len(sentences), size)])


def _unit(rows: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):  # a zero row becomes NaN, and fails the check
        units: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return units


def _agreement(wanted: np.ndarray, found: np.ndarray) -> float:
    """The share of nearest neighbours that both have."""
    count = min(NEIGHBOURS, len(wanted) - 1)
    if count < 1:
        return 1.0
    near = []
    for rows in (wanted, found):
        scores = np.nan_to_num(rows @ rows.T, nan=-2.0)
        np.fill_diagonal(scores, -np.inf)
        # Rounded, because the last bits must not decide between sentences that the source finds equal.
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
