"""Find translations: encode both sides, mine by margin, look at the scores, choose the limits.

    python examples/python/bitext.py [SOURCE TARGET]

Each file holds one sentence a line. Without them, the English and German sentences of this repository
are taken.
"""

from __future__ import annotations

import sys
from pathlib import Path

import lightmine

EXAMPLES = Path(__file__).parents[1]


def main(source_path: Path, target_path: Path) -> None:
    source = source_path.read_text(encoding="utf-8").splitlines()
    target = target_path.read_text(encoding="utf-8").splitlines()

    # The packaged model puts sentences of 27 languages into one space.
    encoder = lightmine.Encoder.load()
    x, y = encoder.encode(source), encoder.encode(target)
    print(f"{len(source)} source and {len(target)} target sentences")

    # The margin compares the cosine of a pair with those of its neighbors. With retrieval="forward" every
    # source sentence finds something, also one that has no translation: those have the lowest margins.
    found = lightmine.mine_bitext(x, y, retrieval="forward")
    print("\nthe lowest margins, where every source sentence finds something:")
    show(found[-4:], source, target)

    # The model says which margin and which cosine a translation reaches. By default mining uses each
    # sentence once.
    limits = encoder.manifest.thresholds
    print(
        f"\nthe model recommends a margin of {limits['bitext']:g} and a cosine of {limits['bitext_cosine']:g}"
    )
    pairs = lightmine.mine_bitext(x, y, threshold=limits["bitext"], min_cosine=limits["bitext_cosine"])
    print(f"{len(pairs)} pairs reach both; the best eight:")
    show(pairs[:8], source, target)


def show(pairs: lightmine.Bitext, source: list[str], target: list[str]) -> None:
    print("  margin  cosine  source and target")
    for margin, cosine, left, right in zip(pairs.score, pairs.cosine, pairs.left, pairs.right, strict=True):
        print(f"  {margin:6.3f}  {cosine:6.3f}  {source[left]}\n{'':18}{target[right]}")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    else:
        main(EXAMPLES / "english.txt", EXAMPLES / "german.txt")
