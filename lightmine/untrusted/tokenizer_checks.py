"""Checks of a tokenizer.json before the tokenizers library reads it.

The library is compiled code. A file that makes it allocate more memory than there is ends the process, and
Python cannot catch that.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightmine.errors import BundleError, one_line

# Vocabularies of 250,000 tokens make files of 17 MB.
LARGEST = 256 << 20
# The largest number of characters that a normalizer may replace one match by, in all its steps. Real ones
# use one. The limit bounds the length that an untrusted file can give to a text.
LONGEST_REPLACEMENT = 256


def check_tokenizer(path: Path) -> None:
    """Refuse a file that is too large, is not JSON, or would make the library allocate without limit.

    Raises
    ------
    BundleError
        The message says what is wrong.
    """
    check_size(path)
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: not a tokenizer that can be read: {one_line(error)}") from None
    except RecursionError:
        raise BundleError(f"{path}: not a tokenizer that can be read: nested too deeply") from None
    if not isinstance(found, dict):
        raise BundleError(f"{path}: not a tokenizer that can be read: a JSON object is needed")
    model = found.get("model")
    if isinstance(model, dict) and model.get("dropout"):
        raise BundleError(f"{path}: drops merges at random, and a text would have another vector each time")
    longest = 1
    for step in _steps(found.get("normalizer")):
        if step.get("type") == "Precompiled":
            _check_charsmap(path, step.get("precompiled_charsmap"))
        longest *= max(len(str(step.get(name, ""))) for name in ("content", "prepend")) or 1
    if longest > LONGEST_REPLACEMENT:
        raise BundleError(
            f"{path}: its normalizer makes up to {longest:,} characters of one, and none should make more "
            f"than {LONGEST_REPLACEMENT}"
        )


def check_size(path: Path) -> None:
    """Refuse a file that is larger than any tokenizer's.

    Raises
    ------
    BundleError
        The file is too large, or cannot be read.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise BundleError(f"{path}: not a tokenizer that can be read: {one_line(error)}") from None
    if size > LARGEST:
        raise BundleError(f"{path}: {size:,} bytes, and tokenizers have {LARGEST:,} at most")


def _steps(normalizer: Any) -> Iterator[dict[str, Any]]:
    """Steps of a normalizer, one after the other."""
    waiting = [normalizer]
    while waiting:
        step = waiting.pop()
        if isinstance(step, dict):
            yield step
            inner = step.get("normalizers")
            waiting += inner if isinstance(inner, list) else []


def _check_charsmap(path: Path, text: Any) -> None:
    """Check the size of the tree at the start of a table of characters; the library does not check it."""
    try:
        table = base64.b64decode(text, validate=True)
    except (ValueError, TypeError):
        raise BundleError(f"{path}: its precompiled_charsmap is not base64") from None
    size = int.from_bytes(table[:4], "little")
    if len(table) < 4 or size % 4 or not 4 <= size <= len(table) - 4:
        raise BundleError(
            f"{path}: its precompiled_charsmap has {len(table):,} bytes and claims a tree of {size:,}"
        )
