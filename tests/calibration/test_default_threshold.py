"""The threshold of paraphrase mining where none is given: from synthetic scores, and on the command line."""

import json
import math
import random
import re
import shutil

import numpy as np
import pytest

from lightmine.calibration.default_threshold import (
    MAX_REPORTED,
    TOP_K,
    DefaultThreshold,
    default_threshold,
    pairs_needed,
)
from lightmine.cli._default_threshold import threshold_in_words
from lightmine.loading.bundle import default_model
from tests.command_line import rows, run

__all__ = ["run"]


def scores(seed, unrelated, paraphrases, *, tail=0.05, lowest=0.5):
    """Falling scores, and which are of paraphrases: the unrelated ones have an exponential tail."""
    rng = np.random.default_rng(seed)
    score = np.append(
        lowest + tail * rng.exponential(size=unrelated),
        lowest + (1 - lowest) * rng.beta(9, 2, size=paraphrases),
    )
    true = np.arange(len(score)) >= unrelated
    order = np.argsort(-score)
    order = order[score[order] < 1]
    return score[order].astype(np.float32), true[order]


def real_precision(score, true, threshold):
    return true[score >= np.float32(threshold)].mean()


def test_the_recommended_threshold_stands_where_most_pairs_over_it_are_paraphrases():
    score, true = scores(1, 3000, 1000)
    found = default_threshold(score, 2000, recommended=0.75, model="own")
    assert found == DefaultThreshold(0.75, MAX_REPORTED, "which own recommends")
    assert real_precision(score, true, 0.75) > MAX_REPORTED


@pytest.mark.parametrize("seed", range(5))
def test_it_rises_where_too_few_pairs_over_the_recommended_one_are_paraphrases(seed):
    score, true = scores(seed, 3500, 500, tail=0.06)
    assert real_precision(score, true, 0.6) < 0.5
    found = default_threshold(score, 2000, recommended=0.6, model="own")
    assert 0.6 < found.threshold < 0.9
    assert found.threshold == round(found.threshold, 3)
    assert found.precision == pytest.approx(0.8, abs=0.01)
    assert real_precision(score, true, found.threshold) == pytest.approx(0.8, abs=0.07)
    assert re.fullmatch(
        r"estimated from the scores \(over 0\.6, which own recommends, only \d\d% would be paraphrases\)",
        found.reason,
    )


def test_where_unrelated_pairs_alone_are_over_the_recommended_one_that_is_said():
    score, _ = scores(2, 3500, 500)
    assert score[-1] > 0.5
    found = default_threshold(score, 2000, recommended=0.45, model="own")
    assert "(over 0.45, which own recommends, under 1" in found.reason


def test_where_no_threshold_reaches_the_target_it_is_a_strict_one():
    score, _ = scores(3, 4000, 0, tail=0.08)
    found = default_threshold(score, 2000, recommended=0.8)
    assert (found.threshold, found.precision) == (0.95, None)
    assert re.match(r"a strict one: no threshold reaches an estimated precision of 80%", found.reason)


def test_without_a_pair_over_it_the_recommended_one_stands():
    score, _ = scores(4, 4000, 0, tail=0.01)
    found = default_threshold(score, 2000, recommended=0.8, model="own")
    assert found == DefaultThreshold(0.8, None, "which own recommends and no pair reaches")


@pytest.mark.parametrize("score", [np.full(600, 1.0), np.linspace(0.9999, 0.93, 600)])
def test_texts_that_the_model_does_not_tell_apart_give_no_pair(score):
    found = default_threshold(score.astype(np.float32), 300, recommended=0.8)
    assert (found.threshold, found.precision) == (math.inf, None)
    assert "pairs score 0.95 or more, and their scores do not tell which are paraphrases" in found.reason


def test_a_model_that_recommends_nothing_needs_a_higher_estimate():
    score, true = scores(5, 3500, 500)
    found = default_threshold(score, 2000)
    assert found.precision == pytest.approx(0.9, abs=0.01)
    assert found.reason == "estimated from the scores"
    assert real_precision(score, true, found.threshold) > 0.8
    assert default_threshold(scores(3, 4000, 0, tail=0.08)[0], 2000).threshold == 0.95


def test_few_texts_and_very_many_have_no_estimate():
    none = np.empty(0, np.float32)
    few = "under 200 texts the precision cannot be estimated"
    assert default_threshold(none, 199, recommended=0.8, model="own") == DefaultThreshold(
        0.8, None, f"which own recommends ({few})"
    )
    assert default_threshold(none, 199, model="own") == DefaultThreshold(
        -math.inf, None, f"own recommends none, and {few}"
    )
    assert default_threshold(none, 250_001, recommended=0.8) == DefaultThreshold(
        0.95, None, "a strict one: for 250,001 texts the precision is not estimated"
    )
    assert [pairs_needed(n) for n in (199, 200, 250_000, 250_001)] == [0, 400, 500_000, 0]
    assert [pairs_needed(*sides) for sides in ((100, 99), (100, 100), (1, 300))] == [0, 200, 300]


def test_only_the_needed_pairs_count():
    score, _ = scores(6, 3500, 500)
    less = score[: pairs_needed(1500)]
    more = np.append(less, np.full(50_000, less[-1]))
    assert default_threshold(less, 1500, recommended=0.6) == default_threshold(more, 1500, recommended=0.6)


@pytest.mark.parametrize(
    ("chosen", "max_score", "line"),
    [
        (
            DefaultThreshold(0.8, 0.81, "which own recommends"), None,
            "threshold 0.8, which own recommends: by estimate about 81% of the pairs are paraphrases; "
            "--threshold none for all",
        ),
        (
            DefaultThreshold(0.95, None, "a strict one"), 0.9,
            "threshold 0.95, a strict one; --threshold none for all. It is over --max-score 0.9, so no pair "
            "is kept",
        ),
        (
            DefaultThreshold(math.inf, None, "all score 1"), None,
            "no pair is written: all score 1; give a --threshold, or --threshold none for all",
        ),
        (
            DefaultThreshold(-math.inf, None, "own recommends none"), None,
            "no threshold: own recommends none; --threshold sets one",
        ),
    ],
)  # fmt: skip
def test_one_line_says_it(chosen, max_score, line):
    assert threshold_in_words(chosen, max_score) == line


WHO = "the old doctor|my sister|a young farmer|their teacher|the new mayor|our cook|a tall soldier|his aunt"
DID = "bought|painted|forgot|described|repaired|hid|wanted|lost"
WHAT = "a red bicycle|the kitchen table|some fresh bread|two silver coins|a letter|the garden gate"
WHEN = "yesterday|on Monday morning|before the storm|in the spring|after dinner|last year"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """300 sentences of one pattern, and 60 of them once more in other words."""
    rng = random.Random(7)
    parts = [part.split("|") for part in (WHO, DID, WHAT, WHEN)]
    texts = sorted({tuple(rng.choice(part) for part in parts) for _ in range(400)})
    chosen = rng.sample(texts, 300)
    lines = [f"{who} {did} {what} {when}." for who, did, what, when in chosen]
    lines += [f"{when}, {who} {did} {what}" for who, did, what, when in chosen[:60]]
    path = tmp_path_factory.mktemp("corpus") / "texts.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The default model, recommending a threshold that lets false pairs of the corpus through."""
    folder = tmp_path_factory.mktemp("model") / "own"
    shutil.copytree(default_model(), folder)
    manifest = json.loads((folder / "lightmine.json").read_text(encoding="utf-8"))
    manifest |= {"name": "own", "thresholds": {"paraphrase": 0.7}}
    (folder / "lightmine.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def threshold_said(err):
    (number,) = re.findall(r"lightmine: threshold (0\.\d+), ", err)
    return number


@pytest.mark.slow
def test_the_command_cuts_where_it_says(run, corpus, model):
    status, out, err = run("paraphrase", corpus, "--model", model)
    assert status == 0
    threshold = threshold_said(err)
    assert float(threshold) > 0.7
    assert "which own recommends" in err or "a strict one" in err
    assert rows(out)
    assert out == run("paraphrase", corpus, "--model", model, "--threshold", threshold)[1]
    everything = run("paraphrase", corpus, "--model", model, "--threshold", "none")
    assert "threshold" not in everything[2]
    assert len(rows(everything[1])) > len(rows(out))


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ["--threads", 1], ["--threads", 3], ["--memory-budget", "2GiB"], ["--resume", "FOLDER"],
        ["--max-pairs", 20], ["--top-k", 3], ["--top-k", 3, "--resume", "FOLDER"],
        ["--top-k", TOP_K + 1], ["--max-score", 0.99], ["--max-score", 0.99, "--max-pairs", 5],
    ],
)  # fmt: skip
def test_the_threshold_is_of_the_texts_and_the_model_alone(run, corpus, model, tmp_path, options):
    options = [tmp_path / "folder" if value == "FOLDER" else value for value in options]
    asked = ["paraphrase", corpus, "--model", model]
    threshold = threshold_said(run(*asked)[2])
    status, out, err = run(*asked, *options)
    assert status == 0, err
    assert threshold_said(err) == threshold
    assert out == run(*asked, *options, "--threshold", threshold)[1]
    assert rows(out)


def test_two_lists_have_a_default_threshold_too(run, corpus, model, tmp_path):
    lines = corpus.read_text(encoding="utf-8").splitlines(keepends=True)
    sides = [tmp_path / "a", tmp_path / "b"]
    for side, part in zip(sides, (lines[:300], lines[300:]), strict=True):
        side.write_text("".join(part), encoding="utf-8")
    _, out, err = run("paraphrase", *sides, "--model", model)
    assert out == run("paraphrase", *sides, "--model", model, "--threshold", threshold_said(err))[1]


def test_copies_of_one_pattern_give_no_pair_and_the_reason(run, tmp_path):
    path = tmp_path / "notices.txt"
    path.write_text("".join(f"All{' ' * spaces}rights reserved.\n" for spaces in range(1, 251)))
    status, out, err = run("paraphrase", path)
    assert (status, rows(out)) == (0, [])
    assert re.search(r"no pair is written: [\d,]+( or more)? pairs score 0\.95 or more", err)
    assert "--threshold none for all" in err


def test_quiet_says_nothing(run, corpus, model):
    assert run("paraphrase", corpus, "--model", model, "--quiet")[2] == ""
