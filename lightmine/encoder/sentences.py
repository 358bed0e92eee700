"""Checks of an encoder's input: strings in an order, as many as the container's length says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any

from lightmine.errors import TextError

# The attributes of tables of pandas, polars, Arrow and datasets that name their columns.
COLUMNS = ("column_names", "columns")


def check_container(sentences: Any) -> None:
    """Refuse a container that Python can iterate over but that is not a list of strings.

    A table would give the names of its columns, a mapping its keys, a set its items in any order.

    Raises
    ------
    TextError
        The message says what to pass.

    Examples
    --------
    >>> check_container({"a", "b"})
    Traceback (most recent call last):
    lightmine.errors.TextError: sentences is a set, which has no order; pass a list
    """
    kind = type(sentences).__name__
    if isinstance(sentences, str | bytes):
        raise TextError("sentences must be a list of strings, not one string; put it in a list")
    for name in COLUMNS:
        # An Arrow array or a Series has neither. A class may have any attribute.
        columns = getattr(sentences, name, None)
        if columns is not None and not isinstance(sentences, type):
            raise TextError(f"sentences is a {kind} with {_names(columns)}; pass one column: df['text']")
    if isinstance(sentences, Mapping):
        raise TextError(
            f"sentences is a {kind} with the keys {_shown(sentences)}; pass a list of strings: d['text']"
        )
    if isinstance(sentences, Set):
        raise TextError(f"sentences is a {kind}, which has no order; pass a list")
    if not isinstance(sentences, Iterable):
        raise TextError(f"sentences is a {kind}, not a list of strings")
    shape = getattr(sentences, "shape", (0,))
    if isinstance(shape, tuple) and len(shape) != 1:
        raise TextError(f"sentences is a {kind} of shape {shape}; pass one row of strings: sentences.ravel()")


def check_filled(sentences: Any, length: int, given: int, *, more_to_come: bool = False) -> None:
    """Refuse a container that gives another number of items than its length.

    Raises
    ------
    TextError
    """
    if given > length or (given < length and not more_to_come):
        raise TextError(
            f"sentences is a {type(sentences).__name__} whose length is {length:,}, and it gave "
            f"{'over ' * more_to_come}{length if more_to_come else given:,} items; pass a list"
        )


def check_sentences(sentences: Iterable[str], *, start: int = 0) -> None:
    """Refuse items that are not strings; the message names the position of the first one.

    `start` is the position of the first item.

    Examples
    --------
    >>> check_sentences(["fine", None])
    Traceback (most recent call last):
    lightmine.errors.TextError: sentences[1] is a NoneType, not a string; drop or convert it
    """
    for position, sentence in enumerate(sentences, start=start):
        if not isinstance(sentence, str):
            kind = type(sentence).__name__
            raise TextError(f"sentences[{position}] is a {kind}, not a string; drop or convert it")
        if not sentence.isascii() and any("\ud800" <= character <= "\udfff" for character in sentence):
            raise TextError(
                f"sentences[{position}] has half a surrogate pair, which is not a character; correct it"
            )


def _names(columns: Any) -> str:
    try:
        names = list(columns)
    except TypeError:
        names = []
    return f"the columns {_shown(names)}" if names else "columns"


def _shown(names: Iterable[Any]) -> str:
    some = [repr(name)[:24] for name in names]
    return ", ".join(some[:4]) + (f" and {len(some) - 4} more" if len(some) > 4 else "") if some else "none"
