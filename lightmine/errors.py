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
    └── MissingExtraError  an optional dependency is absent: names its packages and how to install them

A message says what was wrong, where, and what to do about it, on one line.
"""

from __future__ import annotations

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

# The packages of each extra in pyproject.toml. A message names these packages and not lightmine's extra, so
# it is right for an installation from a clone and from a wheel. torch is pinned as in the Makefile, because
# the newest one may install gigabytes of CUDA packages. A test compares both files with this table.
EXTRAS = {
    "eval": ("scipy>=1.13",),
    "export": (
        "torch==2.13.0", "onnx>=1.18", "onnxscript>=0.5", "sentence-transformers>=6.0", "sentencepiece>=0.2",
        "transformers>=5.0",
    ),
    "hub": ("huggingface-hub>=0.34",),
    "openvino": ("onnxruntime-ep-openvino>=1.8",),
    "parquet": ("pyarrow>=18",),
    "plot": ("matplotlib>=3.9",),
    "remote": ("fsspec>=2024.6",),
    "zst": ("zstandard>=0.22",),
}  # fmt: skip


def install_line(extra: str, *more: str, only: tuple[str, ...] = ()) -> str:
    """The command that installs the packages of an extra, or `only` some of them, and `more` packages.

    Examples
    --------
    >>> install_line("parquet")
    "pip install 'pyarrow>=18'"
    >>> install_line("remote", "s3fs")
    "pip install 'fsspec>=2024.6' s3fs"
    >>> install_line("export", only=("onnx",))
    "pip install 'onnx>=1.18'"
    """
    packages = [line for line in EXTRAS[extra] if not only or line.split(">=")[0] in only]
    # Quoted where a shell would take the bound for a redirection.
    return " ".join(["pip install", *(f"'{line}'" if ">" in line else line for line in packages), *more])


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
    """An optional dependency is absent; the message names its packages and how to install them."""

    @classmethod
    def of(cls, extra: str, what: str, *more: str, only: tuple[str, ...] = ()) -> MissingExtraError:
        """The error for packages of an extra, `what` needs them, and how to install them.

        `more` and `only` are those of `install_line`.

        Examples
        --------
        >>> print(MissingExtraError.of("plot", "a picture needs matplotlib"))
        a picture needs matplotlib: pip install 'matplotlib>=3.9'
        """
        return cls(f"{what}: {install_line(extra, *more, only=only)}")


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
