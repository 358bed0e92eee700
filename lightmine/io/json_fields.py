"""Texts and ids from parsed JSON: what JSONL and JSON arrays have in common."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from lightmine.errors import TextError
from lightmine.io.blocks import TEXT_FIELD, quote_names
from lightmine.io.decoding import DecodedLines
from lightmine.io.formats import ReadOptions


class RecordParser:
    """Takes texts and ids from parsed JSON, by the fields that the options name."""

    def __init__(self, lines: DecodedLines, reading: ReadOptions) -> None:
        self._lines, self._reading = lines, reading
        self._text_field = str(reading.text_column or TEXT_FIELD)
        self._id_field = None if reading.id_column is None else str(reading.id_column)
        self.with_ids = self._id_field is not None

    def of_object(self, entry: Any, where: str, *, escaped: bool) -> tuple[str, str]:
        """The text and the id of an object; `escaped` if it may have lone surrogates."""
        if not isinstance(entry, dict):
            raise TextError(f'{where}: is {_type(entry)}, and an object is needed, such as {{"text": "..."}}')
        text, id_ = _field(entry, self._text_field, where), ""
        if text is not None and not isinstance(text, str):
            raise TextError(f"{where}: {self._text_field!r} is {_type(text)}, and text is needed")
        if self._id_field is not None:
            id_ = _field(entry, self._id_field, where, "--id-field")
            if isinstance(id_, bool) or not isinstance(id_, (str, int)):
                raise TextError(
                    f"{where}: {self._id_field!r} is {_type(id_)}; an id is text or a whole number"
                )
        if escaped:
            return self._paired(text or "", where), self._paired(str(id_), where)
        return text or "", str(id_)

    def of_element(self, element: Any, where: str, *, escaped: bool) -> tuple[str, str]:
        """The text and the id of an element of an array: an object, a text, or null, which is blank."""
        if element is None:
            return "", ""
        if not isinstance(element, str):
            return self.of_object(element, where, escaped=escaped)
        if self.with_ids:
            raise TextError(f"{where}: is text, which has no id; leave out --id-field")
        if self._reading.text_column not in (None, 1):
            raise TextError(
                f"{where}: is text, which has no field {self._text_field!r}; leave out "
                "--text-field, or give 1 for this file"
            )
        return (self._paired(element, where) if escaped else element), ""

    def _paired(self, text: str, where: str) -> str:
        """A text without lone surrogates, which JSON can escape and UTF-8 cannot encode."""
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            if self._reading.errors == "strict":
                raise TextError(
                    f"{where}: \\u{ord(text[error.start]):04x} is half a character; correct it, or read it "
                    "with --errors replace"
                ) from None
            whole = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)
            self._lines.replaced += sum(a != b for a, b in zip(text, whole, strict=True))
            return whole
        return text


def unique_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object from its fields; refuses two fields of one name, of which Python would keep the last."""
    entry = dict(pairs)
    if len(entry) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object has the field {quote_names([twice])} twice")
    return entry


def no_constant(name: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python reads and JSON does not have."""
    raise ValueError(f"{name} is no JSON")


def _field(entry: dict[str, Any], field: str, where: str, option: str = "--text-field") -> Any:
    """A field by its name; a name with dots is a field of a field."""
    if field in entry:
        return entry[field]
    found: Any = entry
    for part in field.split("."):
        if not isinstance(found, dict) or part not in found:
            raise TextError(
                f"{where}: has no field {field!r}; it has {quote_names(entry)}: name one with {option}"
            )
        found = found[part]
    return found


def _type(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    kinds: dict[type, str] = {dict: "an object", list: "a list", str: "text"}
    return kinds.get(type(value), "a number")
