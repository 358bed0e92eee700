import dataclasses

import numpy as np
import pytest

from lightmine.errors import ArgumentError, TextError
from lightmine.export import gate, verify
from lightmine.export.check import Check
from lightmine.export.sentences import read_scored_pairs
from lightmine.loading.bundle import Manifest
from tests import minilm
from tests.exporting import SHORT

pytestmark = pytest.mark.torch

MANIFEST = Manifest(name="m", source="m", revision=None, licence="x", dimension=3, max_tokens=9)
ROWS = dict(zip(SHORT, np.eye(3) + 0.1, strict=True))


def rows_of(sentences):
    return np.array([ROWS[sentence] for sentence in sentences])


def measure(encode, source=rows_of):
    return gate.measure(encode, source, sentences=SHORT, against="it")


def test_a_vector_that_is_no_number_fails():
    figures = measure(lambda sentences: np.zeros((len(sentences), 3)))
    with pytest.raises(gate.ParityError, match=r"cosine_min is nan, 0\.9999 is required"):
        gate.require(figures, MANIFEST, {})


def test_wrong_width_fails():
    with pytest.raises(gate.ParityError, match="the bundle gives 2 dimensions, it gives 3"):
        measure(lambda sentences: np.ones((len(sentences), 2)))


def test_the_same_vectors_pass_whatever_their_length():
    figures = measure(lambda sentences: 7 * rows_of(sentences))
    assert gate.shortfalls(figures, MANIFEST, {}) == []
    assert (figures.neighbours, figures.pairs_lost, figures.pairs_gained) == (1.0, 0, 0)


def test_vectors_that_depend_on_their_batch_fail_unless_the_manifest_says_so():
    figures = measure(lambda sentences: rows_of(sentences) + 1e-5 * len(sentences) * np.eye(3)[0])
    missed = gate.shortfalls(figures, MANIFEST, {})
    assert [line.split(" is ")[0] for line in missed] == ["batch_change"]
    assert gate.shortfalls(figures, dataclasses.replace(MANIFEST, batch="dependent"), {}) == []


def test_lost_and_gained_pairs_are_counted():
    def encode(sentences):
        return np.array([[1, 0, 0] if sentence == SHORT[2] else [0, 1, 0.1] for sentence in sentences])

    def source(sentences):
        return np.array([[1, 0, 0] if sentence == SHORT[0] else [0, 1, 0.1] for sentence in sentences])

    figures = measure(encode, source)
    assert (figures.pairs, figures.pairs_lost, figures.pairs_gained) == (1, 1, 1)


def test_weights_of_7_bits_have_floors_of_their_own():
    figures = dataclasses.replace(measure(rows_of), cosine_mean=0.995, cosine_min=0.975)
    fast = dataclasses.replace(MANIFEST, precision="int8-fast", batch="dependent")
    assert gate.shortfalls(figures, fast, {}) == []
    missed = gate.shortfalls(figures, dataclasses.replace(fast, cpus=("vnni", "amx")), {})
    assert missed == ["cosine_min is 0.975000, 0.98 is required"]


def test_sentences_are_in_the_languages_that_the_model_states(tmp_path):
    english, what = Check().sentences(("en-GB",))
    assert what == f"{len(english)} sentences of ours, in en"
    both, what = Check().sentences(("de", "EN"))
    assert set(english) < set(both)
    assert what == f"{len(both)} sentences of ours, in 2 languages"
    # None stated, none of ours, and too few of ours: all.
    assert Check().sentences(()) == Check().sentences(("xx",)) == Check().sentences(("sw",))
    assert "25 languages" in Check().sentences(())[1]
    (tmp_path / "mine.txt").write_text("One.\nTwo.\n")
    assert Check(evaluation=tmp_path / "mine.txt").sentences(("en",))[1] == "2 sentences of mine.txt"


def test_thresholds_are_overridden_by_name_and_no_other_name():
    figures = measure(lambda sentences: rows_of(sentences) + 0.01 * np.eye(3)[0])
    assert gate.shortfalls(figures, MANIFEST, {}) != []
    loose = {"cosine_min": 0.5, "cosine_mean": 0.5, "neighbours": 0}
    assert gate.shortfalls(figures, MANIFEST, loose) == []
    with pytest.raises(ArgumentError, match="no threshold is named cosine: there are batch_change, cosine_m"):
        gate.shortfalls(figures, MANIFEST, {"cosine": 1})


@pytest.mark.parametrize("text", ["a,b\nc,d\n", "a,b,1\nc,d,high\n", "sentence1,sentence2,score\n"])
def test_a_file_that_holds_no_scored_pairs_is_refused(tmp_path, text):
    (tmp_path / "sts.csv").write_text(text)
    with pytest.raises(TextError, match=r"sts\.csv"):
        read_scored_pairs(tmp_path / "sts.csv")


def test_scored_pairs_are_read_with_and_without_a_header(tmp_path):
    (tmp_path / "sts.csv").write_text('sentence1,sentence2,score\n"a, b",c,1.5\nd,e,3\n')
    (tmp_path / "sts.tsv").write_text("a, b\tc\t1.5\nd\te\t3\n")
    expected = (["a, b", "d"], ["c", "e"], [1.5, 3.0])
    assert read_scored_pairs(tmp_path / "sts.csv") == expected
    assert read_scored_pairs(tmp_path / "sts.tsv") == expected


def test_verify_measures_a_bundle_again(real, few, tmp_path, capsys):
    _, out, _ = real
    (tmp_path / "sts.csv").write_text(
        "A cat sleeps.,A cat is asleep.,4.5\nA cat sleeps.,The train is late.,0\nIt rains.,It is wet.,2\n"
    )
    arguments = [str(out), "--against", str(minilm.model_folder()), "--eval", str(few)]
    assert verify.main([*arguments, "--sts", str(tmp_path / "sts.csv"), "--speed"]) == 0
    printed = capsys.readouterr().out
    assert "cosine     1.0000000 mean, " in printed
    assert "STS        Spearman 100.00, the source's 100.00" in printed
    assert " times the source's, here" in printed
    assert verify.main([*arguments, "--require", "cosine_min=1.01"]) == 3
    assert "1.01 is required" in capsys.readouterr().err
    assert verify.main([*arguments, "--require", "cosine_min=high"]) == 2
    assert "give a name and a number" in capsys.readouterr().err
