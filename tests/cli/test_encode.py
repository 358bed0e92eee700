"""The command line's options for encoding."""

import os
from pathlib import Path

import numpy as np
import pytest

from lightmine import Encoder
from lightmine.cli.info import BATCH_EFFECTS
from tests.command_line import ROOT, run
from tests.tiny import write_bundle

__all__ = ["run"]

LINES = b"\n\nthe cat sat\n\na red log\nthe dog ran under the sky\n\n\n"
TEXTS = ["the cat sat", "a red log", "the dog ran under the sky"]
PLACES = [2, 4, 5]


@pytest.fixture
def encoded(run, tmp_path, tiny_bundle):
    """Run ``lightmine encode`` on LINES with the tiny model; its matrix and its notes."""

    def encoded(*options, model=tiny_bundle):
        out = tmp_path / "x.npy"
        status, _, err = run("encode", "-", "-o", out, "--restart", "--model", model, *options, stdin=LINES)
        assert status == 0, err
        return np.load(out, allow_pickle=False), err

    return encoded


def test_blank_lines_anywhere_keep_their_rows(encoded, tiny_bundle, monkeypatch):
    monkeypatch.setattr("lightmine.encoder.encoder.WINDOW", 2)
    x, _ = encoded()
    assert x.shape == (8, 8)
    assert x[PLACES] == pytest.approx(Encoder.load(tiny_bundle).encode(TEXTS), abs=1e-6)
    assert (np.delete(x, PLACES, axis=0) == 0).all()


def test_options_of_encode_are_those_of_the_library(encoded, tmp_path):
    bundle = write_bundle(tmp_path / "prompted", prompts={"query": "the ", "none": ""})
    encoder = Encoder.load(bundle)
    for options, same in [
        (["--prompt", "a "], dict(prompt="a ")),
        (["--prompt-name", "query"], dict(prompt_name="query")),
        (["--truncate-dim", 4], dict(truncate_dim=4)),
        (["--max-tokens", 2], dict(max_tokens=2)),
        (["--precision", "float16"], dict(precision="float16")),
        (["--precision", "binary"], dict(precision="binary")),
        (["--batch-tokens", 3, "--threads", 1, "--provider", "cpu", "--fast"], {}),
    ]:
        x, err = encoded(*options, model=bundle)
        expected = encoder.encode(TEXTS, **same)
        assert x.dtype == expected.dtype
        assert x[PLACES] == pytest.approx(expected, abs=1e-6), options
        cut = "standard input: 3 sentences are longer than 2 tokens and were cut there"
        assert (cut in err) == ("--max-tokens" in options)
    assert "8 vectors of 8 dimensions, binary to " in encoded("--precision", "binary")[1]


def test_int8_makes_its_ranges_once_and_uses_them_again(encoded, tmp_path, tiny_bundle):
    path = tmp_path / "ranges.npy"
    first, err = encoded("--precision", "int8", "--ranges", path)
    assert f"ranges of 3 sentences to {path}" in err
    ranges = np.load(path)
    expected = Encoder.load(tiny_bundle).encode(TEXTS, precision="int8", ranges=ranges)
    assert (first[PLACES] == expected).all()
    again, err = encoded("--precision", "int8", "--ranges", path)
    assert (again == first).all()
    assert "ranges of" not in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--precision", "int8"], "--precision int8 and --ranges FILE.npy go together"),
        (["--ranges", "x.npy"], "--precision int8 and --ranges FILE.npy go together"),
        (["--precision", "int8", "--ranges", "broken.npy"], "broken.npy: no array that can be read"),
        (["--provider", "cuda"], "the installed ONNX Runtime has no CUDA: pip uninstall -y onnxruntime"),
        (["--prompt-name", "query"], "tiny has no prompt 'query'"),
        (["--prompt", "a\udcff"], r"prompt: 'a\udcff' has half a character, U+DCFF; write it in UTF-8"),
        (["--truncate-dim", "9"], "truncate_dim must be a whole number from 1 to the model's 8 dimensions"),
    ],
)
def test_bad_options_get_one_line_exit_2_and_no_output(
    run, tmp_path, tiny_bundle, monkeypatch, options, message
):
    monkeypatch.chdir(tmp_path)
    Path("broken.npy").write_bytes(b"nonsense")
    status, _, err = run("encode", "-", "-o", "out.npy", "-q", "--model", tiny_bundle, *options, stdin=LINES)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1
    assert os.listdir() == ["broken.npy"]


def test_mining_takes_the_provider_and_fast(run, tmp_path):
    file = ROOT / "examples/questions.txt"
    plain = run("paraphrase", file, "--threshold", "0.6", "-q")
    assert plain[:2] == run("paraphrase", file, "--threshold", "0.6", "--provider", "cpu", "--fast", "-q")[:2]
    status, _, err = run("paraphrase", file, "--provider", "cuda", "-q")
    assert (status, err.count("\n")) == (2, 1)
    assert "has no CUDA" in err


def test_info_says_what_runs_a_bundle_and_whether_other_sentences_of_a_batch_matter(run, tmp_path):
    for batch, words in BATCH_EFFECTS.items():
        bundle = write_bundle(tmp_path / batch, batch=batch)
        status, out, _ = run("info", bundle)
        assert status == 0
        assert words in out
        assert "cpu: " in out
        assert "threads " in out
