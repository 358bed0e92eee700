"""The static model while it learns: one vector a piece, a sentence is their sum at unit length."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional


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
    """One vector a piece; their sum at unit length, and what one hidden layer adds to it, at unit length.

    The layer (a deep averaging network's, Iyyer et al. 2015, beside a way past it) lets a word's part
    depend on what else is in the sentence, and begins with adding nothing. `view` maps a sentence's
    vector into the teacher's space of `taught` numbers; training leaves it behind.
    """

    def __init__(self, rows: int, dimension: int, hidden: int, *, pieces: int = 0, taught: int = 0) -> None:
        super().__init__()
        # Small, so that a piece that is seldom met adds little that it was not taught; bigrams, which lie
        # behind the pieces, add nothing until they are.
        table = torch.randn(rows, dimension) * 0.02
        table[pieces or rows :] = 0
        self.table = torch.nn.Parameter(table)
        self.view = torch.nn.Parameter(torch.randn(dimension, taught) * 0.05)
        self.inner = torch.nn.Parameter(torch.randn(dimension, hidden) * dimension**-0.5)
        self.bias = torch.nn.Parameter(torch.zeros(hidden))
        self.outer = torch.nn.Parameter(torch.zeros(hidden, dimension))

    def forward(self, bag: tuple[torch.Tensor, torch.Tensor], dropout: float = 0.0) -> torch.Tensor:
        # Numbers of about one, as a layer expects them.
        sums = self.sums(bag, dropout) * self.table.shape[1] ** 0.5
        return functional.normalize(sums + torch.relu(sums @ self.inner + self.bias) @ self.outer, dim=1)

    def sums(self, bag: tuple[torch.Tensor, torch.Tensor], dropout: float = 0.0) -> torch.Tensor:
        """The sums of pieces, at unit length."""
        pieces, offsets = bag
        kept = None
        if dropout:
            kept = (torch.rand(len(pieces)) >= dropout).float()
            kept[offsets] = torch.where(kept[offsets] == 0, 1e-3, kept[offsets])  # never nothing
        sums = functional.embedding_bag(pieces, self.table, offsets, mode="sum", per_sample_weights=kept)
        return functional.normalize(sums, dim=1)

    def layer(self) -> list[torch.nn.Parameter]:
        """The hidden layer's weights, which are met in every step and so learn at a rate of their own."""
        return [self.inner, self.bias, self.outer]

    def turn(self, axes: torch.Tensor) -> None:
        """Rotate the vectors; the layer turns along, so that no cosine changes."""
        with torch.no_grad():
            self.table.data = self.table @ axes
            self.inner.data = axes.T @ self.inner
            self.outer.data = self.outer @ axes


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
