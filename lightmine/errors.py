"""Everything that lightmine raises on purpose.

::

    LightmineError
    ├── ArgumentError      an option is out of range, or two inputs do not fit together
    ├── RowIndexError      a result has no such row
    ├── TextError          sentences cannot be read: names the file, the line, the byte
    ├── MatrixError        embeddings cannot be mined: names the row
    ├── BundleError        a model is missing, altered, or cannot be honoured exactly
    ├── BudgetError        the job cannot be done within ``memory_budget``
    ├── OutputError        results cannot be written; nothing was left half done
    ├── StoreError         embeddings on disk are of other texts or options, in use, or damaged
    └── MissingExtraError  an optional dependency is absent: carries the install line

A message says what was wrong, where, and what to do about it, on one line.
"""

__all__ = [
    "ArgumentError",
    "BudgetError",
    "BundleError",
    "LightmineError",
    "MatrixError",
    "MissingExtraError",
    "OutputError",
    "RowIndexError",
    "StoreError",
    "TextError",
]


class LightmineError(Exception):
    """Base of every error that lightmine raises on purpose."""


class ArgumentError(LightmineError, ValueError):
    """An option is out of range, or two inputs do not fit together."""


class RowIndexError(LightmineError, IndexError):
    """A result has no such row, or cannot be indexed in that way."""


class TextError(LightmineError, ValueError):
    """Sentences cannot be read; the message names the file, the line and the byte."""


class MatrixError(LightmineError, ValueError):
    """Embeddings cannot be mined; the message names the row."""


class BundleError(LightmineError):
    """A model is missing, altered, or cannot be honoured exactly."""


class BudgetError(LightmineError, MemoryError):
    """The job cannot be done within the memory budget; the message says what it needs."""


class OutputError(LightmineError, OSError):
    """Results cannot be written; nothing was left half done."""


class StoreError(LightmineError, ValueError):
    """Embeddings on disk are of other texts, of another model or option, in use, or damaged."""


class MissingExtraError(LightmineError, ImportError):
    """An optional dependency is absent; the message carries the install line."""


def one_line(text: object) -> str:
    r"""A text from a file or from another library, on one line, without characters that cannot be printed.

    Examples
    --------
    >>> one_line("a\x1b[2J\n b")
    'a�[2J b'
    """
    words = " ".join(str(text).split())
    return "".join(character if character.isprintable() else "\ufffd" for character in words)


def error_line(error: BaseException, line: int | None = None) -> str:
    r"""The message of another library's error on one line; the name of its class if the message is empty.

    Parameters
    ----------
    error : exception
    line : int, optional
        Take only this line of the message: 0 for the first, -1 for the last. By default all of it.

    Examples
    --------
    >>> error_line(RuntimeError("in a graph:\nno operator Evil"), -1)
    'no operator Evil'
    >>> error_line(EOFError())
    'EOFError'
    """
    lines = [text for text in str(error).splitlines() if text.strip()]
    return one_line(" ".join(lines) if line is None or not lines else lines[line]) or type(error).__name__


def describe_error(error: BaseException) -> str:
    """`error_line` after the name of the error's class.

    Examples
    --------
    >>> describe_error(KeyError("bucket"))
    "KeyError: 'bucket'"
    """
    return one_line(f"{type(error).__name__}: {error}")
