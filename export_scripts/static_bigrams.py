"""Bigrams of the static model: two pieces side by side that have a vector of their own, beside the pieces'.

They tell apart what a sum of pieces cannot: words that mean something else together, characters that are a
word only in twos, and a spelling that two languages share, by what stands beside it (sent2vec, Pagliardini
et al. 2018, learns such vectors without pairs).
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from export_scripts.static_student import Bags

# A bigram met less often than this is not worth a row.
SELDOM = 30


@dataclasses.dataclass(frozen=True)
class Bigrams:
    """The chosen bigrams, ``left * pieces + right``, ascending; the n-th has row ``pieces + n``."""

    codes: NDArray[np.int64]
    pieces: int

    @classmethod
    def common(cls, bags: Bags, weights: NDArray[np.float64], *, pieces: int, most: int) -> Bigrams:
        """Choose the `most` bigrams that are most often met, sentences counted by their weights.

        Those that tell most beyond their pieces (``count * log(count / chance)``) did no better.
        """
        codes, sentences = _side_by_side(bags, pieces)
        found, which, times = np.unique(codes, return_inverse=True, return_counts=True)
        counts = np.bincount(which, weights=weights[sentences])
        counts[times < SELDOM] = 0
        chosen = np.argsort(-counts, kind="stable")[:most]
        return cls(np.sort(found[chosen[counts[chosen] > 0]]), pieces)

    def rows(self) -> int:
        """How many rows the table has, pieces and bigrams."""
        return self.pieces + len(self.codes)

    def extend(self, bags: Bags) -> Bags:
        """Put behind each sentence's pieces the rows of its bigrams."""
        if not len(self.codes):
            return bags
        codes, sentences = _side_by_side(bags, self.pieces)
        place = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
        hit = self.codes[place] == codes
        lengths = np.diff(bags.starts)
        owner = np.concatenate([np.repeat(np.arange(len(lengths)), lengths), sentences[hit]])
        rows = np.concatenate([bags.pieces, (self.pieces + place[hit]).astype(np.int32)])
        starts = np.zeros_like(bags.starts)
        np.cumsum(np.bincount(owner, minlength=len(lengths)), out=starts[1:])
        return Bags(rows[np.argsort(owner, kind="stable")], starts)

    def displaced(self) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
        """The bigrams as a table to look up in with two additions: shifts, owners and rows.

        Bigram (left, right) has row ``rows[slot]``, ``slot = shifts[left] + right``, if ``owners[slot]``
        is left, and else it has none (row displacement, Tarjan & Yao 1979): the left pieces' sparse rows
        of rights lie in one another, each shifted to the first place where it meets no other.
        """
        lefts, first = np.unique(self.codes // self.pieces, return_index=True)
        rights = np.split(self.codes % self.pieces, first[1:])
        shifts = np.zeros(self.pieces, np.int32)
        owners = np.full(self.pieces, -1, np.int32)
        rows = np.zeros(self.pieces, np.int32)
        for place in np.argsort([-len(one) for one in rights], kind="stable"):
            # The first shift past all that is taken always fits.
            owners = np.concatenate([owners, np.full(self.pieces, -1, np.int32)])
            first_right, *others = rights[place]
            fitting = np.flatnonzero(owners[first_right : first_right + len(owners) - self.pieces + 1] < 0)
            for right in others:
                fitting = fitting[owners[fitting + right] < 0]
            shift = int(fitting[0])
            slots = shift + rights[place]
            shifts[lefts[place]], owners[slots] = shift, lefts[place]
            rows = np.concatenate([rows, np.zeros(max(0, shift + self.pieces - len(rows)), np.int32)])
            rows[slots] = self.pieces + first[place] + np.arange(len(slots))
            owners = owners[: len(rows)]
        return shifts, owners, rows


def _side_by_side(bags: Bags, pieces: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every two pieces that stand side by side in a sentence, as one number, and the sentence's."""
    sentences = np.repeat(np.arange(len(bags.starts) - 1), np.diff(bags.starts))
    together = sentences[:-1] == sentences[1:]
    wide = bags.pieces.astype(np.int64)
    return (wide[:-1] * pieces + wide[1:])[together], sentences[:-1][together]
