"""``lightmine encode`` to a pipe, a device or a compressed file, which cannot be resumed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightmine.cli._encode_ranges import int8_ranges
from lightmine.cli._inputs import read_noted
from lightmine.cli._notes import in_words, note, note_truncated
from lightmine.encoder.encoder import Encoder
from lightmine.io.formats import ReadOptions
from lightmine.io.output import open_binary
from lightmine.io.sentences import Sentences
from lightmine.progress import Bar


def encode_to_stream(
    file: str,
    reading: ReadOptions,
    output: str,
    encoder: Encoder,
    ranges: str | None,
    options: dict[str, Any],
    quiet: bool,
) -> None:
    """Encode a file, of which all lines are read first."""
    bar = Bar("encoding", "sentence", quiet=quiet)
    with open_binary(output) as stream:
        sentences = read_noted(file, reading, quiet=quiet)
        if ranges is not None:
            options["ranges"] = int8_ranges(ranges, encoder, sentences.texts, options, quiet)
        blocks = encoder.stream(sentences.texts, progress=bar, **options | {"no_tokens": "zeros"})
        width = 0
        for rows in _by_line(blocks, sentences):
            if not width:
                width = rows.shape[1]
                header = {"descr": rows.dtype.str, "fortran_order": False, "shape": (sentences.total, width)}
                np.lib.format.write_array_header_1_0(stream, header)
            stream.write(rows.tobytes())
        note_truncated(
            encoder, sentences.name, encoder.truncated, max_tokens=options["max_tokens"], quiet=quiet
        )
    if empty := len(encoder.without_tokens):
        what = f"{in_words(empty, 'line')} without a token of {encoder.manifest.name}"
        note(f"{sentences.name}: {what}: rows of zeros", quiet=quiet)
    kind = "" if options["precision"] == "float32" else f", {options['precision']}"
    dimension = options["truncate_dim"] or encoder.manifest.dimension
    note(f"{sentences.total:,} vectors of {dimension} dimensions{kind} to {output}", quiet=quiet)


def _by_line(blocks: Iterator[NDArray[Any]], sentences: Sentences) -> Iterator[NDArray[Any]]:
    """Blocks with a row for every line of the file, zeros for a blank line."""
    encoded = written = 0
    places = sentences.places()
    for block in blocks:
        at = np.array(places[encoded : encoded + len(block)])
        encoded += len(block)
        until = int(at[-1]) + 1 if encoded < len(sentences) else sentences.total
        rows = np.zeros((until - written, block.shape[1]), block.dtype)
        rows[at - written] = block
        written = until
        yield rows
