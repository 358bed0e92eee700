"""Parity: does the bundle, run as users will run it, give the source model's vectors?

The reference is ``SentenceTransformer.encode``. The bundle encodes every sentence alone and in
batches of several sizes; the worst cosine of all of those decides.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightmine.errors import BundleError, TextError

SENTENCES = Path(__file__).with_name("sentences.txt")
BATCH_SIZES = (1, 7, 32)
FLOOR = 0.99999


class ParityError(BundleError):
    """The bundle does not give the source model's vectors."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parity:
    """How close the bundle's vectors are to the source model's.

    ``batch_change`` is the largest change of any number in a unit vector between a sentence
    encoded alone and in a batch.
    """

    against: str
    sentences: int
    batch_sizes: tuple[int, ...]
    cosine_mean: float
    cosine_min: float
    worst_sentence: str
    batch_change: float

    def as_dict(self) -> dict[str, Any]:
        """The figures as the manifest keeps them."""
        return dataclasses.asdict(self) | {"batch_sizes": list(self.batch_sizes)}

    def require(self, floor: float = FLOOR) -> None:
        """Raise `ParityError` where the worst cosine is under `floor`, or not a number."""
        if not self.cosine_min >= floor:
            raise ParityError(
                f"parity failed: cosine to {self.against} is {self.cosine_min:.6f} at worst and "
                f"{self.cosine_mean:.6f} on average, {floor} is required; worst sentence: "
                f"{self.worst_sentence!r}"
            )


def read_sentences(path: Path = SENTENCES) -> list[str]:
    """The lines of a UTF-8 file, empty ones left out."""
    try:
        lines = path.read_bytes().decode("utf-8").split("\n")
    except OSError as error:
        raise TextError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TextError(f"{path} is not UTF-8: byte {error.start} cannot be decoded") from error
    sentences = [line.removesuffix("\r") for line in lines if line.strip()]
    if not sentences:
        raise TextError(f"{path} has no sentences")
    return sentences


def measure_parity(
    encode: Callable[[Sequence[str]], np.ndarray],
    *,
    sentences: Sequence[str],
    reference: np.ndarray,
    against: str,
) -> Parity:
    """Compare `encode` with the `reference` vectors of the same sentences.

    Parameters
    ----------
    encode
        The bundle: sentences, as one batch, to a float array (n, dimension).
    sentences
        What to encode.
    reference : array of shape (n, dimension)
        The source model's vectors; their length does not matter.
    against
        The source's name in the report.
    """
    sizes = tuple(sorted({min(size, len(sentences)) for size in BATCH_SIZES}))
    wanted = _unit(reference)
    runs = [_unit(_in_batches(encode, sentences, size)) for size in sizes]
    if runs[0].shape != wanted.shape:
        widths = f"the bundle gives {runs[0].shape[1]} dimensions, {against} gives {wanted.shape[1]}"
        raise ParityError(f"parity failed: {widths}")
    cosines = np.stack([np.einsum("nd,nd->n", run, wanted) for run in runs])
    # A vector that is not a number is worse than any cosine.
    worst = np.where(np.isfinite(cosines), cosines, -np.inf).min(axis=0)
    return Parity(
        against=against,
        sentences=len(sentences),
        batch_sizes=sizes,
        cosine_mean=float(cosines.mean()),
        cosine_min=float(cosines.min()),
        worst_sentence=sentences[int(worst.argmin())][:100],
        batch_change=float(max(np.abs(run - runs[0]).max() for run in runs)),
    )


def _in_batches(
    encode: Callable[[Sequence[str]], np.ndarray], sentences: Sequence[str], size: int
) -> np.ndarray:
    return np.concatenate([encode(sentences[at : at + size]) for at in range(0, len(sentences), size)])


def _unit(rows: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):  # a zero row becomes NaN, and fails the check
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)
