"""Limits of margins and cosines on the command line: the same in bitext and margin, and said."""

import pytest

from lightmine import Encoder, mine_bitext, neighbors, retrieve
from lightmine.errors import ArgumentError
from tests.command_line import ENGLISH, GERMAN, QUESTIONS, rows, run

__all__ = ["run"]

CASES = [
    [],
    ["--threshold", 1.3],
    ["--threshold", "none"],
    ["--min-cosine", 0.8],
    ["--min-cosine", "none"],
    ["-k", 3],
    ["-k", 4, "--k-backward", 3],
    ["--margin", "distance"],
    ["--margin", "absolute", "--threshold", 0.5],
    ["--retrieval", "forward"],
    ["--compat", "laser"],
    ["--max-score", 2],
]


@pytest.mark.parametrize("options", CASES, ids=lambda options: " ".join(map(str, options)))
def test_margin_writes_what_bitext_writes_byte_for_byte(run, tmp_path, options):
    near = tmp_path / "near.npz"
    status, wanted, _ = run("bitext", ENGLISH, GERMAN, *options, "--save-neighbors", near)
    assert status == 0
    assert rows(wanted)
    status, found, err = run("margin", near, *options)
    assert (status, found) == (0, wanted)
    recommended = {"--threshold", "--compat", "-k", "--margin"}.isdisjoint(options)
    assert ("threshold 1.169" in err) == recommended


def test_margin_of_neighbours_mined_with_other_limits_takes_the_recommended_ones(run, tmp_path):
    near = tmp_path / "near.npz"
    _, wanted, _ = run("bitext", ENGLISH, GERMAN)
    run("bitext", ENGLISH, GERMAN, "--threshold", "none", "--save-neighbors", near)
    status, found, err = run("margin", near)
    assert (status, found) == (0, wanted)
    assert "threshold 1.169 and least cosine 0.25, which static-multilingual recommends" in err


@pytest.fixture
def without_translation(tmp_path):
    """Ten pairs of translations, and one sentence on either side that has none, in no script of the other."""
    english, german = (path.read_text().splitlines()[:12] for path in (ENGLISH, GERMAN))
    paths = tmp_path / "x.en", tmp_path / "x.de"
    paths[0].write_text("\n".join([*english, "Tariffs"]) + "\n")
    paths[1].write_text("\n".join([*german, "Gletscher"]) + "\n")
    return paths


def test_a_high_margin_without_a_translation_is_left_out_by_its_cosine(run, without_translation):
    _, out, err = run("bitext", *without_translation, "--threshold", 1.05, "--min-cosine", "none")
    false = [row for row in rows(out) if row["source_text"] == "Tariffs"]
    assert [float(row["cosine"]) < 0.25 for row in false] == [True]
    assert float(false[0]["margin"]) > 1.05
    assert "the source has 13 sentences: among so few, margins are high with and without a translation" in err
    _, out, err = run("bitext", *without_translation, "--threshold", 1.05)
    assert "least cosine 0.25, which static-multilingual recommends" in err
    assert "Tariffs" not in out
    assert "Tariffs" in run("bitext", *without_translation, "--threshold", "none")[1]


def test_min_cosine_acts_before_sentences_are_used_up():
    encoder = Encoder.load()
    x = encoder.encode(ENGLISH.read_text().splitlines())
    y = encoder.encode(GERMAN.read_text().splitlines())
    found = mine_bitext(x, y, min_cosine=0.8)
    everything = mine_bitext(x, y, one_to_one="none")
    assert found.cosine.min() >= 0.8
    assert set(zip(found.left, found.right, strict=True)) <= {
        (i, j)
        for i, j, c in zip(everything.left, everything.right, everything.cosine, strict=True)
        if c >= 0.8
    }
    near = neighbors(x, y, k=4, both=True)
    assert list(retrieve(near, min_cosine=0.8)) == list(found)
    with pytest.raises(ArgumentError, match="min_cosine is a cosine, from -1 to 1, not 80; 0"):
        mine_bitext(x, y, min_cosine=80)


@pytest.mark.parametrize("option", ["--threshold", "--max-score"])
@pytest.mark.parametrize(("value", "perhaps"), [(80, "; 0.8 perhaps?"), (1.1, "; 0.011 perhaps?"), (-2, "")])
def test_a_cosine_outside_its_range_is_refused_before_any_work(run, option, value, perhaps):
    status, out, err = run("paraphrase", QUESTIONS, option, value)
    name = option.strip("-").replace("-", "_")
    assert (status, out) == (2, "")
    assert err == f"lightmine: {name} is a cosine, from -1 to 1, not {value}{perhaps}\n"


def test_a_margin_that_no_pair_reaches_is_said_with_the_best(run):
    status, out, err = run("bitext", ENGLISH, GERMAN, "--threshold", 80)
    assert (status, len(out.splitlines())) == (0, 1)
    assert "no pair is within the limits; the best has a margin of 2.7427, a cosine of 0.8962" in err


def test_calibration_has_no_threshold_to_ignore(run):
    status, _, err = run("calibrate", "bitext", ENGLISH, GERMAN, "--threshold", 1.2)
    assert status == 2
    assert "No such option" in err


def test_a_cap_that_was_reached_is_said_with_what_it_left_out(run, tmp_path):
    path = tmp_path / "copies.txt"
    path.write_text("".join(f"All rights{' ' * spaces}reserved.\n" for spaces in range(1, 31)))
    options = ["--threshold", 0.95]
    _, out, err = run("paraphrase", path, *options)
    assert len(rows(out)) == 435
    assert "reached" not in err
    _, out, err = run("paraphrase", path, *options, "--top-k", 5)
    said = (
        f"--top-k 5 was reached by 30 sentences: {435 - len(rows(out))} more pairs score 0.95 or more; raise"
    )
    assert said in err
    _, _, err = run("paraphrase", path, *options, "--max-pairs", 100)
    assert "--max-pairs 100 was reached: 335 more pairs score 0.95 or more; raise it to have them" in err
    _, _, err = run("paraphrase", path, "--threshold", "none", "--max-pairs", 100)
    assert "--max-pairs 100 was reached: 335 more pairs are left out; raise it to have them" in err
    (tmp_path / "gold.tsv").write_text("1\t2\n")
    _, _, err = run("evaluate", "paraphrase", path, tmp_path / "gold.tsv", "--max-pairs", 100)
    assert "--max-pairs 100 was reached: pairs beyond count as missed" in err
