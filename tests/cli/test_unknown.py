"""Lines that a model cannot read: in other scripts, without letters, without tokens."""

import json

import numpy as np
import pytest

from tests.command_line import QUESTIONS, rows, run
from tests.tiny import write_bundle

__all__ = ["run"]

TAMIL = ["அவள் தன் சகோதரனுக்கு கேக் செய்தாள்.", "நாளை மதியம் மழை பெய்யும்.", "ரயில் ஒரு மணி நேரம் தாமதமானது."]
EMOJI = ["😀😀😀", "🚗🚗", "— — —"]


@pytest.fixture
def mixed(tmp_path):
    path = tmp_path / "mixed.txt"
    path.write_text("\n".join([*QUESTIONS.read_text().splitlines()[:20], *TAMIL, *EMOJI]) + "\n")
    return path


def test_sentences_that_the_model_was_not_taught_are_said_and_mined(run, mixed):
    status, out, err = run("paraphrase", mixed, "--threshold", 0.7)
    assert status == 0
    said = (
        "mixed.txt: 6 sentences that static-multilingual was not taught to read (3 of Tamil script, 3 of "
        "neither letters nor digits): their scores mean little; --drop-unknown leaves them out\n"
    )
    assert said in err
    assert any(row["left_text"] in TAMIL for row in rows(out))


@pytest.mark.parametrize("command", ["paraphrase", "bitext"])
def test_they_are_left_out_when_asked_and_the_others_keep_their_numbers(run, mixed, command):
    files = [mixed] if command == "paraphrase" else [mixed, mixed]
    status, out, err = run(command, *files, "--threshold", 0.7, "--drop-unknown")
    assert status == 0
    assert "6 sentences that static-multilingual was not taught to read" in err
    assert "left out; the others keep their numbers" in err
    texts = [text for row in rows(out) for name, text in row.items() if name.endswith("text")]
    assert texts
    assert not {*texts} & {*TAMIL, *EMOJI}


def test_a_file_of_nothing_else_is_refused_when_they_are_left_out(run, tmp_path):
    (tmp_path / "ta.txt").write_text("\n".join(TAMIL) + "\n")
    status, out, err = run("paraphrase", tmp_path / "ta.txt", "--drop-unknown")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "no sentence is left to mine; --keep-unknown mines them all the same" in err


def test_a_model_that_states_no_languages_was_taught_anything(run, tmp_path, mixed):
    model = write_bundle(tmp_path / "model")
    _, _, err = run("paraphrase", mixed, "--model", model)
    assert "taught" not in err


@pytest.fixture
def dropping(tmp_path):
    """A model whose tokenizer drops +, and a file with a line of it between others, one of them twice."""
    path = tmp_path / "en.txt"
    path.write_text("the cat sat\nthe cat sat\n\nthe dog ran\n++\nthe dog sat\n++\n")
    return path, write_bundle(tmp_path / "model", drops="+")


def test_lines_without_tokens_are_left_out_and_said_with_their_numbers(run, dropping):
    path, model = dropping
    status, out, err = run("paraphrase", path, "--model", model, "--threshold", "none")
    assert status == 0
    assert "en.txt: 2 lines without a token of tiny left out (5, 7); the others keep their numbers" in err
    found = {(row["left_lines"], row["right_lines"]) for row in rows(out)}
    assert found == {("1,2", "4"), ("1,2", "6"), ("4", "6")}
    status, out, err = run("bitext", path, path, "--model", model, "--threshold", "none")
    assert status == 0
    assert err.count("2 lines without a token of tiny left out (5, 7)") == 2
    assert {row["source_lines"] for row in rows(out)} == {"1,2", "4", "6"}


@pytest.mark.parametrize("output", ["x.npy", "x.npy.gz"])
def test_encode_gives_lines_without_tokens_rows_of_zeros_and_says_so(run, dropping, tmp_path, output):
    path, model = dropping
    status, _, err = run("encode", path, "--model", model, "-o", tmp_path / output)
    assert status == 0
    assert "2 lines without a token of tiny: rows of zeros" in err
    if output.endswith(".npy"):
        full = np.load(tmp_path / output).any(axis=1)
        assert full.tolist() == [True, True, False, True, False, True, False]
        assert json.loads((tmp_path / "x.npy.json").read_text())["blocks"][0]["without_tokens"] == 2


def test_evaluation_refuses_a_line_without_tokens_by_its_number(run, dropping, tmp_path):
    path, model = dropping
    (tmp_path / "gold.tsv").write_text("1\t2\n")
    status, _, err = run("evaluate", "paraphrase", path, tmp_path / "gold.tsv", "--model", model)
    assert (status, err.count("\n")) == (2, 1)
    assert "en.txt: line 5: tiny finds no token in it; take it out" in err


def test_spellings_of_one_text_are_listed_together_in_bitext_too(run, tmp_path):
    (tmp_path / "a.txt").write_text("Save changes\nSAVE CHANGES\nsave changes\nOpen a file\n")
    (tmp_path / "b.txt").write_text("Änderungen speichern\nÄNDERUNGEN SPEICHERN\nEine Datei öffnen\n")
    _, out, _ = run(
        "bitext", tmp_path / "a.txt", tmp_path / "b.txt", "--same", "normalized", "--threshold", "none"
    )
    lines = {(row["source_lines"], row["target_lines"]) for row in rows(out)}
    assert lines == {("1,2,3", "1,2"), ("4", "3")}


def test_a_prompt_goes_before_every_sentence_of_both_sides(run, tmp_path):
    model = write_bundle(tmp_path / "model", prompts={"query": "the sky "})
    (tmp_path / "a.txt").write_text("cat sat\ndog ran\n")
    (tmp_path / "b.txt").write_text("the sky cat sat\nthe sky dog ran\n")
    plain = [tmp_path / "b.txt", tmp_path / "b.txt", "--model", model, "--threshold", "none"]
    _, wanted, _ = run("bitext", *plain)
    for prompt in (["--prompt", "the sky "], ["--prompt-name", "query"]):
        _, out, _ = run("bitext", tmp_path / "a.txt", tmp_path / "a.txt", *plain[2:], *prompt)
        assert [row["cosine"] for row in rows(out)] == [row["cosine"] for row in rows(wanted)]
