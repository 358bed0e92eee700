"""JSONL: one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from lightmine.errors import TextError
from lightmine.io.blocks import BlockBuilder, SentenceBlock
from lightmine.io.decoding import DecodedLines
from lightmine.io.formats import ReadOptions
from lightmine.io.json_fields import RecordParser, no_constant, unique_fields

ARRAY = "if the file is one array, say --input-format json"


def jsonl_blocks(lines: DecodedLines, reading: ReadOptions) -> Iterator[SentenceBlock]:
    """Sentences and ids from JSONL."""
    records = RecordParser(lines, reading)
    made = BlockBuilder(0)
    for block in lines:
        made = BlockBuilder(made.total)
        for number, line in enumerate(block, made.total + 1):
            if not line.strip():
                made.add("", number, "")
                continue
            where = f"{lines.name}: line {number}"
            entry = _parse(line, where)
            if isinstance(entry, list):
                raise TextError(f"{where}: is a list, and an object is needed; {ARRAY}")
            text, id_ = records.of_object(entry, where, escaped="\\ud" in line or "\\uD" in line)
            made.add(text, number, id_)
        yield made.block(ids=records.with_ids)


def _parse(line: str, where: str) -> Any:
    try:
        return json.loads(line, parse_constant=no_constant, object_pairs_hook=unique_fields)
    except json.JSONDecodeError as error:
        needed = "one object a line is needed"
        if line.lstrip().startswith("["):
            needed += f"; {ARRAY}"
        elif error.pos >= len(line.rstrip()):
            needed += " (jq -c . FILE writes objects so)"
        raise TextError(f"{where}, character {error.pos + 1}: not JSON: {error.msg}; {needed}") from None
    except RecursionError:
        raise TextError(f"{where}: not a record: it is nested too deep") from None
    except ValueError as error:  # a number of thousands of digits, NaN, a field twice
        raise TextError(f"{where}: not JSON that is read here: {str(error).partition(';')[0]}") from None
