"""What margin buys, whether the compat modes are their peers, and how near calibration comes, on real sets.

::

    python -m benchmarks.bitext --data DIR --json FILE

Bitext: six language pairs, BUCC-style. Paraphrases: nine languages. References stand in tests/peers.py.
A set that is not in the data folder is skipped with one line. --only speed mines 100,000 x 100,000 once,
saves the neighbours, and times `lightmine margin` on them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import lightmine
from benchmarks.inputs import WORK, distinct_pairs, minilm_bundle, write_lines
from benchmarks.quality import Encode, lines
from lightmine import evaluation as evaluate
from lightmine.bitext.presets import RETRIEVALS, margin_spec
from lightmine.calibration.threshold import Curve, choose, curve_of
from lightmine.calibration.unlabelled import MORE_NEIGHBORS, PAIRS_A_SENTENCE, bitext_truth, paraphrase_truth
from lightmine.errors import ArgumentError
from tests import peers

RESULTS = Path(__file__).parent / "results/bitext.json"
PAIRS = ("de", "fr", "es", "nl", "zh", "ru")
PARAPHRASES = ("eng", "deu", "fra", "spa", "nld", "zho", "ita", "por", "rus")
KS = (1, 2, 4, 8, 16)
WANTED = 0.9
RANDOM_PAIRS = 5_000_000


@dataclasses.dataclass(frozen=True)
class Planted:
    """One BUCC-style set: unit rows of both sides, and the gold pairs as rows."""

    x: np.ndarray
    y: np.ndarray
    gold: np.ndarray


def planted(encode: Encode, data: Path, two: str) -> Planted | None:
    """A set, or None with a line where it is not there."""
    paths = [data / f"bucc_style/{two}-en.{end}" for end in (two, "en", "gold")]
    if absent := [path for path in paths if not path.exists()]:
        print(f"skipped BUCC-style {two}: no {absent[0]}", file=sys.stderr)
        return None
    rows = [[line.split("\t", 1) for line in lines(path)] for path in paths]
    numbers = [{name: number for number, (name, _) in enumerate(side)} for side in rows[:2]]
    gold = np.array([(numbers[0][left], numbers[1][right]) for left, right in rows[2]])
    return Planted(*(encode([text for _, text in side]) for side in rows[:2]), gold)


def margins(sets: dict[str, Planted]) -> list[dict[str, Any]]:
    """Best F1 of every margin, k and retrieval."""
    found = []
    for two, one in sets.items():
        near = lightmine.neighbors(one.x, one.y, k=max(KS), both=True)
        for margin in ("ratio", "distance", "absolute"):
            for k in KS:
                for retrieval in RETRIEVALS:
                    pairs = lightmine.retrieve(near, k=k, k_backward=k, margin=margin, retrieval=retrieval)
                    quality = evaluate.bitext_mining(pairs.left, pairs.right, pairs.score, one.gold)
                    found.append(
                        {"language": two, "margin": margin, "k": k, "retrieval": retrieval,
                         "f1": round(quality.f1, 6), "threshold": round(quality.threshold, 6)}
                    )  # fmt: skip
    return found


def curves(sets: dict[str, Planted]) -> dict[str, dict[str, list[list[float]]]]:
    """Precision over recall of ratio margin and of plain cosine, for the plot."""
    found: dict[str, dict[str, list[list[float]]]] = {}
    for two, one in sets.items():
        true = set(map(tuple, one.gold.tolist()))
        for margin in ("ratio", "absolute"):
            pairs = lightmine.mine_bitext(one.x, one.y, margin=margin)
            curve = curve_of(pairs.score, _judged(pairs, true), gold=len(true)).thinned(150)
            found.setdefault(two, {})[margin] = np.round([curve.recall, curve.precision], 4).tolist()
    return found


def compat(sets: dict[str, Planted]) -> list[dict[str, Any]]:
    """Each compat mode beside its reference: pairs that only one has, the largest difference of margins."""
    cases = [("laser", {"retrieval": retrieval}) for retrieval in RETRIEVALS]
    cases += [("stopes", {}), ("sentence-transformers", {})]
    references = {
        "laser": peers.laser, "stopes": peers.stopes, "sentence-transformers": peers.sentence_transformers,
    }  # fmt: skip
    found = []
    for two, one in sets.items():
        for name, options in cases:
            theirs = {(i, j): score for score, i, j in references[name](one.x, one.y, **options)}
            mined = lightmine.mine_bitext(one.x, one.y, compat=name, **options)
            ours = {(i, j): score for score, i, j in mined}
            both = ours.keys() & theirs.keys()
            found.append(
                {"language": two, "compat": name, "retrieval": options.get("retrieval", "max"),
                 "pairs": len(theirs), "only_one_has": len(ours.keys() ^ theirs.keys()),
                 "largest_difference": max(abs(ours[pair] - theirs[pair]) for pair in both)}
            )  # fmt: skip
    return found


def calibrated_bitext(sets: dict[str, Planted]) -> list[dict[str, Any]]:
    """Thresholds chosen without gold, and what they give by the gold."""
    found = []
    rule = margin_spec()
    for two, one in sets.items():
        true = set(map(tuple, one.gold.tolist()))
        near = lightmine.neighbors(one.x, one.y, k=rule.k + MORE_NEIGHBORS, both=True)
        pairs, truth = bitext_truth(near, rule)
        right = _judged(pairs, true)
        rng = np.random.default_rng(0)
        # Margins of random pairs, as the plainest null: every pair that is not mined is one.
        chosen = np.stack([rng.integers(0, len(side), RANDOM_PAIRS // 10) for side in (one.x, one.y)], axis=1)
        random = lightmine.score_bitext(one.x, one.y, chosen).score
        found.append(
            {"set": "BUCC-style", "language": two}
            | _calibrated(pairs.score, right, truth, len(true), random, len(one.x) * len(one.y))
        )
    return found


def calibrated_paraphrases(encode: Encode, data: Path) -> list[dict[str, Any]]:
    """The same for paraphrases."""
    found = []
    for code in PARAPHRASES:
        paths = data / f"paraphrase/{code}.txt", data / f"paraphrase/{code}.gold.tsv"
        if absent := [path for path in paths if not path.exists()]:
            print(f"skipped paraphrase {code}: no {absent[0]}", file=sys.stderr)
            continue
        x = encode(lines(paths[0]))
        true = {
            (min(pair), max(pair)) for pair in (tuple(map(int, line.split("\t"))) for line in lines(paths[1]))
        }
        n = len(x)
        pairs = lightmine.mine_paraphrases(x, max_pairs=PAIRS_A_SENTENCE * n)
        rng = np.random.default_rng(0)
        left, right = rng.integers(0, n, (2, RANDOM_PAIRS))
        apart = left != right
        random = np.concatenate(
            [
                np.vecdot(x[a], x[b])
                for a, b in zip(
                    np.array_split(left[apart], 50), np.array_split(right[apart], 50), strict=True
                )
            ]
        )
        found.append(
            {"set": "paraphrase", "language": code}
            | _calibrated(
                pairs.score, _judged(pairs, true), paraphrase_truth(pairs.score, n), len(true), random,
                n * (n - 1) // 2,
            )
        )  # fmt: skip
    return found


def _judged(pairs: Any, true: set[tuple[int, int]]) -> np.ndarray:
    return np.array([pair in true for pair in zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)])


def _calibrated(
    score: np.ndarray, right: np.ndarray, truth: np.ndarray, gold: int, random: np.ndarray, all_pairs: int
) -> dict[str, Any]:
    """The threshold of the estimate, of gold, and of random pairs, and the real precision at each."""
    judged = curve_of(score, right, gold=gold)
    over = np.searchsorted(np.sort(-random), -score, side="right") * (all_pairs / len(random))
    plain = 1 - np.diff(np.minimum(over, np.arange(1, len(score) + 1)), prepend=0)
    return {
        "estimate": _outcome(curve_of(score, truth), score, right),
        "on_gold": _outcome(judged, score, right),
        "random_pairs": _outcome(curve_of(score, plain), score, right),
        "best_precision_on_gold_of_100_or_more": round(float(judged.precision[judged.taken >= 100].max()), 4),
    }


def _outcome(curve: Curve, score: np.ndarray, right: np.ndarray) -> dict[str, float | int] | None:
    """The lowest threshold with the wanted precision, and the real one there; None where there is none."""
    try:
        chosen = choose(curve, precision=WANTED)
    except ArgumentError:
        return None
    taken = score.astype(np.float64) >= chosen.threshold
    return {"threshold": round(chosen.threshold, 4), "taken": int(taken.sum()),
            "precision": round(float(right[taken].mean()), 4)}  # fmt: skip


def same_as_sentence_transformers(encode: Encode, data: Path) -> dict[str, Any] | None:
    """Our figures and those of its evaluator, on English, with the same vectors.

    Its scores come of float32 products, which tell pairs of equal cosine apart by their rounding; so it is
    asked again with its scores rounded to six places, where such pairs are tied as they are with us.
    """
    path = data / "paraphrase/eng.txt"
    if not path.exists():
        return None
    from sentence_transformers.sentence_transformer.evaluation import paraphrase_mining as module

    from tests.fixed import FixedVectors

    texts, gold = lines(path), [line.split("\t") for line in lines(data / "paraphrase/eng.gold.tsv")]
    x = encode(texts)
    evaluator = module.ParaphraseMiningEvaluator(
        {str(i): text for i, text in enumerate(texts)}, [tuple(pair) for pair in gold], write_csv=False
    )
    mine = module.paraphrase_mining

    def rounded(*args: Any, **options: Any) -> list[Any]:
        return sorted(
            ([round(score, 6), i, j] for score, i, j in mine(*args, **options)), key=lambda p: -p[0]
        )

    theirs = evaluator(FixedVectors(texts, x))
    module.paraphrase_mining = rounded
    tied = evaluator(FixedVectors(texts, x))
    module.paraphrase_mining = mine
    found = lightmine.mine_paraphrases(x)
    ours = dataclasses.asdict(
        evaluate.paraphrase_mining(found.left, found.right, found.score, np.array(gold, np.int64))
    )
    return {
        name: {
            "lightmine": ours[name],
            "sentence_transformers": float(theirs[name]),
            "tied": float(tied[name]),
        }
        for name in ours
    }


def speed(data: Path, work: Path, count: int, before: dict[str, Any]) -> dict[str, Any]:
    """Mine once from texts, keep the neighbours, and change the threshold: seconds and memory of each.

    Neighbours that an earlier run left in the work folder are not mined again.
    """
    work.mkdir(parents=True, exist_ok=True)
    pairs = distinct_pairs(data, count)
    paths = [work / f"speed.{end}" for end in ("en", "de")]
    for path, side in zip(paths, (0, 1), strict=True):
        write_lines(path, [pair[side] for pair in pairs])
    near, out = work / "speed.npz", work / "speed.tsv"
    program = [sys.executable, "-m", "lightmine"]
    commands = {
        "bitext": ["bitext", *map(str, paths), "--save-neighbors", str(near)],
        "margin": ["margin", str(near), "--threshold", "1.1"],
        "margin_intersect_distance": [
            "margin",
            str(near),
            "--retrieval",
            "intersect",
            "--margin",
            "distance",
        ],
    }
    found: dict[str, Any] = {"sentences": len(pairs)}
    for name, command in commands.items():
        if name == "bitext" and near.exists() and before.get("sentences") == len(pairs):
            found[name] = before[name]
            continue
        seconds, used = [], _processor_seconds()
        for _ in range(1 if name == "bitext" else 5):
            started = time.perf_counter()
            subprocess.run([*program, *command, "-q", "-o", str(out)], check=True)
            seconds.append(time.perf_counter() - started)
        used = (_processor_seconds() - used) / len(seconds)
        found[name] = {"seconds": round(float(np.median(seconds)), 2), "processor_seconds": round(used, 2)}
        if name == "bitext":
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            found[name]["peak_mib_of_the_process"] = round(peak)
    found["file_mib"] = round(near.stat().st_size / 2**20, 1)
    return found


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the sets")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the results go")
    parser.add_argument(
        "--only", choices=["mining", "evaluator", "speed"], help="speed runs when it is named"
    )
    parser.add_argument("--speed", type=int, default=100_000, metavar="N", help="time N x N")
    parser.add_argument("--work", type=Path, default=WORK)
    options = parser.parse_args(argv)
    results = json.loads(options.json.read_text(encoding="utf-8")) if options.json.exists() else {}
    if options.only == "speed":
        results["speed"] = speed(options.data, options.work, options.speed, results.get("speed", {}))
    if options.only in (None, "mining"):
        encoder = lightmine.Encoder.load()
        sets = {two: one for two in PAIRS if (one := planted(encoder.encode, options.data, two)) is not None}
        results |= {
            "model": {"name": encoder.manifest.name, "files": encoder.manifest.files},
            "margins": margins(sets),
            "curves": curves(sets),
            "compat": compat(sets),
            "calibration": calibrated_bitext(sets) + calibrated_paraphrases(encoder.encode, options.data),
        }
    if options.only in (None, "evaluator"):
        results["sentence_transformers"] = {
            encoder.manifest.name: same_as_sentence_transformers(encoder.encode, options.data)
            for encoder in map(lightmine.Encoder.load, (None, minilm_bundle(options.work)))
        }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
