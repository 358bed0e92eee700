"""Tensors of an ONNX file: their names, their sizes, and where their values are."""

from __future__ import annotations

import dataclasses
import math
import mmap

import numpy as np

from lightmine.untrusted.protobuf import Span, fields, text, varints, whole_number

INT8 = 3  # of TensorProto.DataType
# Bits of a value of each TensorProto.DataType; those of a string are not known.
BITS = {1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 8: 0, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64,
        15: 128, 16: 16, 17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8, 25: 2, 26: 2}  # fmt: skip
# More axes make a product of sizes that takes hours to compute.
MOST_AXES = 64


class RefusedGraphError(ValueError):
    """The graph can be read but is refused; the message says why."""


@dataclasses.dataclass(frozen=True)
class ExternalWeights:
    """Values that are in another file: where they begin, and the earliest position where they can end."""

    file: str
    start: int
    end: int


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor's name, its external weights, and whether it is as `Graph.wide_int8` says."""

    name: str
    weights: ExternalWeights | None
    wide: bool


def read_tensor(data: mmap.mmap, span: Span) -> Tensor:
    """A tensor from its message; refuses one that claims more values than the file has bytes."""
    name, element, raw, external = "", 0, None, {}
    sizes: list[int] = []
    for number, field in fields(data, span, (1, 2, 8, 9, 13)):
        if number == 1:
            sizes += [field] if isinstance(field, int) else varints(data, field)
        elif number == 2:
            element = whole_number(field)
        elif number == 8:
            name = text(data, field)
        elif number == 9:
            raw = field
        else:
            entry = {key: text(data, content) for key, content in fields(data, field, (1, 2))}
            external[entry.get(1, "")] = entry.get(2, "")
    count = _count(name, sizes)
    length = -(-count * BITS.get(element, 0) // 8)
    if external:
        return Tensor(name, _external_weights(name, external, length), False)
    # Values that are not raw take at least a byte each; those of 2 or 4 bits share one.
    held = raw[1] - raw[0] if raw else span[1] - span[0]
    if (length if raw else count / 4) > held:
        raise RefusedGraphError(f"its tensor {name!r} claims {count:,} numbers and has {held:,} bytes")
    wide = False
    if raw and element == INT8 and len(sizes) >= 2:
        values = np.frombuffer(data[raw[0] : raw[1]], np.int8)
        wide = bool(len(values)) and (int(values.max()) > 64 or int(values.min()) < -64)
    return Tensor(name, None, wide)


def _count(name: str, sizes: list[int]) -> int:
    """How many values a tensor of these sizes has."""
    if len(sizes) > MOST_AXES:
        raise RefusedGraphError(f"its tensor {name!r} has {len(sizes):,} axes")
    if any(size >= 2**63 for size in sizes):
        raise RefusedGraphError(f"its tensor {name!r} has an axis of negative length")
    return math.prod(sizes)


def _external_weights(name: str, entries: dict[str, str], length: int) -> ExternalWeights:
    """The file of a tensor's values, where they begin, and where they end."""
    start = int(entries.get("offset", "0"))
    if start < 0:
        raise RefusedGraphError(f"its tensor {name!r} begins before its file does")
    return ExternalWeights(
        entries.get("location", ""), start, start + max(length, int(entries.get("length", "0")))
    )
