"""What the encoder takes for sentences, and what it refuses before any memory is handed out."""

import functools
import inspect
import pickle
import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow
import pytest

from lightmine import Encoder
from lightmine.encoder.embedding_quantization import PRECISIONS, Precision
from lightmine.encoder.providers import PROVIDERS
from lightmine.errors import BundleError, TextError
from lightmine.loading.bundle import VERIFY, models_folder
from lightmine.store import Cache, open_embeddings, write_embeddings
from tests.tiny import write_bundle


class Frame:
    """As a DataFrame: its length is that of its rows, and iterating gives the names of its columns."""

    columns = ("id", "text")

    def __len__(self):
        return 5

    def __iter__(self):
        return iter(self.columns)


class Odd:
    """A container that gives another number of items than its length says."""

    def __init__(self, length, given):
        self.length, self.given = length, given

    def __len__(self):
        return self.length

    def __iter__(self):
        return iter(["cat"] * self.given)


REFUSED = [
    (Frame(), r"sentences is a Frame with the columns 'id', 'text'; pass one column: df\['text'\]"),
    (pyarrow.table({"text": ["cat"]}), r"sentences is a Table with the columns 'text'; pass one column"),
    (Odd(5, 3), "sentences is a Odd whose length is 5, and it gave 3 items; pass a list"),
    (Odd(3, 5), "sentences is a Odd whose length is 3, and it gave over 3 items; pass a list"),
    (Odd(3, 0), "sentences is a Odd whose length is 3, and it gave 0 items"),
    ({"text": ["cat"]}, r"sentences is a dict with the keys 'text'; pass a list of strings: d\['text'\]"),
    ({"cat", "dog"}, "sentences is a set, which has no order; pass a list"),
    (np.array([["cat", "dog"]]), r"sentences is a ndarray of shape \(1, 2\); pass one row of strings"),
    (np.array("cat"), r"sentences is a ndarray of shape \(\)"),
    (7, "sentences is a int, not a list of strings"),
    (b"cat", "sentences must be a list of strings, not one string"),
]


@pytest.mark.parametrize(("given", "message"), REFUSED, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("how", ["encode", "stream", "cache"])
def test_what_is_no_row_of_sentences_is_refused(tiny_bundle, tmp_path, given, message, how):
    encoder = Encoder.load(tiny_bundle)
    # A stream allocates nothing by the length.
    stream = how == "stream" and not isinstance(given, Odd)
    encode = encoder.stream if stream else encoder.encode
    with pytest.raises(TextError, match=message):
        Cache(tmp_path).encode(encoder, given) if how == "cache" else list(encode(given))


@pytest.mark.parametrize(
    "given", [["cat", "dog"], ("cat", "dog"), np.array(["cat", "dog"]), iter(["cat", "dog"])]
)
def test_rows_of_strings_are_taken(tiny_bundle, given):
    encoder = Encoder.load(tiny_bundle)
    assert (encoder.encode(given) == encoder.encode(["cat", "dog"])).all()


@pytest.fixture(scope="module")
def dropping(tmp_path_factory):
    """A model whose tokenizer drops the marks +, so that a line of them has no tokens."""
    return write_bundle(tmp_path_factory.mktemp("models") / "dropping", drops="+")


def test_sentences_without_tokens_are_rows_of_zeros_when_asked(dropping):
    encoder = Encoder.load(dropping)
    texts = ["cat", "+++", "dog", ""]
    with pytest.raises(TextError, match=r"sentences\[1\] is empty: it has no tokens to encode; drop it"):
        encoder.encode(texts)
    x = encoder.encode(texts, no_tokens="zeros")
    assert x.any(axis=1).tolist() == [True, False, True, False]
    assert encoder.without_tokens == (1, 3)
    assert (x[[0, 2]] == encoder.encode(["cat", "dog"])).all()
    assert encoder.without_tokens == ()
    assert not encoder.encode(texts, no_tokens="zeros", precision="binary")[[1, 3]].any()


def test_sentences_without_tokens_are_rows_of_zeros_on_disk_and_counted(dropping, tmp_path):
    lines = ["cat", "", "+++", "dog"]
    written = write_embeddings(tmp_path / "x.npy", Encoder.load(dropping), lines)
    assert (written.manifest.sentences, written.manifest.without_tokens) == (3, 1)
    found = open_embeddings(tmp_path / "x.npy", verify=True)
    assert found.vectors.any(axis=1).tolist() == [True, False, False, True]
    assert found.manifest.without_tokens == 1


def test_an_encoder_tells_what_it_is(tiny_bundle):
    encoder = Encoder.load(tiny_bundle, provider="cpu")
    assert encoder.dimension == 8
    assert repr(encoder) == "Encoder('tiny', dimension=8, max_tokens=12, provider='cpu')"


def test_a_pickled_encoder_opens_its_model_again_from_any_folder(tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tiny_bundle.parent)
    encoder = Encoder.load(tiny_bundle.name, threads=1)
    data = pickle.dumps(encoder)
    monkeypatch.chdir(tmp_path)
    copy = pickle.loads(data)
    assert (copy.encode(["the cat"]) == encoder.encode(["the cat"])).all()
    default = Encoder.load("static-tiny")
    assert pickle.loads(pickle.dumps(default)).fingerprint == default.fingerprint


def test_a_pickled_encoder_whose_model_changed_is_refused(tmp_path):
    folder = Path(shutil.copytree(models_folder() / "static-tiny", tmp_path / "model"))
    data = pickle.dumps(Encoder.load(folder))
    manifest = (folder / "lightmine.json").read_text()
    (folder / "lightmine.json").write_text(manifest.replace('"max_tokens": 512', '"max_tokens": 128'))
    with pytest.raises(BundleError, match="is not the model that was pickled; its files or settings"):
        pickle.loads(data)


def test_progress_true_shows_a_bar_on_stderr_and_false_none(tiny_bundle, capfd):
    encoder = Encoder.load(tiny_bundle)
    encoder.encode(["cat", "dog"], progress=False)
    assert capfd.readouterr() == ("", "")
    encoder.encode(["cat", "dog"], progress=True)
    out, err = capfd.readouterr()
    assert (out, "encoding" in err) == ("", True)


def test_an_unknown_option_is_refused(tiny_bundle, tmp_path):
    encoder = Encoder.load(tiny_bundle)
    cached = functools.partial(Cache(tmp_path).encode, encoder)
    for call in (encoder.encode, encoder.stream, encoder.calibrate, cached):
        with pytest.raises(TypeError, match=r"unexpected keyword argument 'promt'"):
            call(["cat"], promt="a ")
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'promt'"):
        encoder.identity(promt="a ")


def test_signatures_show_every_option_with_its_default_and_its_choices():
    encode = inspect.signature(Encoder.encode, eval_str=True).parameters
    assert encode["precision"].annotation == Precision
    assert get_args(Precision) == PRECISIONS == ("float32", "float16", "int8", "binary")
    assert get_args(encode["no_tokens"].annotation) == ("error", "zeros")
    load = inspect.signature(Encoder.load, eval_str=True).parameters
    assert get_args(load["provider"].annotation) == PROVIDERS == ("auto", "cpu", "openvino", "cuda")
    assert get_args(load["verify"].annotation) == VERIFY == ("full", "size")
    same = {name: option for name, option in encode.items() if name != "sentences"}
    without = {"stream": set(), "calibrate": {"ranges"}, "identity": {"progress"}}
    for method, missing in without.items():
        options = dict(inspect.signature(getattr(Encoder, method), eval_str=True).parameters)
        options.pop("sentences", None)
        assert options == {"self": encode["self"]} | {n: o for n, o in same.items() if n not in missing}, (
            method
        )
    for method in ("load", "encode", "stream", "calibrate", "identity"):
        kinds = [option.kind for option in inspect.signature(getattr(Encoder, method)).parameters.values()]
        assert inspect.Parameter.VAR_KEYWORD not in kinds
