"""The training pairs of the static model: read, held out, and cut into batches.

`DATA/train/SOURCE/en-LL.tsv.gz` holds English TAB other, one pair a line. Sources differ in tone and size,
and so do languages: `Settings` says how often each is seen. Pairs of two languages that are not English
come from English sentences that several languages translate.
"""

from __future__ import annotations

import dataclasses
import gzip
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LANGUAGES = "de fr es nl zh it pt sv da pl cs hu ro ru uk el tr fi ar he hi ja ko vi id th"
# How often a source's pairs are seen beside those of the others; what is not named is not trained on.
SOURCES = {
    "tatoeba": 2.0,
    "manythings_more": 1.5,
    "massive": 0.35,
    "python_docs": 1.0,
    "ms_beginners_mt": 1.0,
    "aosp_apps": 1.0,
    "godot_editor": 1.0,
    "tldr_pages": 1.0,
    "matrix_react_sdk": 1.0,
    "bible_pd": 0.5,
}
# Held out whole: course text, longer and of another domain than most of what is trained on.
OUTSIDE = "hf_course"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """All that decides the model beside the pairs and the teacher."""

    languages: str = LANGUAGES
    sources: str = " ".join(f"{name}={weight:g}" for name, weight in SOURCES.items())
    seed: int = 0
    pieces: int = 81_920
    piece_length: int = 16
    rare: int = 3
    dimension: int = 320
    levels: int = 15  # that a coordinate is rounded to either side of nought
    epochs: int = 5
    steps: int = 0  # where training ends before its epochs do; 0 for nowhere
    batch: int = 2048
    one_language: float = 0.7  # share of the batches that hold one language beside English
    balance: float = 0.4  # a language with n pairs is seen (most / n) ** balance times as often
    pivot: float = 0.3  # share of the English sides in mixed batches that another translation replaces
    hard: float = 0.0  # share of a batch that are neighbours, by the teacher, of the rest
    rate: float = 0.02
    memory: float = 0.99  # Adam's second decay
    scale: float = 20.0
    distillation: float = 70.0  # weight of the mean squared distance from the teacher's similarities
    view: float = 10.0  # weight of one minus the cosine of vectors, mapped, and the teacher's
    taught: int = 1024  # sentences of a batch that the teacher is asked about
    vocabulary: int = 10_000  # of the teacher's most common words, those that are pieces
    words: int = 128  # single words of the teacher's vocabulary that each batch adds to those taught
    piece_dropout: float = 0.1
    held_out: int = 400  # pairs a language that are never trained on
    max_tokens: int = 512

    def weights(self) -> dict[str, float]:
        """How often each source is seen."""
        return {name: float(weight) for name, weight in (one.split("=") for one in self.sources.split())}


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Sentence numbers of both sides; `texts` holds each distinct sentence once.

    `left` is what is compared with `other`: the English sentence, or another translation of it.
    """

    texts: list[str]
    english: NDArray[np.int64]
    other: NDArray[np.int64]
    language: NDArray[np.int64]
    source: NDArray[np.int64]
    left: NDArray[np.int64]

    def select(self, chosen: NDArray[Any]) -> Pairs:
        columns = (self.english, self.other, self.language, self.source, self.left)
        return Pairs(self.texts, *(column[chosen] for column in columns))


def read_pairs(data: Path, settings: Settings) -> tuple[Pairs, Pairs]:
    """Read the pairs of every source and language: those to train on, and those of the source held out whole.

    Sides that the second has in common with the first are dropped from the first.
    """
    numbers: dict[str, int] = {}
    languages = settings.languages.split()
    sources = [*settings.weights(), OUTSIDE]
    rows = [
        (numbers.setdefault(left, len(numbers)), numbers.setdefault(right, len(numbers)), language, source)
        for source, folder in enumerate(sources)
        for language, name in enumerate(languages)
        for left, right in _lines(data / "train" / folder / f"en-{name}.tsv.gz", name)
    ]
    if not rows:
        sys.exit(f"{data / 'train'}: no pairs of {settings.languages}; --data names the folder around train/")
    english, other, language, source = np.array(rows, np.int64).T
    pairs = Pairs(list(numbers), english, other, language, source, english)
    outside = source == len(sources) - 1
    seen = np.zeros(len(numbers), bool)
    seen[english[outside]] = seen[other[outside]] = True
    return pairs.select(~(seen[english] | seen[other])), pairs.select(outside)


def _lines(path: Path, language: str) -> Iterator[tuple[str, str]]:
    """Yield the pairs of a file, if there is one; Chinese in simplified characters too where it is not."""
    if not path.exists():
        return
    simplified = _simplified() if language == "zh" else None
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
        for line in lines:
            left, right = line.rstrip("\n").split("\t")
            yield left, right
            if simplified and (other := simplified(right)) != right:
                yield left, other


def _simplified() -> Any:
    try:
        from opencc import OpenCC
    except ImportError:
        sys.exit("training on Chinese needs OpenCC: pip install --group train")
    return OpenCC("t2s").convert


def hold_out(pairs: Pairs, settings: Settings) -> tuple[Pairs, Pairs, Pairs]:
    """Pairs to learn from, pairs of each language held out, and others that share a sentence with those."""
    rng = np.random.default_rng(settings.seed)
    held = np.zeros(len(pairs.english), bool)
    for language in range(len(settings.languages.split())):
        ours = np.flatnonzero(pairs.language == language)
        _, first = np.unique(pairs.english[ours], return_index=True)
        held[rng.choice(ours[first], min(settings.held_out, len(first) // 10), replace=False)] = True
    seen = np.zeros(len(pairs.texts), bool)
    seen[pairs.english[held]] = seen[pairs.other[held]] = True
    touched = seen[pairs.english] | seen[pairs.other]
    return pairs.select(~touched), pairs.select(held), pairs.select(touched & ~held)


def batches(
    pairs: Pairs, settings: Settings, epoch: int, near: NDArray[np.int64] | None
) -> list[NDArray[np.int64]]:
    """One epoch's batches as pair numbers: most of one language, the rest mixed, in random order.

    `near` gives for each pair others of its language whose English is like it, or -1: with `hard`, a batch
    is made of fewer pairs and of one such neighbour of each.
    """
    rng = np.random.default_rng([settings.seed, epoch])
    counts = np.bincount(pairs.language)
    repeats = (counts.max() / counts) ** settings.balance
    weights = np.array([*settings.weights().values()])
    mixed: list[NDArray[np.int64]] = []
    out: list[NDArray[np.int64]] = []
    seeds = settings.batch - int(settings.batch * settings.hard)
    for language in range(len(counts)):
        ours = np.flatnonzero(pairs.language == language)
        ours = _repeated(rng, ours, repeats[language] * weights[pairs.source[ours]])
        cut = int(len(ours) * settings.one_language)
        out += [
            _with_neighbours(rng, batch, near, settings.batch - len(batch))
            for batch in np.split(ours[:cut], range(seeds, cut, seeds))
        ]
        mixed.append(ours[cut:])
    rest = rng.permutation(np.concatenate(mixed))
    out += np.split(rest, range(settings.batch, len(rest), settings.batch))
    out = [batch for batch in out if len(batch) > settings.batch // 4]
    return [out[place] for place in rng.permutation(len(out))]


def _repeated(
    rng: np.random.Generator, rows: NDArray[np.int64], times: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return the rows as often as `times` says, fractions by chance, each round in an order of its own."""
    rounds = np.floor(times) + (rng.random(len(rows)) < times % 1)
    return np.concatenate([rng.permutation(rows[rounds > done]) for done in range(int(rounds.max()))])


def _with_neighbours(
    rng: np.random.Generator, batch: NDArray[np.int64], near: NDArray[np.int64] | None, room: int
) -> NDArray[np.int64]:
    """Put behind every second place a neighbour of the pair there, as far as there is room."""
    if near is None or room <= 0:
        return batch
    found = near[batch[:room], rng.integers(near.shape[1], size=min(room, len(batch)))]
    both = np.stack([batch[:room], found], axis=1).ravel()
    # A pair met twice would be its own negative, and is masked; here it is only waste.
    return np.concatenate([both[both >= 0], batch[room:]])


def pivoted(pairs: Pairs, groups: Groups, rng: np.random.Generator, share: float) -> Pairs:
    """Replace a share of the left sides with another translation of the same English sentence."""
    replaced = rng.random(len(pairs.english)) < share
    left = np.where(replaced, groups.draw(pairs.english, rng), pairs.left)
    return dataclasses.replace(pairs, left=np.where(left == pairs.other, pairs.english, left))


@dataclasses.dataclass(frozen=True)
class Groups:
    """The translations of every English sentence, end to end."""

    others: NDArray[np.int64]
    starts: NDArray[np.int64]  # one more than sentences

    @classmethod
    def of(cls, pairs: Pairs) -> Groups:
        order = np.argsort(pairs.english, kind="stable")
        starts = np.searchsorted(pairs.english[order], np.arange(len(pairs.texts) + 1))
        return cls(pairs.other[order], starts)

    def draw(self, english: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """One translation of each English sentence."""
        first, last = self.starts[english], self.starts[english + 1]
        return self.others[first + (rng.random(len(english)) * (last - first)).astype(np.int64)]
