"""The teacher: a sentence encoder of English whose similarities the static model learns."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from export_scripts.static_pairs import Pairs, Settings
from lightmine import Encoder, neighbors
from lightmine.loading.bundle import TOKENIZER, VOCABULARY

NEIGHBOURS = 4
# Sentences more alike than this say the same, as far as the teacher can tell: no negatives.
SAME = 0.9


@dataclasses.dataclass(frozen=True)
class Teacher:
    """The teacher's unit vectors of the English sentences and of the words of its own vocabulary."""

    vectors: NDArray[np.float16]
    row_of: NDArray[np.int64]  # by sentence number; -1 where a sentence is not English
    words: list[str]
    word_rows: NDArray[np.int64]

    @classmethod
    def of(cls, sets: tuple[Pairs, ...], folder: Path, work: Path) -> Teacher:
        """Encode every English sentence, or read what an earlier run left in the work folder."""
        texts = sets[0].texts
        numbers = np.unique(np.concatenate([pairs.english for pairs in sets]))
        words = vocabulary_words(folder)
        order = sorted({texts[number] for number in numbers} | set(words))
        row = {text: place for place, text in enumerate(order)}
        digest = hashlib.sha256("\n".join([folder.name, *order]).encode()).hexdigest()
        path = work / f"teacher-{digest[:16]}.npy"
        if not path.exists():
            vectors = Encoder.load(str(folder)).encode(order)
            np.save(path, vectors.astype(np.float16))
        row_of = np.full(len(texts), -1)
        row_of[numbers] = [row[texts[number]] for number in numbers]
        return cls(np.load(path), row_of, words, np.array([row[word] for word in words]))

    def of_rows(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """The teacher's vectors, in float32."""
        return torch.from_numpy(self.vectors[rows].astype(np.float32))

    def of_sentences(self, english: NDArray[np.int64]) -> torch.Tensor:
        """The teacher's vectors of sentences, in float32."""
        return self.of_rows(self.row_of[english])


def vocabulary_words(folder: Path) -> list[str]:
    """The whole words that the teacher knows, in its order, which is by how common they are.

    They reach far beyond those of the training pairs.
    """
    pieces = json.loads((folder / TOKENIZER).read_text(encoding="utf-8"))["model"]["vocab"]
    # Where the tokenizer has none, they lie beside it.
    in_order = sorted(pieces, key=pieces.__getitem__) or (folder / VOCABULARY).read_text("utf-8").split()
    return [word for word in in_order if word.isascii() and word.isalpha() and len(word) > 1]


def near_pairs(pairs: Pairs, teacher: Teacher, settings: Settings) -> NDArray[np.int64]:
    """For each pair, `NEIGHBOURS` pairs of its language whose English is most like its own, -1 for none."""
    near = np.full((len(pairs.english), NEIGHBOURS), -1)
    for language in range(len(settings.languages.split())):
        ours = np.flatnonzero(pairs.language == language)
        english, first, place = np.unique(pairs.english[ours], return_index=True, return_inverse=True)
        found = neighbors(teacher.of_sentences(english).numpy(), k=NEIGHBOURS * 2)
        usable = (found.score < SAME) & (found.index >= 0)
        best = np.argsort(~usable, axis=1, kind="stable")[:, :NEIGHBOURS]
        chosen = np.where(
            np.take_along_axis(usable, best, axis=1), np.take_along_axis(found.index, best, axis=1), -1
        )
        near[ours] = np.where(chosen >= 0, ours[first][chosen], -1)[place]
    return near
