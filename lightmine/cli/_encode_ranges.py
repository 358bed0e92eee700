"""The ranges of int8 vectors: read from a file, or made from a sample of the sentences."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightmine.cli._notes import note
from lightmine.encoder.encoder import Encoder
from lightmine.io.output import open_binary
from lightmine.untrusted.arrays import read_array

# Largest number of sentences that ranges are made from.
CALIBRATION = 10_000


def int8_ranges(
    path: str, encoder: Encoder, lines: Iterable[str], options: dict[str, Any], quiet: bool
) -> NDArray[Any]:
    """Ranges from a file, or from a sample of the sentences, written to that file."""
    if Path(path).exists():
        return read_array(path)
    sample = _sample(lines)
    found: NDArray[Any] = encoder.calibrate(sample, **options | {"precision": "float32"})
    with open_binary(path) as stream:
        np.lib.format.write_array(stream, found, allow_pickle=False)
    note(f"ranges of {len(sample):,} sentences to {path}", quiet=quiet)
    return found


def _sample(lines: Iterable[str]) -> list[str]:
    """Sentences spread evenly over all lines, since files are often sorted.

    When there are too many, every second one is removed.
    """
    sample: list[str] = []
    step = 1
    for place, text in enumerate(line for line in lines if line.strip()):
        if place % step == 0:
            sample.append(text)
        if len(sample) > CALIBRATION:
            sample, step = sample[::2], step * 2
    return sample
