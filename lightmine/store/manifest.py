"""The manifest of a file of embeddings, ``x.npy.json`` for ``x.npy``: what the file holds."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import reprlib
from pathlib import Path
from typing import Any

import numpy as np

from lightmine.encoder.encoder import Encoder
from lightmine.errors import StoreError, one_line

FORMAT_VERSION = 1
DTYPES = ("<f4", "<f2", "|i1")
# Written to the manifest, for people who find the file.
ROWS = "row i is line i + 1 of the input; a blank line is a row of zeros"
# A larger file is not read into memory: it is no manifest.
MAX_MANIFEST_BYTES = 1 << 30


@dataclasses.dataclass(frozen=True)
class WrittenRows:
    """A block: rows that were written together.

    Attributes
    ----------
    rows, sentences : int
        Rows, and those of them whose lines are not blank.
    cut : int
        Sentences that were longer than the longest input of the model.
    texts, data : str
        SHA-256 of the lines (`text_hash`) and of the bytes of the rows.
    without_tokens : int
        Sentences in which the tokenizer found no token; their rows are zeros.
    """

    rows: int
    sentences: int
    cut: int
    texts: str
    data: str
    without_tokens: int = 0

    @classmethod
    def parse(cls, value: Any) -> WrittenRows:
        """A block from parsed JSON; ValueError if it is not valid."""
        counts = [value[name] for name in ("rows", "sentences", "cut")]
        counts.append(value.get("without_tokens", 0))
        hashes = [value[name] for name in ("texts", "data")]
        if not (all(_is_count(count) for count in counts) and all(_is_hash(value) for value in hashes)):
            raise ValueError(f"{reprlib.repr(value)} is no block")
        rows, sentences, cut, without_tokens = counts
        if not rows >= sentences >= max(cut, without_tokens):
            raise ValueError(
                f"{sentences} sentences in {rows} rows, {cut} of them cut and {without_tokens} without tokens"
            )
        return cls(rows, sentences, cut, value["texts"], value["data"], without_tokens)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoreHeader:
    """The model and options of the rows; the same for all blocks."""

    model: str
    identity: dict[str, Any]
    dtype: str
    columns: int

    @classmethod
    def of(cls, encoder: Encoder, options: dict[str, Any]) -> StoreHeader:
        """The header of what an encoder gives with these options."""
        empty = encoder.encode([], **options)
        identity = encoder.identity(**options)
        return cls(
            model=one_line(encoder.manifest.name),
            identity=identity,
            dtype=empty.dtype.str,
            columns=empty.shape[1],
        )

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.columns * np.dtype(self.dtype).itemsize

    def json(self) -> dict[str, Any]:
        """The fields of a manifest that the header has."""
        return {"format_version": FORMAT_VERSION, "lines": ROWS} | dataclasses.asdict(self)

    @classmethod
    def parse(cls, value: Any) -> StoreHeader:
        """A header from parsed JSON; ValueError if it is not valid."""
        if not isinstance(value, dict) or value.get("format_version") != FORMAT_VERSION:
            version = value.get("format_version") if isinstance(value, dict) else None
            raise ValueError(
                f"format version {reprlib.repr(version)}, and this lightmine reads {FORMAT_VERSION}"
            )
        model, identity, dtype = value["model"], value["identity"], value["dtype"]
        columns = value["columns"]
        if not (isinstance(model, str) and isinstance(identity, dict)):
            raise ValueError("model must be a text, and identity an object")
        # Both are shown on terminals, in messages of one line.
        if not all(map(str.isprintable, [model, *identity])):
            raise ValueError("its model or identity has characters that cannot be shown")
        for key, option in identity.items():
            if not (option is None or isinstance(option, str | int | float)):
                raise ValueError(f"{key} is neither text nor number")
            if isinstance(option, str):
                option.encode()  # a lone surrogate could not be written again
        if dtype not in DTYPES or not _is_count(columns) or not columns:
            raise ValueError(
                f"{reprlib.repr(columns)} columns of {reprlib.repr(dtype)}; known are {', '.join(DTYPES)}"
            )
        return cls(model=model, identity=identity, dtype=dtype, columns=columns)

    def differences(self, other: StoreHeader) -> list[str]:
        """The options in which another header differs, for a message."""
        found = []
        if self.identity.get("model") != other.identity.get("model"):
            names = f"{self.model}, now {other.model}"
            found.append(f"model ({names if self.model != other.model else self.model + ', changed since'})")
        for key in sorted((self.identity.keys() | other.identity.keys()) - {"model"}):
            old, new = self.identity.get(key), other.identity.get(key)
            if old != new:
                found.append(key if key == "ranges" else f"{key} ({old!r}, now {new!r})")
        return found


@dataclasses.dataclass(frozen=True)
class StoreManifest:
    """A header and its blocks. Fields that this version does not know are kept in `extra`."""

    header: StoreHeader
    blocks: tuple[WrittenRows, ...]
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows of all blocks."""
        return sum(block.rows for block in self.blocks)

    @property
    def sentences(self) -> int:
        """Rows whose lines are not blank."""
        return sum(block.sentences for block in self.blocks)

    @property
    def cut(self) -> int:
        """Sentences that were longer than the longest input of the model."""
        return sum(block.cut for block in self.blocks)

    @property
    def without_tokens(self) -> int:
        """Sentences in which the tokenizer found no token."""
        return sum(block.without_tokens for block in self.blocks)

    def json(self) -> bytes:
        """The bytes of the manifest file."""
        counts = {"rows": self.rows, "sentences": self.sentences, "cut": self.cut}
        fields = self.header.json() | counts | self.extra
        blocks = ",\n  ".join(json.dumps(dataclasses.asdict(block)) for block in self.blocks)
        text = json.dumps(fields, indent=1, ensure_ascii=False)
        return f'{text[:-2]},\n "blocks": [\n  {blocks}\n ]\n}}\n'.encode()

    @classmethod
    def parse(cls, value: Any) -> StoreManifest:
        """A manifest from parsed JSON; ValueError if it is not valid."""
        header = StoreHeader.parse(value)
        if not isinstance(value["blocks"], list):
            raise ValueError("blocks must be a list")
        manifest = cls(header, tuple(map(WrittenRows.parse, value["blocks"])))
        known = manifest.header.json().keys() | {"rows", "sentences", "cut", "blocks"}
        for name in ("rows", "sentences", "cut"):
            if value[name] != getattr(manifest, name):
                raise ValueError(
                    f"{reprlib.repr(value[name])} {name}, and {getattr(manifest, name)} in its blocks"
                )
        extra = {k: v for k, v in value.items() if k not in known}
        json.dumps(extra, ensure_ascii=False).encode()  # as above
        return dataclasses.replace(manifest, extra=extra)


def manifest_path(path: Path) -> Path:
    """The path of the manifest of a matrix."""
    return path.with_name(path.name + ".json")


def read_manifest(path: Path) -> StoreManifest:
    """The manifest of a matrix.

    Raises
    ------
    StoreError
        There is no manifest, or it is not valid.
    """
    place = manifest_path(path)
    try:
        with place.open("rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_MANIFEST_BYTES:
                raise ValueError("larger than any manifest")
            return StoreManifest.parse(json.loads(file.read()))
    except FileNotFoundError:
        what = "has no manifest" if path.exists() else "no such file, nor a manifest"
        raise StoreError(f"{path}: {what} {place.name} that tells what it holds") from None
    except OSError as error:
        raise StoreError(f"{place}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else one_line(error)
        raise StoreError(f"{place}: no manifest of embeddings: {reason}") from None


def npy_header(header: StoreHeader, rows: int) -> bytes:
    """The header of a ``.npy`` file; its length does not depend on the number of rows.

    NumPy reserves space for the number, so the header can be written after the last row.
    """
    stream = io.BytesIO()
    shape = (rows, header.columns)
    np.lib.format.write_array_header_1_0(
        stream, {"descr": header.dtype, "fortran_order": False, "shape": shape}
    )
    return stream.getvalue()


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 64 and not value.strip("0123456789abcdef")
