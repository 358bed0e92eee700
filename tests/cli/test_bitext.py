"""The commands that mine, as they are typed: ids, columns, filters, saved neighbours, aligned corpora."""

import gzip
import json

import numpy as np
import pytest

from lightmine import Encoder, mine_bitext, mine_paraphrases, score_bitext
from tests.command_line import ENGLISH, GERMAN, QUESTIONS, rows, run

__all__ = ["run"]


@pytest.fixture(scope="module")
def sides():
    texts = [path.read_text().splitlines() for path in (ENGLISH, GERMAN)]
    return texts, [Encoder.load().encode(side) for side in texts]


@pytest.fixture
def with_ids(tmp_path, sides):
    """The examples as BUCC writes them: id TAB sentence."""
    paths = [tmp_path / "x.en", tmp_path / "x.de"]
    for path, texts, language in zip(paths, sides[0], ("en", "de"), strict=True):
        path.write_text("".join(f"{language}-{i:03}\t{text}\n" for i, text in enumerate(texts)))
    return paths


def test_ids_and_lines_come_with_every_pair(run, with_ids, sides):
    status, out, _ = run("bitext", *with_ids, "--id-column", 1, "--compat", "laser", "-q")
    found = mine_bitext(*sides[1], compat="laser")
    assert status == 0
    assert [(r["source_ids"], r["target_ids"]) for r in rows(out)] == [
        (f"en-{i:03}", f"de-{j:03}") for _, i, j in found
    ]
    assert [int(r["source_lines"]) for r in rows(out)] == (found.left + 1).tolist()
    assert [np.float32(r["margin"]) for r in rows(out)] == found.score.tolist()
    assert {r["source_text"] for r in rows(out)} <= set(sides[0][0])


def test_margin_writes_what_bitext_would_write(run, with_ids, tmp_path):
    near = tmp_path / "near.npz"
    options = ["--id-column", 1, "-k", 3, "--k-backward", 5]
    status, first, err = run("bitext", *with_ids, *options, "--save-neighbors", near)
    assert status == 0
    assert f"5 neighbours of 26 and 27 texts to {near}" in err
    assert run("margin", near)[:2] == (0, first)
    for change in (
        ["--retrieval", "intersect", "--threshold", 2.2],
        ["--margin", "distance", "--n-best", 2, "--one-to-one", "optimal"],
        ["--compat", "laser", "-k", 4],
        ["--max-score", 1.5, "--no-copies", "--same-numbers", "--max-length-ratio", 1.5],
    ):
        asked = [*change] if "-k" in change else [*change, *options[2:]]
        _, expected, _ = run("bitext", *with_ids, "--id-column", 1, *asked, "-q")
        status, out, _ = run("margin", near, *change, "-q")
        assert (status, out) == (0, expected)
        assert out != first
    status, _, err = run("margin", near, "-k", 9)
    assert (status, err) == (
        2, "lightmine: k is 9 and there are only 5 neighbours of each sentence; ask for no more, "
        "or mine again with a larger k\n",
    )  # fmt: skip


def test_an_aligned_corpus_is_scored_line_by_line_in_its_order(run, tmp_path, sides):
    english, german = sides[0][0][:10], sides[0][1][:10]
    (tmp_path / "a").write_text("\n".join([*english[:4], "", *english[4:], english[0]]))
    (tmp_path / "b").write_text("\n".join([*german[:4], "odd", *german[4:], german[1]]))
    status, out, err = run("bitext", tmp_path / "a", tmp_path / "b", "--score-only")
    assert status == 0
    assert "1 lines are left out for want of the other side's line" in err
    assert [int(r["source_lines"]) for r in rows(out)] == [1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12]
    encode = Encoder.load().encode
    targets = list(dict.fromkeys([*german[:4], "odd", *german[4:]]))
    pairs = [(i, targets.index(german[i])) for i in range(10)] + [(0, 1)]
    expected = score_bitext(encode(english), encode(targets), pairs)
    assert [np.float32(r["margin"]) for r in rows(out)] == pytest.approx(expected.score)
    assert rows(out)[-1]["target_text"] == german[1]


def test_filters_count_what_they_leave_out(run, tmp_path):
    (tmp_path / "a").write_text("The train leaves at 9.\nHello there!\nДа, да, да.\nNo\nI am here now.\n")
    (tmp_path / "b").write_text(
        "Der Zug geht um 10.\nHELLO THERE\nIch bin jetzt hier.\nIch bin jetzt hier.\n"
    )
    status, out, err = run(
        "bitext", tmp_path / "a", tmp_path / "b", "--source-script", "en", "--min-length", 3,
        "--no-copies", "--same-numbers", "--duplicates", "first", "-k", 2,
    )  # fmt: skip
    assert status == 0
    assert "a: 2 sentences left out (1 not in Latin script, 1 shorter than 3 characters)" in err or (
        "a: 2 sentences left out (1 shorter than 3 characters, 1 not in Latin script)" in err
    )
    assert "b: 1 lines repeat an earlier one; each text is mined once and lists its first line" in err
    assert (
        "2 pairs left out (1 near-copies, 1 other numbers)" in err or "1 other numbers, 1 near-copies" in err
    )
    assert [(r["source_lines"], r["target_lines"]) for r in rows(out)] == [("5", "3")]


def test_copies_are_reported_apart(run, tmp_path):
    path = tmp_path / "q.txt"
    path.write_text("One thing.\nAnother.\none thing\n\nAnother.\n")
    out = tmp_path / "copies.tsv.gz"
    status, _, err = run("paraphrase", path, "--same", "normalized", "--duplicates-output", out)
    assert status == 0
    assert f"4 lines in 2 clusters of copies to {out}" in err
    assert gzip.decompress(out.read_bytes()).decode().splitlines() == [
        "file\tcluster\tline\ttext",
        f"{path}\t1\t1\tOne thing.",
        f"{path}\t1\t3\tone thing",
        f"{path}\t2\t2\tAnother.",
        f"{path}\t2\t5\tAnother.",
    ]


def test_paraphrases_between_two_lists_without_near_copies(run, tmp_path):
    texts = QUESTIONS.read_text().splitlines()
    (tmp_path / "a").write_text("\n".join(texts[:30]))
    (tmp_path / "b").write_text("\n".join(texts[20:]))
    status, out, _ = run(
        "paraphrase", tmp_path / "a", tmp_path / "b", "--threshold", 0.5, "--max-score", 0.99
    )
    encode = Encoder.load().encode
    expected = mine_paraphrases(encode(texts[:30]), encode(texts[20:]), threshold=0.5, max_score=0.99)
    assert status == 0
    assert len(expected) > 5
    assert [(int(r["left_lines"]) - 1, int(r["right_lines"]) - 1) for r in rows(out)] == [
        (i, j) for _, i, j in expected
    ]


def test_jsonl_keeps_lists_of_lines_and_ids(run, with_ids, tmp_path):
    out = tmp_path / "x.jsonl.gz"
    assert run("bitext", *with_ids, "--id-column", 1, "-o", out)[0] == 0
    first = json.loads(gzip.decompress(out.read_bytes()).decode().splitlines()[0])
    assert list(first) == [
        "margin", "cosine", "source_lines", "target_lines", "source_ids", "target_ids", "source_text",
        "target_text",
    ]  # fmt: skip
    assert first["source_ids"] == [f"en-{first['source_lines'][0] - 1:03}"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bitext", ENGLISH, GERMAN, "--id-column", 1], "english.txt: line 1 has no tab"),
        (["bitext", ENGLISH, GERMAN, "--id-column", 3], "beyond, name --text-column too"),
        (["bitext", ENGLISH, GERMAN, "--id-column", 2, "--text-column", 2], "cannot be both"),
        (["bitext", ENGLISH, GERMAN, "--source-script", "xx"], "'xx' is no script"),
        (
            ["bitext", ENGLISH, GERMAN, "--min-length", 900],
            "no sentence is left to mine: 26 sentences left out",
        ),
        (["bitext", ENGLISH, GERMAN, "--score-only"], "26 lines and"),
        (["bitext", ENGLISH, GERMAN, "--save-neighbors", "near.tsv"], "near.tsv: name it .npz"),
        (["bitext", ENGLISH, ENGLISH, "--score-only", "--save-neighbors", "n.npz"], "no neighbours to save"),
        (["bitext", ENGLISH, GERMAN, "--max-length-ratio", "0.5"], "a length ratio is at least 1, not 0.5"),
        (["bitext", ENGLISH, GERMAN, "--compat", "stopes", "--retrieval", "intersect"], "has no retrieval"),
        (["bitext", ENGLISH, GERMAN, "--threshold", "nan"], "threshold must be a number, not nan"),
        (["margin", "gone.npz"], "gone.npz: no such file"),
        (["margin", ENGLISH], "no archive of arrays that can be read: File is not a zip file"),
        (["paraphrase", "-", "-"], "only one of the two files can be -"),
        (["paraphrase", ENGLISH, "--duplicates-output", "x.xls"], "x.xls: name it .tsv or .jsonl"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
