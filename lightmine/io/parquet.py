"""Parquet, read and written with pyarrow if the extra is installed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from lightmine.errors import LightmineError, MissingExtraError, TextError, error_line, one_line
from lightmine.io.blocks import TEXT_FIELD, BlockBuilder, SentenceBlock, quote_names
from lightmine.io.formats import Column, ReadOptions
from lightmine.io.limits import ReadLimits

# Rows that are read at a time; a row group can have any size. All of them may refer to one long text.
ROWS = 1024
# A row group that is smaller, or compressed more than text usually is, is read with dictionaries.
SMALL, DENSE = 4 << 20, 10


def pyarrow_or_error(name: str) -> tuple[Any, Any]:
    """pyarrow and pyarrow.parquet, or an error that names the install line."""
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError.of("parquet", f"{name}: Parquet needs pyarrow") from None
    return pyarrow, pyarrow.parquet


class ParquetBlocks:
    """Sentences and ids from the columns of a Parquet file.

    Attributes
    ----------
    replaced : int
        Invalid sequences of bytes so far, which were replaced with U+FFFD.
    rows : int
        Rows that the file claims to have; known after the first block.
    """

    def __init__(self, file: BinaryIO, name: str, reading: ReadOptions, limits: ReadLimits) -> None:
        self.name, self.reading, self.limits, self.replaced, self.rows = name, reading, limits, 0, 0
        self._file = file

    def __iter__(self) -> Iterator[SentenceBlock]:
        pyarrow, parquet = pyarrow_or_error(self.name)
        try:
            size = self._file.seek(0, os.SEEK_END)
            # With a buffer pyarrow allocates the size that a page claims, before it reads the page.
            how = {"buffer_size": 1 << 20 if size > SMALL else 0, "pre_buffer": False}
            file = _Clamped(self._file, size)
            table = parquet.ParquetFile(file, **how)
            self.rows = max(0, table.metadata.num_rows)
            paths = self._paths(pyarrow, table.schema_arrow)
            wanted = [".".join(path) for path in paths]
            folded = parquet.ParquetFile(file, metadata=table.metadata, read_dictionary=wanted, **how)
            made, unpacked = BlockBuilder(0), 0
            for batch in self._batches(table, folded, wanted, size):
                made = BlockBuilder(made.total)
                encoded = [_within(pyarrow, batch, path) for path in paths]
                unpacked += sum(_unpacked(pyarrow, column) for column in encoded)
                self.limits.check_unpacked(self.name, size, unpacked)
                columns = [_decoded(pyarrow, column) for column in encoded]
                texts, *others = (self._texts(pyarrow, column, made.total) for column in columns)
                ids = others[0] if others else [""] * len(texts)
                for one, other in zip(texts, ids, strict=True):
                    made.add(one, made.total + 1, other)
                yield made.block(ids=len(paths) > 1)
        except (LightmineError, GeneratorExit):
            raise
        except Exception as error:  # errors of pyarrow, and of others on a malformed schema
            reason = error_line(error)[:200]
            raise TextError(f"{self.name}: not Parquet that can be read: {reason}") from None

    def _batches(self, table: Any, folded: Any, columns: list[str], size: int) -> Iterator[Any]:
        """The rows of one row group after the other; one reader for all groups would keep what it has read.

        `folded` reads the same table with dictionaries: a text of many rows is in memory once, so that the
        size of all rows is known before they are copied. It keeps all texts of a row group.
        """
        claimed = 0
        for group in range(table.num_row_groups):
            # This size is a claim of the file. If it is true, the group is refused before it is unpacked.
            # (Sizes of columns would be more exact, but reading them can crash the process in pyarrow 26.)
            here = table.metadata.row_group(group).total_byte_size
            claimed += here
            self.limits.check_unpacked(self.name, size, claimed)
            reader = folded if here <= SMALL or here > DENSE * size else table
            yield from reader.iter_batches(ROWS, row_groups=[group], columns=columns, use_threads=False)

    def _paths(self, pyarrow: Any, schema: Any) -> list[list[str]]:
        """The path of the text, and of the id if there is one: a column, and the fields of its structs."""
        column, id_ = self.reading.text_column or self._only(schema.names), self.reading.id_column
        paths = [self._path(pyarrow, schema, column, "--text-column", "text is needed")]
        if id_ is not None:
            needed = "an id is text or a whole number"
            paths.append(self._path(pyarrow, schema, id_, "--id-column", needed))
        return paths

    def _only(self, names: list[str]) -> str:
        if TEXT_FIELD in names or len(names) != 1:
            return TEXT_FIELD
        return names[0]

    def _path(self, pyarrow: Any, schema: Any, column: Column, option: str, needed: str) -> list[str]:
        """The path of a column that is given by number or name, or of a field of a struct, with dots."""
        names = schema.names
        if isinstance(column, int):
            if column > len(names):
                raise TextError(f"{self.name}: has {len(names)} columns, and no column {column}")
            column = str(names[column - 1])
        path = [column] if column in names else column.split(".")
        kind, fields = None, list(schema)
        for part in path:
            found = [field for field in fields if field.name == part]
            if len(found) != 1:
                many = "more than one column" if found else "no column"
                has = quote_names(_leaves(pyarrow, schema))
                raise TextError(f"{self.name}: has {many} {column!r}; it has {has}: name one with {option}")
            kind = found[0].type
            fields = _fields(pyarrow, kind)
        advice = _advice(pyarrow, kind, column, ids=option == "--id-column")
        if advice is not None:
            raise TextError(
                f"{self.name}: column {column!r} is of {one_line(kind)[:80]}, and {needed}{advice}"
            )
        return path

    def _texts(self, pyarrow: Any, column: Any, before: int) -> list[str]:
        """A column's texts; nulls are blank."""
        return [self._text(value, before + at) for at, value in enumerate(self._plain(pyarrow, column))]

    def _plain(self, pyarrow: Any, column: Any) -> list[Any]:
        """Values in Python; texts as bytes, since they may not be valid UTF-8."""
        kinds = pyarrow.types
        if kinds.is_string(column.type) or kinds.is_large_string(column.type):
            column = column.cast(pyarrow.binary() if kinds.is_string(column.type) else pyarrow.large_binary())
        elif kinds.is_string_view(column.type):
            column = column.cast(pyarrow.binary_view())
        return column.to_pylist()  # type: ignore[no-any-return]

    def _text(self, value: Any, row: int) -> str:
        if value is None or isinstance(value, int):
            return "" if value is None else str(value)
        self.limits.check_line(self.name, row + 1, len(value))
        try:
            return str(value, "utf-8")
        except UnicodeDecodeError as error:
            if self.reading.errors == "strict":
                raise TextError(
                    f"{self.name}: row {row + 1}, byte {error.start + 1}: 0x{value[error.start]:02x} is not "
                    "UTF-8; read it with --errors replace"
                ) from None
            text = str(value, "utf-8", "replace")
            self.replaced += text.count("\ufffd") - value.count("\ufffd".encode())
            return text


class _Clamped:
    """A file of which no more is read than it has: Python would allocate any size that is asked for."""

    closed = False

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._file.tell())
        return self._file.read(left if size < 0 else min(size, left))

    def readable(self) -> bool:
        return True

    seekable = readable

    def close(self) -> None:
        pass

    flush = close


def _fields(pyarrow: Any, kind: Any) -> list[Any]:
    """The fields of a struct; none for other types."""
    return [kind.field(at) for at in range(kind.num_fields)] if pyarrow.types.is_struct(kind) else []


def _leaves(pyarrow: Any, schema: Any) -> list[str]:
    """The names of the columns, and of the fields of structs."""
    leaves = []
    for field in schema:
        below = _fields(pyarrow, field.type)
        leaves += [f"{field.name}.{each.name}" for each in below] if below else [field.name]
    return leaves


def _advice(pyarrow: Any, kind: Any, column: str, *, ids: bool) -> str | None:
    """Advice for a column whose type is not text (or, for ids, whole numbers); None if it is."""
    kinds = pyarrow.types
    kind = kind.value_type if kinds.is_dictionary(kind) else kind
    texts = (kinds.is_string, kinds.is_large_string, kinds.is_string_view, kinds.is_binary,
             kinds.is_large_binary, kinds.is_binary_view, kinds.is_null)  # fmt: skip
    if any(test(kind) for test in texts) or (ids and kinds.is_integer(kind)):
        return None
    lists = (kinds.is_list, kinds.is_large_list, kinds.is_fixed_size_list, kinds.is_list_view,
             kinds.is_large_list_view)  # fmt: skip
    if fields := _fields(pyarrow, kind):
        return f"; name one of its fields: {quote_names(f'{column}.{field.name}' for field in fields)}"
    if any(test(kind) for test in lists):
        return "; write a row for each element (pandas: explode)"
    if ids and kinds.is_floating(kind):
        return ": 1 would be written as 1.0, and long ids are rounded; store it as int64 or string"
    return "; store it as string" if not kinds.is_nested(kind) else ""


def _within(pyarrow: Any, batch: Any, path: list[str]) -> Any:
    """A column of a batch, or a field of a struct, which is null where the struct is null."""
    column = batch.column(path[0])
    for part in path[1:]:
        column = pyarrow.compute.struct_field(column, part)
    return column


def _unpacked(pyarrow: Any, column: Any) -> int:
    """The bytes of a column after its dictionary is decoded."""
    if not pyarrow.types.is_dictionary(column.type):
        return int(column.nbytes)
    if pyarrow.types.is_integer(column.dictionary.type):
        return 8 * len(column)
    lengths = pyarrow.compute.binary_length(column.dictionary).take(column.indices)
    return (pyarrow.compute.sum(lengths).as_py() or 0) + 8 * len(column)


def _decoded(pyarrow: Any, column: Any) -> Any:
    """A column without dictionary, since that may be of a whole row group."""
    return column.dictionary_decode() if pyarrow.types.is_dictionary(column.type) else column


def parquet_bytes(columns: Mapping[str, Any], name: str) -> bytes:
    """Columns as a Parquet file."""
    pyarrow, parquet = pyarrow_or_error(name)
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table(dict(columns)), sink, compression="zstd")
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]
