"""The training pairs of the static model: read, held out, cut into batches, and as bags of pieces."""

from __future__ import annotations

import dataclasses
import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """All that decides the model beside the pairs and the teacher."""

    languages: tuple[str, ...] = ("de", "fr", "es", "nl", "zh")
    source: str = "tatoeba"
    seed: int = 0
    pieces: int = 32_000
    piece_length: int = 16
    rare: int = 3
    dimension: int = 256
    epochs: int = 8
    batch: int = 2048
    one_language: float = 0.7  # share of the batches that hold one language beside English
    balance: float = 0.75  # a language with n pairs is repeated (most / n) ** balance times, rounded
    rate: float = 0.02
    scale: float = 20.0
    distillation: float = 200.0  # weight of the mean squared distance from the teacher's similarities
    taught: int = 1024  # sentences of a batch that the teacher is asked about
    piece_dropout: float = 0.1
    held_out: int = 1000  # pairs a language that are never trained on
    max_tokens: int = 512


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Sentence numbers of both sides; `texts` holds each distinct sentence once."""

    texts: list[str]
    english: NDArray[np.int64]
    other: NDArray[np.int64]
    language: NDArray[np.int64]

    def select(self, chosen: NDArray[Any]) -> Pairs:
        return Pairs(self.texts, self.english[chosen], self.other[chosen], self.language[chosen])


@dataclasses.dataclass(frozen=True)
class Bags:
    """The pieces of every sentence, end to end."""

    pieces: NDArray[np.int64]
    starts: NDArray[np.int64]  # one more than sentences

    @classmethod
    def of(cls, ids: Sequence[Sequence[int]]) -> Bags:
        starts = np.zeros(len(ids) + 1, np.int64)
        np.cumsum([len(one) for one in ids], out=starts[1:])
        return cls(np.fromiter((piece for one in ids for piece in one), np.int64, starts[-1]), starts)

    def take(self, sentences: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        """The pieces of the chosen sentences and where each sentence begins."""
        lengths = self.starts[sentences + 1] - self.starts[sentences]
        offsets = np.cumsum(lengths) - lengths
        places = np.arange(lengths.sum()) + np.repeat(self.starts[sentences] - offsets, lengths)
        return torch.from_numpy(self.pieces[places]), torch.from_numpy(offsets)


def read_pairs(data: Path, settings: Settings) -> Pairs:
    """Read `train/SOURCE/en-LL.tsv.gz` of every language, in file order."""
    numbers: dict[str, int] = {}
    rows: list[tuple[int, int, int]] = []
    for language, name in enumerate(settings.languages):
        path = data / "train" / settings.source / f"en-{name}.tsv.gz"
        with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
            for line in lines:
                left, right = line.rstrip("\n").split("\t")
                rows.append(
                    (
                        numbers.setdefault(left, len(numbers)),
                        numbers.setdefault(right, len(numbers)),
                        language,
                    )
                )
    english, other, languages = np.array(rows, np.int64).T
    return Pairs(list(numbers), english, other, languages)


def hold_out(pairs: Pairs, settings: Settings) -> tuple[Pairs, Pairs]:
    """Set pairs of each language aside, and drop every other pair that shares a sentence with them."""
    rng = np.random.default_rng(settings.seed)
    held = np.zeros(len(pairs.english), bool)
    for language in range(len(settings.languages)):
        ours = np.flatnonzero(pairs.language == language)
        _, first = np.unique(pairs.english[ours], return_index=True)
        held[rng.choice(ours[first], settings.held_out, replace=False)] = True
    seen = np.zeros(len(pairs.texts), bool)
    seen[pairs.english[held]] = seen[pairs.other[held]] = True
    return pairs.select(~(seen[pairs.english] | seen[pairs.other])), pairs.select(held)


def batches(pairs: Pairs, settings: Settings, epoch: int) -> list[NDArray[np.int64]]:
    """One epoch's batches as pair numbers: most of one language, the rest mixed, in random order."""
    rng = np.random.default_rng([settings.seed, epoch])
    counts = np.bincount(pairs.language)
    mixed: list[NDArray[np.int64]] = []
    out: list[NDArray[np.int64]] = []
    for language, count in enumerate(counts):
        ours = np.flatnonzero(pairs.language == language)
        repeats = max(1, round((counts.max() / count) ** settings.balance))
        ours = np.concatenate([rng.permutation(ours) for _ in range(repeats)])
        cut = int(len(ours) * settings.one_language)
        out += np.split(ours[:cut], range(settings.batch, cut, settings.batch))
        mixed.append(ours[cut:])
    rest = rng.permutation(np.concatenate(mixed))
    out += np.split(rest, range(settings.batch, len(rest), settings.batch))
    out = [batch for batch in out if len(batch) > settings.batch // 4]
    return [out[place] for place in rng.permutation(len(out))]
