"""Neighbours and their texts on disk, to try other margins and thresholds without mining again.

One uncompressed ``.npz`` file of plain arrays, without pickles. For each side it has ``index`` (int32) and
``score`` (float32) of the neighbours, nearest first; the texts as one array of UTF-8, and where each text
ends; the line numbers of each text; and the ids, if there are any.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightmine.errors import TextError, one_line
from lightmine.io.output import open_binary
from lightmine.search import Neighbors
from lightmine.text.unique import UniqueTexts
from lightmine.untrusted.arrays import read_archive

VERSION = 2
# Limits that the model recommends, in the order of the array that keeps them.
LIMITS = ("bitext", "bitext_cosine")
SIDES = ("source", "target")

Arrays = dict[str, NDArray[Any]]


@dataclasses.dataclass(frozen=True)
class SavedNeighbors:
    """Neighbours of both directions, the number that is used by default, and the texts of both sides.

    Attributes
    ----------
    near : Neighbors
    k, k_backward : int
        As given when they were mined.
    source, target : UniqueTexts
    model : str
        Name of the model that made the embeddings.
    recommended : dict of str to float
        Limits of bitext mining that the model's manifest recommends.
    """

    near: Neighbors
    k: int
    k_backward: int
    source: UniqueTexts
    target: UniqueTexts
    model: str = "the model"
    recommended: dict[str, float] = dataclasses.field(default_factory=dict)


def save_neighbors(path: str, saved: SavedNeighbors) -> None:
    """Write neighbours to a file, which appears when it is complete.

    Raises
    ------
    OutputError
    """
    assert saved.near.reverse is not None
    limits = [saved.recommended.get(name, np.nan) for name in LIMITS]
    arrays: Arrays = {
        "version": np.array([VERSION, saved.k, saved.k_backward]),
        "recommended": np.array(limits, np.float64),
        **_packed_texts("model", [saved.model]),
    }
    for name, near, texts in zip(
        SIDES, (saved.near, saved.near.reverse), (saved.source, saved.target), strict=True
    ):
        arrays |= {f"{name}_index": near.index.astype(np.int32), f"{name}_score": near.score}
        arrays |= _packed_texts(f"{name}_text", texts.texts) | _packed_lines(name, texts.lines)
        if texts.ids is not None:
            arrays |= _packed_texts(f"{name}_id", [id_ for ids in texts.ids for id_ in ids])
    with open_binary(path) as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def load_neighbors(path: str) -> SavedNeighbors:
    """Read what `save_neighbors` wrote, and check it.

    Raises
    ------
    TextError
        The file does not exist, or is not a complete file of saved neighbours; the message says why.

    Examples
    --------
    >>> import pathlib, tempfile, lightmine
    >>> path = str(pathlib.Path(tempfile.mkdtemp(), "near.npz"))
    >>> near = lightmine.neighbors([[1, 0], [0, 1]], [[0, 2], [2, 0]], k=1, both=True)
    >>> source, target = UniqueTexts(["a", "b"], [[1], [2]]), UniqueTexts(["c", "d"], [[1], [4]])
    >>> save_neighbors(path, SavedNeighbors(near, 1, 1, source, target))
    >>> saved = load_neighbors(path)
    >>> saved.near.index.ravel(), saved.target.lines
    (array([1, 0]), [[1], [4]])
    """
    arrays = read_archive(path)
    try:
        return _unpacked(arrays)
    except KeyError as error:
        raise TextError(f"{path}: not a file of saved neighbours: it has no {error}") from None
    except (ValueError, IndexError, TypeError, OverflowError) as error:
        reason = one_line(error) or type(error).__name__
        raise TextError(f"{path}: not a whole file of saved neighbours: {reason}") from None


def _unpacked(arrays: Arrays) -> SavedNeighbors:
    version, k, k_backward = map(int, arrays["version"])
    if version != VERSION:
        raise ValueError(f"version {version}, and this lightmine reads version {VERSION}")
    near, texts = [], []
    for name, other in zip(SIDES, reversed(SIDES), strict=True):
        index, score = arrays[f"{name}_index"], arrays[f"{name}_score"]
        if (
            index.ndim != 2
            or index.shape != score.shape
            or index.dtype != np.int32
            or score.dtype != np.float32
        ):
            raise ValueError(
                f"{name} neighbours are {index.shape} of {index.dtype} and {score.shape} of {score.dtype}"
            )
        m = len(arrays[f"{other}_index"])
        if index.size and not (int(index.min()) >= 0 and int(index.max()) < m and np.isfinite(score).all()):
            raise ValueError(f"a {name} neighbour is not one of {m} rows, or its score is not finite")
        near.append((index.astype(np.int64), score))
        texts.append(_unpacked_side(arrays, name, len(index)))
    model, limits = _unpacked_model(arrays)
    near_both = Neighbors(*near[0], reverse=Neighbors(*near[1]))
    return SavedNeighbors(near_both, k, k_backward, texts[0], texts[1], model, limits)


def recommended(thresholds: dict[str, float]) -> dict[str, float]:
    """The thresholds of bitext mining among those of a manifest.

    Examples
    --------
    >>> recommended({"bitext": 1.2, "paraphrase": 0.8})
    {'bitext': 1.2}
    """
    return {name: thresholds[name] for name in LIMITS if name in thresholds}


def _unpacked_model(arrays: Arrays) -> tuple[str, dict[str, float]]:
    names, limits = _unpacked_texts(arrays, "model"), arrays["recommended"]
    right = limits.shape == (len(LIMITS),) and limits.dtype == np.float64
    if len(names) != 1 or not right or np.isinf(limits).any():
        raise ValueError(f"{len(names)} models and {limits.shape} of {limits.dtype} as what they recommend")
    found = zip(LIMITS, limits.tolist(), strict=True)
    return one_line(names[0]), {name: limit for name, limit in found if not np.isnan(limit)}


def _unpacked_side(arrays: Arrays, name: str, n: int) -> UniqueTexts:
    texts = _unpacked_texts(arrays, f"{name}_text")
    lines, counts = arrays[f"{name}_lines"].tolist(), arrays[f"{name}_line_counts"]
    if len(texts) != n or len(counts) != n or (counts < 1).any() or counts.sum() != len(lines):
        raise ValueError(f"{n} {name} rows have {len(texts)} texts and {len(counts)} lists of lines")
    ends = np.cumsum(counts).tolist()
    starts = [0, *ends[:-1]]
    ids = None
    if f"{name}_id" in arrays:
        flat = _unpacked_texts(arrays, f"{name}_id")
        if len(flat) != len(lines):
            raise ValueError(f"{len(lines)} {name} lines have {len(flat)} ids")
        ids = [flat[start:end] for start, end in zip(starts, ends, strict=True)]
    return UniqueTexts(texts, [lines[start:end] for start, end in zip(starts, ends, strict=True)], ids)


def _packed_texts(name: str, texts: list[str]) -> Arrays:
    # Files are read as text without lone surrogates, but a text of Python code can have one; it is kept.
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    return {
        name: np.frombuffer(b"".join(encoded), np.uint8),
        f"{name}_ends": np.cumsum([len(text) for text in encoded], dtype=np.int64),
    }


def _unpacked_texts(arrays: Arrays, name: str) -> list[str]:
    data, ends = arrays[name].tobytes(), arrays[f"{name}_ends"]
    if ends.ndim != 1 or (len(ends) and (int(ends[-1]) != len(data) or (np.diff(ends, prepend=0) < 0).any())):
        raise ValueError(f"{name} does not end where it should")
    stops = ends.tolist()
    return [
        data[start:stop].decode("utf-8", "surrogatepass")
        for start, stop in zip([0, *stops[:-1]], stops, strict=True)
    ]


def _packed_lines(name: str, lines: list[list[int]]) -> Arrays:
    return {
        f"{name}_lines": np.array([line for group in lines for line in group], np.int64),
        f"{name}_line_counts": np.array([len(group) for group in lines], np.int64),
    }
