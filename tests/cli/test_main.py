import gzip
import io
import json
import os
import re
import subprocess
import sys
import textwrap

import click
import numpy as np
import pytest

from lightmine import Encoder, mine_bitext, mine_paraphrases
from lightmine.cli import cli, main
from tests.command_line import ENGLISH, GERMAN, QUESTIONS, ROOT, rows, run

__all__ = ["run"]


def test_paraphrases_are_those_of_the_library(run):
    status, out, err = run("paraphrase", QUESTIONS, "--threshold", 0.6)
    texts = QUESTIONS.read_text().splitlines()
    pairs = mine_paraphrases(Encoder.load().encode(texts), threshold=0.6)
    assert status == 0
    assert len(pairs) > 5
    assert err == f"lightmine: {len(pairs)} pairs\n"
    assert [
        (np.float32(r["score"]), int(r["left_lines"]) - 1, int(r["right_lines"]) - 1) for r in rows(out)
    ] == [(np.float32(s), i, j) for s, i, j in pairs]
    assert all(texts[int(r["left_lines"]) - 1] == r["left_text"] for r in rows(out))


def test_translations_are_those_of_the_library(run):
    options = ["--margin", "distance", "--retrieval", "intersect", "-k", 3, "--threshold", 0.01, "--quiet"]
    status, out, err = run("bitext", ENGLISH, GERMAN, *options)
    encode = Encoder.load().encode
    texts = [path.read_text().splitlines() for path in (ENGLISH, GERMAN)]
    found = mine_bitext(
        encode(texts[0]), encode(texts[1]), k=3, margin="distance", retrieval="intersect", threshold=0.01
    )
    assert (status, err) == (0, "")
    assert len(found) > 10
    assert [(int(r["source_lines"]) - 1, int(r["target_lines"]) - 1) for r in rows(out)] == [
        (i, j) for _, i, j in found
    ]
    assert [np.float32(r["cosine"]) for r in rows(out)] == found.cosine.tolist()


def test_every_ending_writes_the_same_pairs(run, tmp_path):
    for name in ("a.tsv", "a.tsv.gz", "a.jsonl", "a.jsonl.gz"):
        status, out, _ = run("paraphrase", QUESTIONS, "--threshold", 0.6, "-o", tmp_path / name)
        assert (status, out) == (0, "")
    plain = (tmp_path / "a.tsv").read_bytes()
    assert gzip.decompress((tmp_path / "a.tsv.gz").read_bytes()) == plain
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert [json.loads(line)["left_text"] for line in lines] == [r["left_text"] for r in rows(plain.decode())]
    assert json.loads(lines[0])["left_lines"] == [int(rows(plain.decode())[0]["left_lines"])]


def test_duplicates_are_mined_once_and_keep_all_their_lines(run):
    text = "Hello there.\nGood bye.\n\nHello there.\nHello, you there.\n"
    status, out, err = run("paraphrase", "-", "--threshold", "none", stdin=text.encode())
    assert status == 0
    assert "standard input: 1 blank lines left out; the others keep their numbers" in err
    assert "1 lines repeat an earlier one" in err
    assert {(r["left_lines"], r["right_lines"]) for r in rows(out)} == {
        ("1,4", "2"),
        ("1,4", "5"),
        ("2", "5"),
    }


def test_a_megabyte_line_is_cut_and_said_once(run, tmp_path):
    path = tmp_path / "long.txt"
    path.write_text("word " * 200_000 + "\nanother " * 150_000 + "\nshort\n")
    status, _, err = run("paraphrase", path)
    assert status == 0
    assert len(re.findall("sentences are longer than the model's", err)) == 1


def test_one_sentence_has_no_pairs(run):
    assert run("paraphrase", "-", stdin=b"alone\n")[:2] == (
        0,
        "score\tleft_lines\tright_lines\tleft_text\tright_text\n",
    )


def test_encode_writes_a_row_for_every_line(run, tmp_path):
    status, _, err = run("encode", "-", "-o", tmp_path / "x.npy", stdin=b"one\n\nthree\n")
    x = np.load(tmp_path / "x.npy", allow_pickle=False)
    assert status == 0
    assert (x.shape, x.dtype) == ((3, 320), np.float32)
    assert (x[1] == 0).all()
    assert x[[0, 2]] == pytest.approx(Encoder.load().encode(["one", "three"]), abs=1e-6)
    assert "3 vectors of 320 dimensions" in err


def test_encode_to_standard_output():
    command = [sys.executable, "-m", "lightmine", "encode", "-", "-o", "-", "-q"]
    done = subprocess.run(command, input=b"one\ntwo\n", capture_output=True, check=True)
    assert done.stderr == b""
    assert np.load(io.BytesIO(done.stdout), allow_pickle=False).shape == (2, 320)


def test_info_shows_the_manifest(run, tiny_bundle):
    status, out, _ = run("info")
    assert status == 0
    assert "static-multilingual" in out
    assert "do not change a vector" in out
    status, out, _ = run("info", tiny_bundle, "--json")
    assert json.loads(out)["name"] == "tiny"


def test_export_names_what_is_missing_and_how_to_install_it(run, monkeypatch):
    monkeypatch.setattr("lightmine.export.requirements._is_installed", lambda name: name != "torch")
    status, out, err = run("export", "model", "out")
    assert (status, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("lightmine: exporting needs torch, which running does not: pip install torch==")
    assert line.endswith("'transformers>=5.0'")
    monkeypatch.setattr("lightmine.export.requirements._is_installed", lambda name: False)
    _, _, err = run("export", "--from-onnx", "model", "out")
    assert err == "lightmine: exporting needs onnx, which running does not: pip install 'onnx>=1.18'\n"


def test_exports_help_needs_no_torch_and_no_onnx(monkeypatch):
    # What is not there is what cannot be imported.
    block = (
        "import sys; sys.modules |= dict.fromkeys(['torch', 'onnx', 'sentence_transformers', 'transformers'])"
    )
    code = f"{block}; from lightmine.export.command import main; main(['-h'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.startswith("usage: lightmine export ")
    assert "--precision {fp32,fp16,int8,int8-fast,int8-static}" in done.stdout
    command = [sys.executable, "-m", "lightmine", "export", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert shown.stdout == done.stdout


def test_a_command_imports_no_more_than_it_needs():
    code = """
        import atexit, sys
        atexit.register(lambda: print(sorted({"numpy", "onnxruntime", "tqdm"} & {*sys.modules})))
        sys.argv = ["lightmine", "--version"]
        from lightmine.__main__ import main
        main()
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "lightmine, version 0.1.0\n[]\n"


def test_the_environment_names_a_model_and_the_option_another(run, monkeypatch):
    monkeypatch.setenv("LIGHTMINE_MODEL", "static-tiny")
    assert "model           static-tiny" in run("info")[1]
    assert "model           static-multilingual" in run("info", "static-multilingual")[1]
    _, from_environment, _ = run("paraphrase", QUESTIONS, "--threshold", 0.6)
    _, asked, _ = run("paraphrase", QUESTIONS, "--threshold", 0.6, "--model", "static-tiny")
    assert from_environment == asked


bad = [
    (["paraphrase", "gone.txt"], "gone.txt: no such file"),
    (["paraphrase", "."], ".: is a directory; name a text file in it"),
    (["paraphrase", "latin1.txt"], "latin1.txt: line 2, byte 4 of the line: 0xe9 is not UTF-8"),
    (["paraphrase", "empty.txt"], "empty.txt: is empty; one sentence a line is needed"),
    (["paraphrase", "blank.txt"], "blank.txt: has 3 lines, all of them blank"),
    (["bitext", "good.txt", "empty.txt"], "empty.txt: is empty"),
    (["bitext", "-", "-"], "only one of the two files can be - (standard input)"),
    (["encode", "empty.txt", "-o", "x.npy"], "empty.txt: is empty"),
    (["paraphrase", "good.txt", "--model", "gone"], "gone: no such model; give the folder of a bundle"),
    (["paraphrase", "good.txt", "-o", "gone/pairs.tsv"], "gone/pairs.tsv: cannot be written: No such file"),
    (["paraphrase", "good.txt", "-o", "pairs.xls"], "pairs.xls: name it .tsv or .jsonl"),
    (["paraphrase", "good.txt", "-o", "folder.tsv"], "folder.tsv: is a directory; name a file in it"),
    (["paraphrase", "good.txt", "--memory-budget", "much"], "memory_budget: 'much' is not a size"),
    (["paraphrase", "good.txt", "-o", "."], ".: name it .tsv or .jsonl"),
    (["paraphrase", "gone.txt", "--threshold", "nan"], "threshold must be a number, not nan"),
    (
        ["paraphrase", "good.txt", "--threshold", "-1", "--memory-budget", "1MiB"],
        "needs a memory_budget of",
    ),
    (["info", "good.txt"], "good.txt: no such model"),
]


@pytest.mark.parametrize(("arguments", "message"), bad)
def test_bad_input_gets_one_line_exit_2_and_no_output(run, monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latin1.txt").write_bytes(b"fine\ncaf\xe9\n")
    (tmp_path / "empty.txt").touch()
    (tmp_path / "blank.txt").write_text(" \n\n\t\n")
    (tmp_path / "good.txt").write_text("one\ntwo\n")
    (tmp_path / "folder.tsv").mkdir()
    before = sorted(os.listdir(tmp_path))
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert err.startswith("lightmine: ")
    assert err.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == before


def test_an_altered_model_is_refused(run, tiny_bundle, tmp_path):
    import shutil

    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    with open(bundle / "model.onnx", "ab") as file:
        file.write(b"\0")
    status, _, err = run("paraphrase", QUESTIONS, "--model", bundle)
    assert status == 2
    assert "model.onnx: altered, it has 898 bytes where the manifest says 897" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["paraphrase"], "Missing argument 'FILE'"),
        (["paraphrase", QUESTIONS, "--top-k", "0"], "Invalid value for '--top-k'"),
        (["bitext", ENGLISH, GERMAN, "--margin", "odd"], "Invalid value for '--margin'"),
        (["mine"], "No such command 'mine'"),
    ],
)
def test_wrong_usage_says_what_is_right(run, arguments, message):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert message in err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_standard_output_is_one_line():
    command = f"{sys.executable} -m lightmine paraphrase -q {QUESTIONS} > /dev/full"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    problem = "standard output: cannot be written: No space left on device"
    assert done.stderr == f"lightmine: {problem}; free some space and run the command again\n"


def test_what_nobody_foresaw_is_one_line_too(run, monkeypatch):
    monkeypatch.setattr("lightmine.cli.paraphrase.mine_paraphrases", lambda *_, **__: 1 // 0)
    status, out, err = run("paraphrase", QUESTIONS, "--threshold", 0.6, "-q")
    assert (status, out) == (2, "")
    assert err.startswith("lightmine: unexpected ZeroDivisionError: ")
    assert err.count("\n") == 1


def test_debug_shows_the_traceback(monkeypatch):
    from lightmine.errors import TextError

    monkeypatch.setattr(sys, "argv", ["lightmine", "--debug", "paraphrase", "gone.txt"])
    with pytest.raises(TextError, match="no such file"):
        main()


@pytest.mark.parametrize("name", sorted(cli.list_commands(click.Context(cli))))
def test_every_command_has_help_and_an_example_that_stands_in_the_docs(name):
    command = cli.get_command(click.Context(cli), name)
    assert command.help
    example = command.help.split("Example:")[1].strip().splitlines()[0].strip()
    assert example.startswith(f"lightmine {name}")
    assert f"lightmine {name}" in "".join(
        path.read_text() for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
    )
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.name not in ("margin",):
            assert parameter.help, parameter.name


def test_a_reader_that_stops_early_gets_no_traceback():
    command = f"{sys.executable} -m lightmine paraphrase {QUESTIONS} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.startswith("score\t")
    assert "Traceback" not in done.stderr


def test_python_m_lightmine_works_from_any_folder(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "lightmine", "paraphrase", str(QUESTIONS), "--threshold", "0.6"],
        capture_output=True, text=True, cwd=tmp_path, check=True,
    )  # fmt: skip
    assert len(rows(done.stdout)) > 5
    assert os.listdir(tmp_path) == []
