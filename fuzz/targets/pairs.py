"""Gold pairs, mined pairs and scored sentence pairs."""

from fuzz.targets import file, refusing
from lightmine.texts.gold import read_gold, read_mined, read_scored

ROWS = {"a": 0, "b": 1, "1": 2, "2": 3}


def one_input(data):
    choice, data = (data[0] % 4, data[1:]) if data else (0, b"")
    with refusing():
        if choice == 0:
            assert read_gold(file("x.gold", data), ROWS, ROWS)
        elif choice == 1:
            pairs, scores = read_mined(file("x.mined", data))
            assert len(pairs) == len(scores)
        else:
            left, right, scores = read_scored(file("x.csv" if choice == 2 else "x.tsv", data))
            assert len(left) == len(right) == len(scores)
