"""Find questions that ask the same thing: encode, mine, look at the scores, choose a threshold.

    python examples/python/paraphrases.py [FILE]

FILE holds one sentence a line. Without it, the questions of this repository are taken.
"""

from __future__ import annotations

import sys
from pathlib import Path

import lightmine

EXAMPLES = Path(__file__).parents[1]


def main(path: Path) -> None:
    sentences = path.read_text(encoding="utf-8").splitlines()

    # The packaged model: no download, no PyTorch. Each row of x is the unit vector of one sentence.
    encoder = lightmine.Encoder.load()
    x = encoder.encode(sentences)
    print(f"{len(sentences)} sentences, vectors of {x.shape[1]} dimensions")

    # Without a threshold, mining keeps all pairs up to max_pairs. The best come first.
    pairs = lightmine.mine_paraphrases(x)
    print("\npairs that reach a threshold:")
    for threshold in (0.9, 0.8, 0.7, 0.6, 0.5, 0.4):
        print(f"  {threshold}  {int((pairs.score >= threshold).sum()):5}")

    # The model says from which cosine on most pairs are paraphrases. Look at the pairs near it.
    threshold = encoder.manifest.thresholds["paraphrase"]
    kept = int((pairs.score >= threshold).sum())
    print(f"\nthe model recommends {threshold:g}; the last pairs over it, and the first under it:")
    show(pairs[max(0, kept - 3) : kept], sentences)
    print("  ------")
    show(pairs[kept : kept + 3], sentences)

    print("\nthe best pairs:")
    show(pairs[: min(kept, 8)], sentences)


def show(pairs: lightmine.Pairs, sentences: list[str]) -> None:
    for score, left, right in pairs:
        print(f"  {score:.3f}  {sentences[left]:52}  {sentences[right]}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else EXAMPLES / "questions.txt")
