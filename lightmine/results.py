"""The results of mining: arrays of one length, with indexing, comparison, repr and conversion."""

from __future__ import annotations

import abc
import dataclasses
import operator
from collections.abc import Iterator, Sequence
from typing import Any, Self, overload

import numpy as np
from numpy.typing import NDArray

from lightmine.errors import MissingExtraError, RowIndexError

Indices = NDArray[np.signedinteger[Any]]
Mask = NDArray[np.bool_]
RowSelection = slice | Mask | Indices | Sequence[int] | Sequence[bool]
RowIndex = int | np.integer[Any]
ScoredPair = tuple[float, int, int]

# Rows that repr shows.
REPR_ROWS = 3


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Result(abc.ABC):
    """Base class of results: frozen, compared by their contents, and not hashable."""

    @abc.abstractmethod
    def _columns(self) -> dict[str, NDArray[Any]]:
        """The columns by name; each array has one entry per pair."""

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(
            _same(getattr(self, field.name), getattr(other, field.name))
            for field in dataclasses.fields(self)
            if field.compare
        )

    __hash__ = None  # type: ignore[assignment]

    def to_dict(self) -> dict[str, list[Any]]:
        """The columns by name, as lists of Python numbers; the arrays are the attributes.

        Examples
        --------
        >>> from lightmine import mine_paraphrases
        >>> mine_paraphrases([[1, 0], [0, 1], [3, 4]], threshold=0.7).to_dict()
        {'left': [1], 'right': [2], 'score': [0.800000011920929]}
        """
        return {name: values.tolist() for name, values in self._columns().items()}

    def to_arrow(self) -> Any:
        """The columns as a `pyarrow.Table`: int64 rows and float32 scores.

        Raises
        ------
        MissingExtraError
            pyarrow is not installed.

        Examples
        --------
        >>> from lightmine import mine_paraphrases
        >>> mine_paraphrases([[1, 0], [0, 1], [3, 4]], threshold=0.5).to_arrow().column_names
        ['left', 'right', 'score']
        """
        try:
            import pyarrow
        except ImportError:
            raise MissingExtraError.of("parquet", "to_arrow needs pyarrow") from None
        return pyarrow.table(self._columns())


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ScoredPairs(Result):
    """Pairs with scores. An integer index gives ``(score, left, right)``, as iteration does.

    Slices, masks and arrays or lists of row numbers give a result of the same type.
    """

    left: Indices
    right: Indices
    score: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.score)

    def __iter__(self) -> Iterator[ScoredPair]:
        return zip(self.score.tolist(), self.left.tolist(), self.right.tolist(), strict=True)

    @overload
    def __getitem__(self, chosen: RowIndex) -> ScoredPair: ...
    @overload
    def __getitem__(self, chosen: RowSelection) -> Self: ...
    def __getitem__(self, chosen: RowIndex | RowSelection) -> ScoredPair | Self:
        where = normalize_index(chosen, len(self))
        if isinstance(where, int):
            return float(self.score[where]), int(self.left[where]), int(self.right[where])
        return dataclasses.replace(self, **{name: values[where] for name, values in self._columns().items()})

    def __repr__(self) -> str:
        name, count = type(self).__name__, len(self)
        if not count:
            return f"{name}(0 pairs)"
        first = ", ".join(_shown(triple) for triple in self[:REPR_ROWS])
        more = ", ..." if count > REPR_ROWS else ""
        unit = "pair" if count == 1 else "pairs"
        return f"{name}({count:,} {unit}, scores {score_range(self.score)}: {first}{more})"

    def _columns(self) -> dict[str, NDArray[Any]]:
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


def normalize_index(chosen: RowIndex | RowSelection, count: int) -> int | slice | Mask | Indices:
    """An index as a row number from 0, a slice, a mask or an array of row numbers; refuses other types.

    Examples
    --------
    >>> normalize_index(-1, 3)
    2
    """
    if isinstance(chosen, slice):
        return chosen
    array = np.asarray(chosen)
    if array.ndim == 0 and array.dtype.kind in "iu":
        row = operator.index(array)
        if not -count <= row < count:
            raise RowIndexError(f"index {row} is out of range: there are {count} rows, counted from 0")
        return row % count
    if array.ndim == 1 and not array.size:
        return np.empty(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iub":
        raise RowIndexError(
            "a whole number, a slice, a mask or a list of row numbers is needed as the index, "
            f"not {type(chosen).__name__} of shape {array.shape} and type {array.dtype}"
        )
    if array.dtype.kind == "b" and len(array) != count:
        raise RowIndexError(f"the mask has {len(array)} entries and there are {count} rows; give one a row")
    if array.dtype.kind != "b" and (array.min() < -count or array.max() >= count):
        raise RowIndexError(
            f"index {array[(array < -count) | (array >= count)][0]} is out of range: there are {count} rows, "
            "counted from 0"
        )
    return array


def score_range(scores: NDArray[np.float32]) -> str:
    """The highest and the lowest score, for repr."""
    return f"{scores.max():.4g} to {scores.min():.4g}"


def _shown(triple: ScoredPair) -> str:
    score, left, right = triple
    return f"({score:.4g}, {left}, {right})"


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return bool(np.array_equal(one, other))
    return bool(one == other)
