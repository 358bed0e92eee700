"""The format and compression of a file, and the options of reading it."""

from __future__ import annotations

import codecs
import dataclasses
from pathlib import PurePosixPath

from lightmine.errors import ArgumentError
from lightmine.io.compression import NAMES as COMPRESSIONS

STDIN = "-"
FORMATS = ("txt", "tsv", "csv", "jsonl", "json", "parquet")
ENDINGS = {"tsv": "tsv", "tab": "tsv", "csv": "csv", "jsonl": "jsonl", "ndjson": "jsonl",
           "json": "json", "parquet": "parquet", "pq": "parquet"}  # fmt: skip
# Endings of formats that are not read. Other unknown endings are read as text.
REFUSED = frozenset(
    [
        "zip",
        "tar",
        "tgz",
        "tbz",
        "txz",
        "7z",
        "rar",
        "xlsx",
        "xls",
        "ods",
        "docx",
        "doc",
        "odt",
        "rtf",
        "pdf",
        "ppt",
        "pptx",
        "epub",
        "html",
        "htm",
        "xhtml",
        "xml",
        "tmx",
        "tbx",
        "xlf",
        "xliff",
        "sdlxliff",
        "mqxliff",
        "po",
        "pot",
        "mo",
        "srt",
        "vtt",
        "arrow",
        "feather",
        "orc",
        "avro",
        "npy",
        "npz",
        "h5",
        "hdf5",
        "pkl",
        "pickle",
        "sqlite",
        "db",
        "png",
        "jpg",
        "jpeg",
        "gif",
        "mp3",
        "mp4",
    ]
)
# Text codecs in which a newline is not encoded as a newline.
NO_LINES = frozenset({"utf-7", "unicode-escape", "raw-unicode-escape", "idna", "punycode", "undefined"})
ERRORS = ("strict", "replace")

Column = int | str


@dataclasses.dataclass(frozen=True)
class Kind:
    """A format, and its compression if it has one."""

    format: str
    compression: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """Options of reading a file.

    Attributes
    ----------
    format : str, optional
        One of `FORMATS`, alone or followed by ``.gz``, ``.bz2``, ``.xz`` or ``.zst``; by default from the
        name of the file.
    text_column, id_column : int or str, optional
        The column, by number from 1 or by name, of the sentence and of its id; in JSON and JSONL the field.
        With a name, the first line of TSV or CSV is a header.
    header : bool
        The first line of TSV or CSV is a header, also if columns are given by number.
    encoding : str
        A text codec of Python.
    delimiter : str, optional
        The character between columns of CSV; by default a comma.
    errors : str
        ``strict`` refuses invalid bytes, ``replace`` replaces them with U+FFFD and counts them.
    """

    format: str | None = None
    text_column: Column | None = None
    id_column: Column | None = None
    header: bool = False
    encoding: str = "utf-8"
    errors: str = "strict"
    delimiter: str | None = None

    def __post_init__(self) -> None:
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise ArgumentError(f"a delimiter is one character, or tab, and no quote; not {self.delimiter!r}")
        if self.format is not None:
            parse_kind(self.format)
        if self.errors not in ERRORS:
            raise ArgumentError(f"errors is strict or replace, not {self.errors!r}")
        for name, column in (("text_column", self.text_column), ("id_column", self.id_column)):
            if isinstance(column, int) and column < 1:
                raise ArgumentError(f"{name} counts from 1, not {column}")
        if self.id_column is not None and self.id_column == self.text_column:
            raise ArgumentError(f"column {self.id_column} cannot be both the id and the text")
        try:
            codec = codecs.lookup(self.encoding).name.replace("_", "-")
            b"".decode(self.encoding)
            if codec in NO_LINES or (
                "\n".encode(codec) != b"\n" and not codec.startswith(("utf-8", "utf-16", "utf-32"))
            ):
                raise LookupError
        except (LookupError, UnicodeError, ValueError):
            raise ArgumentError(
                f"{self.encoding!r} is no encoding of lines of text that Python knows; utf-8, utf-16, "
                "latin-1, cp1252, gb18030, shift_jis and euc-kr are some"
            ) from None

    def kind(self, path: str) -> Kind:
        """The format of the file at `path`: that of the options, or else that of its name."""
        if self.format is None:
            return kind_of(path)
        kind = parse_kind(self.format)
        return kind if kind.compression else Kind(kind.format, compression_of(path))


def parse_kind(format: str) -> Kind:  # noqa: A002 (the option's name)
    """The format and compression that a name like ``jsonl.zst`` stands for.

    Examples
    --------
    >>> parse_kind("jsonl.zst")
    Kind(format='jsonl', compression='zst')
    """
    name, _, compression = format.partition(".")
    if name not in FORMATS or (compression and compression not in COMPRESSIONS):
        raise ArgumentError(
            f"no format {format!r}; there are {', '.join(FORMATS)}, each alone or with "
            f".{', .'.join(COMPRESSIONS)} behind it"
        )
    return Kind(name, compression or None)


def compression_of(path: str) -> str | None:
    """The compression of a file, from the ending of its name.

    Examples
    --------
    >>> compression_of("a.txt.GZ"), compression_of("https://example.org/a.csv?x=1.gz")
    ('gz', None)
    """
    ending = PurePosixPath(plain_name(path)).suffix.lower().removeprefix(".")
    return ending if ending in COMPRESSIONS else None


def kind_of(path: str) -> Kind:
    """The format of a file, from its name; standard input and unknown endings are plain text.

    Raises
    ------
    ArgumentError
        The name is of a format that is not read.

    Examples
    --------
    >>> kind_of("corpus/a.jsonl.zst"), kind_of("de-en.de")
    (Kind(format='jsonl', compression='zst'), Kind(format='txt', compression=None))
    """
    name, compression = plain_name(path), compression_of(path)
    stem = PurePosixPath(name.removesuffix("." + name.rpartition(".")[2]) if compression else name)
    ending = stem.suffix.lower().removeprefix(".")
    if ending in REFUSED:
        raise ArgumentError(
            f"{path}: .{ending} is not read; make a file of a sentence a line, or JSONL, of it, or say "
            f"--input-format, if it is one of {', '.join(FORMATS)} all the same"
        )
    return Kind(ENDINGS.get(ending, "txt"), compression)


def is_url(path: str) -> bool:
    """Whether a path names a protocol, and is opened with fsspec.

    Examples
    --------
    >>> is_url("s3://bucket/a.txt"), is_url("/data/a.txt")
    (True, False)
    """
    return "://" in path


def plain_name(path: str) -> str:
    """The last part of a path, without the query and fragment of a URL."""
    if is_url(path):
        path = path.partition("::")[0].partition("?")[0].partition("#")[0]
    return path.replace("\\", "/").rpartition("/")[2]
