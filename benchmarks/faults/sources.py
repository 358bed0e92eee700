"""Source files to try faults on, and checks of the outputs by code that is independent of lightmine."""

from __future__ import annotations

import random
import re
from pathlib import Path

import numpy as np


def made_up(count: int, seed: int) -> str:
    """Lines of all kinds: repeated, blank, long, of several scripts, with odd characters in them."""
    rng = random.Random(seed)
    words = ["the", "cat", "dog", "sat", "ran", "under", "sky", "Hund", "猫", "собака", "\u2028", "\x00"]
    kinds = [lambda: "", lambda: " \t", lambda: "\u3000", lambda: "word " * 900]
    lines = []
    for number in range(count):
        text = " ".join(rng.choices(words, k=rng.randint(1, 15)))
        lines.append(rng.choice(kinds)() if rng.random() < 0.02 else f"{text} {number % 997}")
    return "\n".join(lines) + "\n"


def wrong_rows(matrix: Path, source: Path) -> list[str]:
    """What is wrong: a row for each line of the source is needed, of zeros exactly for blank lines."""
    lines = source.read_bytes().split(b"\n")
    if not lines[-1]:
        lines.pop()
    texts = [line.decode().removesuffix("\r") for line in lines]
    rows = np.load(matrix, mmap_mode="r", allow_pickle=False)
    if len(rows) != len(texts):
        return [f"{len(rows)} rows of {len(texts)} lines"]
    blank = [not text.strip() for text in texts]
    return ["zeros are not where lines are blank"] * ((np.abs(rows).max(axis=1) == 0).tolist() != blank)


def wrong_pairs(pairs: Path, source: Path) -> list[str]:
    """Pairs whose text is not that of the lines that they name."""
    lines = source.read_text(encoding="utf-8").split("\n")
    wrong = []
    for row in pairs.read_text(encoding="utf-8").removesuffix("\n").split("\n")[1:]:
        _, left, right, *texts = row.split("\t")
        for numbers, text in zip((left, right), texts, strict=True):
            text = re.sub(r"\\(.)", lambda m: {"t": "\t", "n": "\n", "r": "\r"}.get(m[1], m[1]), text)
            wrong += [f"line {n}" for n in numbers.split(",") if lines[int(n) - 1].removesuffix("\r") != text]
    return wrong
