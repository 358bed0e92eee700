"""A model's own thresholds: taken by default, said, and put aside where asked or where they do not apply."""

import json
import shutil

import pytest

from lightmine.loading.bundle import default_model
from tests.command_line import ENGLISH, GERMAN, QUESTIONS, rows, run

__all__ = ["run"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The default model under another name, with thresholds between the scores of the examples."""
    folder = tmp_path_factory.mktemp("model") / "own"
    shutil.copytree(default_model(), folder)
    manifest = json.loads((folder / "lightmine.json").read_text(encoding="utf-8"))
    manifest |= {"name": "own", "thresholds": {"paraphrase": 0.7, "bitext": 1.15}}
    (folder / "lightmine.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def test_paraphrase_takes_the_models_threshold_and_says_so(run, model):
    _, wanted, _ = run("paraphrase", QUESTIONS, "--model", model, "--threshold", 0.7)
    status, out, err = run("paraphrase", QUESTIONS, "--model", model)
    assert status == 0
    assert "threshold 0.7, which own recommends (under 200 texts the precision cannot be estimated)" in err
    assert "; --threshold none for all" in err
    assert out == wanted
    assert rows(out)


def test_bitext_takes_the_models_threshold_and_says_so(run, model):
    _, wanted, _ = run("bitext", ENGLISH, GERMAN, "--model", model, "--threshold", 1.15)
    _, out, err = run("bitext", ENGLISH, GERMAN, "--model", model)
    assert "threshold 1.15, which own recommends" in err
    assert out == wanted
    assert rows(out)


def test_none_is_none_at_all(run, model):
    _, out, err = run("paraphrase", QUESTIONS, "--model", model, "--threshold", "none")
    assert "recommends" not in err
    assert min(float(row["score"]) for row in rows(out)) < 0.3


@pytest.mark.parametrize("other", [["--margin", "distance"], ["-k", 8], ["--compat", "laser"]])
def test_margins_of_another_kind_have_no_threshold_of_the_models(run, model, other):
    _, out, err = run("bitext", ENGLISH, GERMAN, "--model", model, *other)
    assert "recommends" not in err
    assert rows(out)


def test_a_threshold_is_a_number_or_none(run):
    status, out, err = run("paraphrase", QUESTIONS, "--threshold", "some")
    assert (status, out) == (2, "")
    assert "'some' is neither a number nor none" in err


def test_a_model_without_thresholds_mines_all(run, model, tmp_path):
    folder = tmp_path / "plain"
    shutil.copytree(model, folder)
    manifest = json.loads((folder / "lightmine.json").read_text(encoding="utf-8"))
    del manifest["thresholds"]
    (folder / "lightmine.json").write_text(json.dumps(manifest), encoding="utf-8")
    _, out, err = run("paraphrase", QUESTIONS, "--model", folder)
    assert "no threshold: own recommends none, and under 200 texts" in err
    assert out == run("paraphrase", QUESTIONS, "--model", folder, "--threshold", "none")[1]
