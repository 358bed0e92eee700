"""The packages that the exporter needs in addition to lightmine's own, and the error where one is missing.

This module imports none of them.
"""

from __future__ import annotations

import importlib
import importlib.util

from lightmine.errors import MissingExtraError, error_line

# As they are installed. A folder that has ONNX files needs less.
PACKAGES = ("torch", "transformers", "sentence-transformers", "onnx")
FOR_ONNX = ("onnx",)


def refuse_without_packages(*, from_onnx: bool) -> None:
    """Look whether the packages are installed, without importing them.

    Raises
    ------
    MissingExtraError
        One is not installed.
    """
    needed = FOR_ONNX if from_onnx else PACKAGES
    missing = [name for name in needed if not _is_installed(name)]
    if missing:
        raise _missing(f"exporting needs {', '.join(missing)}, which running does not", from_onnx)


def import_packages(*, from_onnx: bool = False) -> None:
    """Import the packages.

    Raises
    ------
    MissingExtraError
        One cannot be imported; the message says why.
    """
    for name in FOR_ONNX if from_onnx else PACKAGES:
        try:
            importlib.import_module(_module(name))
        except ImportError as error:
            what = f"exporting needs {name}, which cannot be imported ({error_line(error, 0)})"
            raise _missing(what, from_onnx) from error


def _missing(what: str, from_onnx: bool) -> MissingExtraError:
    return MissingExtraError.of("export", what, only=FOR_ONNX if from_onnx else ())


def _is_installed(name: str) -> bool:
    return importlib.util.find_spec(_module(name)) is not None


def _module(name: str) -> str:
    return name.replace("-", "_")
