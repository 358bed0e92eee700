"""What a file of embeddings holds: ``x.npy.json`` beside ``x.npy``."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import reprlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lightmine.encoder.encoder import Encoder
from lightmine.errors import StoreError, one_line

FORMAT_VERSION = 1
DTYPES = ("<f4", "<f2", "|i1")
# What row i is, in words for whoever finds the file.
ROWS = "row i is line i + 1 of the input; a blank line is a row of zeros"
# Nobody's manifest is larger; what claims to be is not read into memory.
LARGEST = 1 << 30


@dataclasses.dataclass(frozen=True)
class WrittenRows:
    """Some rows that were finished together.

    Attributes
    ----------
    rows, sentences : int
        Rows, and those of them that are no blank lines.
    cut : int
        Sentences that were longer than the longest input.
    texts, data : str
        SHA-256 of the lines, as `text_hash` makes it, and of the rows' bytes.
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
        """What JSON held, checked; ValueError where it is no block."""
        counts = [value[name] for name in ("rows", "sentences", "cut")]
        counts.append(value.get("without_tokens", 0))
        hashes = [value[name] for name in ("texts", "data")]
        if not (all(_is_count(count) for count in counts) and all(_is_hash(made) for made in hashes)):
            raise ValueError(f"{reprlib.repr(value)} is no block")
        rows, sentences, cut, without_tokens = counts
        if not rows >= sentences >= max(cut, without_tokens):
            raise ValueError(
                f"{sentences} sentences in {rows} rows, {cut} of them cut and {without_tokens} without tokens"
            )
        return cls(rows, sentences, cut, value["texts"], value["data"], without_tokens)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoreHeader:
    """Of which model and options the rows are; the same for every block."""

    model: str
    identity: dict[str, Any]
    dtype: str
    columns: int

    @classmethod
    def of(cls, encoder: Encoder, options: dict[str, Any]) -> StoreHeader:
        """What an encoder makes with these options."""
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
        """The start of a manifest."""
        return {"format_version": FORMAT_VERSION, "lines": ROWS} | dataclasses.asdict(self)

    @classmethod
    def parse(cls, value: Any) -> StoreHeader:
        """What JSON held, checked; ValueError where it is none."""
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
                option.encode()  # half a character could not be written again
        if dtype not in DTYPES or not _is_count(columns) or not columns:
            raise ValueError(
                f"{reprlib.repr(columns)} columns of {reprlib.repr(dtype)}; known are {', '.join(DTYPES)}"
            )
        return cls(model=model, identity=identity, dtype=dtype, columns=columns)

    def differences(self, other: StoreHeader) -> list[str]:
        """What another head has differently, in words."""
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
class Manifest:
    """A head and its blocks; fields that this version does not know are kept in `extra`."""

    head: StoreHeader
    blocks: tuple[WrittenRows, ...]
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows of all blocks."""
        return sum(block.rows for block in self.blocks)

    @property
    def sentences(self) -> int:
        """Rows that are of no blank line."""
        return sum(block.sentences for block in self.blocks)

    @property
    def cut(self) -> int:
        """Sentences that were longer than the longest input."""
        return sum(block.cut for block in self.blocks)

    @property
    def without_tokens(self) -> int:
        """Sentences in which the tokenizer found no token."""
        return sum(block.without_tokens for block in self.blocks)

    def json(self) -> bytes:
        """The text of its file."""
        counts = {"rows": self.rows, "sentences": self.sentences, "cut": self.cut}
        fields = self.head.json() | counts | self.extra
        blocks = ",\n  ".join(json.dumps(dataclasses.asdict(block)) for block in self.blocks)
        text = json.dumps(fields, indent=1, ensure_ascii=False)
        return f'{text[:-2]},\n "blocks": [\n  {blocks}\n ]\n}}\n'.encode()

    @classmethod
    def parse(cls, value: Any) -> Manifest:
        """What JSON held, checked; ValueError where it is no manifest."""
        head = StoreHeader.parse(value)
        if not isinstance(value["blocks"], list):
            raise ValueError("blocks must be a list")
        made = cls(head, tuple(map(WrittenRows.parse, value["blocks"])))
        known = made.head.json().keys() | {"rows", "sentences", "cut", "blocks"}
        for name in ("rows", "sentences", "cut"):
            if value[name] != getattr(made, name):
                raise ValueError(
                    f"{reprlib.repr(value[name])} {name}, and {getattr(made, name)} in its blocks"
                )
        extra = {k: v for k, v in value.items() if k not in known}
        json.dumps(extra, ensure_ascii=False).encode()  # as above
        return dataclasses.replace(made, extra=extra)


@dataclasses.dataclass(frozen=True)
class Embeddings:
    """A matrix on disk, and what it holds.

    Attributes
    ----------
    vectors : float32, float16 or int8 array of shape (rows, dimension), memory-mapped, read-only
        For binary int8 of shape (rows, ceil(dimension / 8)).
    manifest : Manifest
    """

    vectors: NDArray[Any]
    manifest: Manifest

    def verify(self) -> None:
        """Compare every block with its hash.

        Raises
        ------
        StoreError
            The first rows that are not what was written.
        """
        start = 0
        for block in self.manifest.blocks:
            made = hashlib.sha256()
            for piece in pieces(self.vectors[start : start + block.rows]):
                made.update(piece)
            if made.hexdigest() != block.data:
                raise StoreError(
                    f"rows {start:,} to {start + block.rows - 1:,} are damaged: they are not what was "
                    "written; encode again with --restart"
                )
            start += block.rows


def open_embeddings(path: str | Path, *, verify: bool = False) -> Embeddings:
    """Open what `write_embeddings` wrote, memory-mapped.

    Parameters
    ----------
    path : path or str
        The ``.npy`` file; its manifest is beside it.
    verify : bool
        Compare all of it with its hashes first, at the disk's speed.

    Raises
    ------
    StoreError
        No such file or manifest, one that does not fit the other, or damage; it says which.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from lightmine import Encoder
    >>> from lightmine.store import write_embeddings
    >>> path = pathlib.Path(tempfile.mkdtemp(), "x.npy")
    >>> _ = write_embeddings(path, Encoder.load(), ["one", "", "three"])
    >>> found = open_embeddings(path, verify=True)
    >>> found.vectors.shape, found.manifest.sentences
    ((3, 320), 2)
    """
    path = Path(path)
    manifest = read_manifest(path)
    expected = header(manifest.head, manifest.rows)
    try:
        with path.open("rb") as file:
            found, size = file.read(len(expected)), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from None
    if found != expected or size != len(expected) + manifest.rows * manifest.head.row_bytes:
        raise StoreError(
            f"{path}: is not the file that {manifest_path(path).name} describes ({manifest.rows:,} rows of "
            f"{manifest.head.columns} columns); encode again with --restart"
        )
    embeddings = Embeddings(np.load(path, mmap_mode="r", allow_pickle=False), manifest)
    if verify:
        try:
            embeddings.verify()
        except StoreError as error:
            raise StoreError(f"{path}: {error}") from None
    return embeddings


def manifest_path(path: Path) -> Path:
    """Where the manifest of a matrix is."""
    return path.with_name(path.name + ".json")


def read_manifest(path: Path) -> Manifest:
    """The manifest of a matrix.

    Raises
    ------
    StoreError
        It is not there, or is none.
    """
    beside = manifest_path(path)
    try:
        with beside.open("rb") as file:
            if os.fstat(file.fileno()).st_size > LARGEST:
                raise ValueError("larger than any manifest")
            return Manifest.parse(json.loads(file.read()))
    except FileNotFoundError:
        what = "has no manifest" if path.exists() else "no such file, nor a manifest"
        raise StoreError(f"{path}: {what} {beside.name} that tells what it holds") from None
    except OSError as error:
        raise StoreError(f"{beside}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else one_line(error)
        raise StoreError(f"{beside}: no manifest of embeddings: {reason}") from None


def header(head: StoreHeader, rows: int) -> bytes:
    """The start of a ``.npy`` file: always as long, whatever the number of rows.

    NumPy leaves room for the number to grow, so the header can be written when the last row is.
    """
    stream = io.BytesIO()
    shape = (rows, head.columns)
    np.lib.format.write_array_header_1_0(
        stream, {"descr": head.dtype, "fortran_order": False, "shape": shape}
    )
    return stream.getvalue()


def text_hash(texts: Sequence[str], gaps: Sequence[int] = ()) -> str:
    """A SHA-256 over texts in their order and over the blank lines before each of them.

    Examples
    --------
    >>> text_hash(["ab", "c"]) == text_hash(["a", "bc"])
    False
    """
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    numbers = [len(encoded), len(gaps), *map(len, encoded), *gaps]
    made = hashlib.sha256(np.array(numbers, "<i8").tobytes())
    made.update(b"".join(encoded))
    return made.hexdigest()


def pieces(rows: NDArray[Any], *, size: int = 1 << 24) -> Iterator[memoryview]:
    """The bytes of rows, some at a time."""
    step = max(1, size // max(1, rows.shape[1] * rows.itemsize))
    for start in range(0, len(rows), step):
        yield np.ascontiguousarray(rows[start : start + step]).data.cast("B")


def hash_of(file: BinaryIO, size: int) -> str:
    """SHA-256 of the next `size` bytes of a file, or of as many as there are."""
    made = hashlib.sha256()
    while size and (data := file.read(min(size, 1 << 22))):
        made.update(data)
        size -= len(data)
    return made.hexdigest()


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 64 and not value.strip("0123456789abcdef")
