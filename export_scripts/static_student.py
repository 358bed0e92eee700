"""The static model while it learns: one vector a piece, a sentence is their sum at unit length."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from export_scripts.static_pairs import Pairs, Settings


@dataclasses.dataclass(frozen=True)
class Bags:
    """The pieces of every sentence, end to end."""

    pieces: NDArray[np.int32]
    starts: NDArray[np.int64]  # one more than sentences

    def take(self, sentences: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        """The pieces of the chosen sentences and where each sentence begins."""
        lengths = self.starts[sentences + 1] - self.starts[sentences]
        offsets = np.cumsum(lengths) - lengths
        places = np.arange(lengths.sum()) + np.repeat(self.starts[sentences] - offsets, lengths)
        return torch.from_numpy(self.pieces[places]), torch.from_numpy(offsets.astype(np.int32))


class Student(torch.nn.Module):
    """One vector a piece; a sentence is their sum at unit length.

    `view` maps a sentence's vector into the teacher's space of `taught` numbers; training leaves it behind.
    """

    def __init__(self, pieces: int, dimension: int, taught: int = 0) -> None:
        super().__init__()
        # Small, so that a piece that is seldom met adds little that it was not taught.
        self.table = torch.nn.Parameter(torch.randn(pieces, dimension) * 0.02)
        self.view = torch.nn.Parameter(torch.randn(dimension, taught) * 0.05)

    def forward(self, bag: tuple[torch.Tensor, torch.Tensor], dropout: float = 0.0) -> torch.Tensor:
        pieces, offsets = bag
        kept = None
        if dropout:
            kept = (torch.rand(len(pieces)) >= dropout).float()
            kept[offsets] = torch.where(kept[offsets] == 0, 1e-3, kept[offsets])  # never nothing
        sums = functional.embedding_bag(pieces, self.table, offsets, mode="sum", per_sample_weights=kept)
        return functional.normalize(sums, dim=1)


def contrast(left: torch.Tensor, right: torch.Tensor, same: torch.Tensor, scale: float) -> torch.Tensor:
    """The in-batch contrastive loss of both directions; what `same` marks is no negative."""
    logits = (scale * (left @ right.T)).masked_fill(same, -torch.inf)
    labels = torch.arange(len(left))
    return (functional.cross_entropy(logits, labels) + functional.cross_entropy(logits.T, labels)) / 2


def distance(rows: torch.Tensor, columns: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """The mean squared difference of all similarities from those wanted."""
    return functional.mse_loss(rows @ columns.T, wanted)


def apart(mapped: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """One minus the mean cosine of rows and the unit rows wanted."""
    return 1 - (functional.normalize(mapped, dim=1) * wanted).sum(1).mean()


def accuracy(
    student: Student,
    bags: Bags,
    english: NDArray[np.int64],
    other: NDArray[np.int64],
    pool: NDArray[np.int64],
) -> float:
    """Share of the other sentences whose nearest English sentence of the pool is their own."""
    with torch.no_grad():
        nearest = (student(bags.take(other)) @ student(bags.take(pool)).T).argmax(1).numpy()
    return float((pool[nearest] == english).mean())


def by_language(
    student: Student, bags: Bags, held: dict[str, Pairs], settings: Settings, most: int
) -> dict[str, dict[str, float]]:
    """Per cent of held-out sentences whose nearest English, of all that is held out, is their own."""
    found: dict[str, dict[str, float]] = {}
    for name, pairs in held.items():
        pool = np.unique(pairs.english)
        for place, language in enumerate(settings.languages.split()):
            rows = np.flatnonzero(pairs.language == place)[:most]
            if len(rows) >= 30:
                share = accuracy(student, bags, pairs.english[rows], pairs.other[rows], pool)
                found.setdefault(name, {})[language] = round(100 * share, 2)
    return found


def means(student: Student, bags: Bags, held: dict[str, Pairs]) -> dict[str, float]:
    """The same over all languages, for the progress line."""
    out = {}
    for name, pairs in held.items():
        rows = np.arange(len(pairs.english))[:: max(1, len(pairs.english) // 2_000)]
        pool = np.unique(pairs.english)
        out[name] = 100 * accuracy(student, bags, pairs.english[rows], pairs.other[rows], pool)
    return out
