"""Gold pairs, mined pairs and scored sentence pairs."""

from fuzz.targets import file, refusing
from lightmine.io.formats import ReadOptions
from lightmine.io.gold import read_gold, read_mined, read_scored

READINGS = (
    ReadOptions(),
    ReadOptions(errors="replace"),
    ReadOptions(encoding="utf-16"),
    ReadOptions(encoding="latin-1"),
)
ROWS = {"a": 0, "b": 1, "1": 2, "2": 3}


def one_input(data):
    choice, data = (data[0], data[1:]) if data else (0, b"")
    reading = READINGS[choice // 4 % len(READINGS)]
    choice %= 4
    with refusing():
        if choice == 0:
            assert read_gold(file("x.gold", data), ROWS, ROWS, reading=reading).pairs
        elif choice == 1:
            pairs, scores = read_mined(file("x.mined", data), reading)
            assert len(pairs) == len(scores)
        else:
            left, right, scores, _ = read_scored(file("x.csv" if choice == 2 else "x.tsv", data), reading)
            assert len(left) == len(right) == len(scores)
