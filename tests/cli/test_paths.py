"""No output lies over an input or over another output, and none has the name of another format."""

import os
import shutil

import pytest

from lightmine.loading.bundle import models_folder
from tests.command_line import ENGLISH, GERMAN, run

__all__ = ["run"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.tsv", "b.tsv", "gold.tsv", "x.npy.json", "near.npz", "curve.tsv"):
        (tmp_path / name).write_text("one\ntwo\n")
    os.symlink("a.tsv", "link.tsv")
    os.link("a.tsv", "hard.tsv")
    shutil.copytree(models_folder() / "static-tiny", "model")
    return tmp_path


OVER_AN_INPUT = [
    ["paraphrase", "a.tsv", "-o", "a.tsv"],
    ["paraphrase", "a.tsv", "-o", "./a.tsv"],
    ["paraphrase", "a.tsv", "-o", "link.tsv"],
    ["paraphrase", "link.tsv", "-o", "hard.tsv"],
    ["paraphrase", "b.tsv", "a.tsv", "-o", "a.tsv"],
    ["paraphrase", "a.tsv", "--duplicates-output", "hard.tsv"],
    ["paraphrase", "a.tsv", "--model", "model", "-o", "model/vocab.txt", "--format", "tsv"],
    ["bitext", "a.tsv", "b.tsv", "-o", "b.tsv"],
    ["bitext", "a.tsv", "near.npz", "--save-neighbors", "near.npz"],
    ["margin", "near.npz", "-o", "near.npz", "--format", "tsv"],
    ["evaluate", "bucc", "a.tsv", "b.tsv", "gold.tsv", "-o", "gold.tsv"],
    ["calibrate", "bitext", "a.tsv", "b.tsv", "--gold", "gold.tsv", "--curve", "gold.tsv"],
    ["calibrate", "paraphrase", "a.tsv", "--curve", "link.tsv"],
    ["encode", "x.npy.json", "-o", "x.npy"],
]


@pytest.mark.parametrize("arguments", OVER_AN_INPUT, ids=" ".join)
def test_an_output_over_an_input_is_refused_and_nothing_is_lost(run, folder, arguments):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    status, out, err = run(*arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "would overwrite" in err
    assert "which is read; name another file" in err
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["paraphrase", ENGLISH, "-o", "p.tsv", "--duplicates-output", "./p.tsv"],
         "./p.tsv: --output and --duplicates-output are one file; name two"),
        (["paraphrase", ENGLISH, "--duplicates-output", "-"],
         "--output and --duplicates-output are both - (standard output)"),
        (["calibrate", "paraphrase", ENGLISH, "--curve", "c.tsv", "--plot", "c.tsv"],
         "c.tsv: name it .png or .svg"),
        (["encode", ENGLISH, "-o", "v.npy", "--ranges", "v.npy", "--precision", "int8"],
         "v.npy: --output and --ranges are one file; name two"),
        (["encode", ENGLISH, "-o", "v.csv"], "v.csv: --output is a NumPy matrix; name it .npy"),
        (["encode", ENGLISH, "-o", "v"], "v: --output is a NumPy matrix; name it .npy"),
        (["encode", ENGLISH, "-o", "v.npz.gz"], "v.npz.gz: --output is a NumPy matrix; name it .npy"),
        (["encode", ENGLISH, "-o", "v.npy", "--ranges", "r.txt", "--precision", "int8"],
         "r.txt: --ranges is a NumPy matrix; name it .npy"),
        (["evaluate", "bucc", ENGLISH, GERMAN, ENGLISH, "-o", "m.jsonl"],
         "m.jsonl: id TAB id TAB margin is written; name it .tsv"),
        (["bitext", ENGLISH, GERMAN, "--save-neighbors", "n.npy"], "n.npy: name it .npz"),
    ],
)  # fmt: skip
def test_two_outputs_of_one_name_and_names_of_other_formats_are_refused(run, folder, arguments, message):
    before = sorted(os.listdir())
    status, out, err = run(*arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert sorted(os.listdir()) == before


def test_pipes_and_devices_may_be_named_twice(run, folder):
    status, _, _ = run("paraphrase", ENGLISH, "-q", "-o", "/dev/null", "--format", "tsv")
    assert status == 0
    assert run("encode", ENGLISH, "-q", "-o", "/dev/null")[0] == 0
    assert run("encode", ENGLISH, "-q", "-o", "v.npy.gz")[0] == 0


def test_an_output_may_replace_what_no_part_of_the_job_reads(run, folder):
    assert run("paraphrase", ENGLISH, "-q", "-o", "b.tsv")[0] == 0
    assert (folder / "b.tsv").read_text().startswith("score\t")
