import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from lightmine import Encoder
from lightmine.encoding.batching import Tokens, batches, pad
from lightmine.errors import ArgumentError, TextError
from tests.tiny import WORDS, write_bundle

sentences = st.lists(st.lists(st.sampled_from(WORDS[2:]), min_size=1, max_size=20).map(" ".join), min_size=1)


@pytest.fixture(scope="module")
def tiny(tiny_bundle):
    return Encoder.load(tiny_bundle)


@pytest.fixture(scope="module")
def default():
    return Encoder.load()


@given(texts=sentences, batch_tokens=st.integers(1, 64), threads=st.integers(1, 3))
def test_a_vector_is_a_function_of_its_text(tiny, texts, batch_tokens, threads):
    together = tiny.encode(texts, batch_tokens=batch_tokens, threads=threads)
    alone = np.concatenate([tiny.encode([text]) for text in texts])
    assert np.abs(together - alone).max() <= 1e-6
    assert np.abs(np.linalg.norm(together, axis=1) - 1).max() <= 1e-6


def test_the_default_models_vectors_do_not_depend_on_batch_mates(default):
    texts = ["Good morning!", "Guten Morgen!", "早上好！", "x" * 3000, "1984", "🙂", "Доброе утро"] * 40
    together = default.encode(texts)
    assert together.shape == (280, default.manifest.dimension)
    assert together.dtype == np.float32
    assert np.isfinite(together).all()
    assert np.abs(np.linalg.norm(together.astype(np.float64), axis=1) - 1).max() < 1e-7
    alone = np.concatenate([default.encode([text]) for text in texts[:7]])
    assert np.abs(together - np.tile(alone, (40, 1))).max() <= 1e-6
    assert np.abs(default.encode(texts[::-1])[::-1] - together).max() <= 1e-6


def test_translations_are_nearer_than_other_sentences(default):
    english = default.encode(["The dog sleeps under the table.", "It has been raining since yesterday."])
    german = default.encode(["Der Hund schläft unter dem Tisch.", "Es regnet seit gestern."])
    scores = english @ german.T
    assert scores.argmax(axis=1).tolist() == [0, 1]


def test_long_sentences_are_cut_and_counted(tiny):
    long = " ".join(["cat"] * 12 + ["dog"] * 50)
    vectors = tiny.encode(["cat", long, "a dog"])
    assert tiny.truncated == 1
    assert vectors[0] == pytest.approx(vectors[1], abs=1e-6)
    tiny.encode(["cat"])
    assert tiny.truncated == 0


def test_a_megabyte_of_text_is_one_cut_sentence(default):
    vectors = default.encode(["word " * 200_000, "word"])
    assert default.truncated == 1
    assert np.isfinite(vectors).all()


def test_more_sentences_than_a_window_keep_their_order(tiny, monkeypatch):
    monkeypatch.setattr("lightmine.encoding.encoder.WINDOW", 7)
    texts = [f"{a} {b}" for a in WORDS[2:] for b in WORDS[2:]]
    seen = []
    vectors = tiny.encode(texts, progress=lambda done, total: seen.append((done, total)))
    assert np.abs(vectors - tiny.encode(texts[::-1])[::-1]).max() <= 1e-6
    assert seen[-1] == (len(texts), len(texts))


def test_no_sentences_are_no_vectors(tiny):
    assert tiny.encode([]).shape == (0, 8)


def test_a_graph_without_normalisation_still_gives_unit_rows(tmp_path, tiny):
    plain = Encoder.load(write_bundle(tmp_path / "plain", normalize=False))
    texts = ["the cat sat", "a red log"]
    assert plain.encode(texts) == pytest.approx(tiny.encode(texts), abs=1e-6)


def test_the_default_prompt_goes_before_every_sentence(tmp_path, tiny):
    prompts = dict(prompts={"query": "the "}, default_prompt="query")
    prompted = Encoder.load(write_bundle(tmp_path / "prompted", **prompts))
    assert prompted.encode(["cat"]) == pytest.approx(tiny.encode(["the cat"]), abs=1e-6)


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ("one string", "sentences must be a list of strings, not one string"),
        (["fine", None], r"sentences\[1\] is a NoneType, not a string; drop or convert it"),
        (["fine", 3.5], r"sentences\[1\] is a float, not a string"),
        (["fine", b"bytes"], r"sentences\[1\] is a bytes, not a string"),
        (["fine", "\ud800"], r"sentences\[1\] holds half a surrogate pair"),
        (["fine", ""], r"sentences\[1\] is empty: it has no tokens to encode; drop it"),
    ],
)
def test_what_cannot_be_encoded_is_named(tiny, given_, message):
    with pytest.raises(TextError, match=message):
        tiny.encode(given_)


@pytest.mark.parametrize("options", [dict(batch_tokens=0), dict(threads=0), dict(threads=1.5)])
def test_options_out_of_range_are_refused(tiny, options):
    with pytest.raises(ArgumentError, match="batch_tokens and threads must be whole numbers of at least 1"):
        tiny.encode(["cat"], **options)


@given(st.lists(st.integers(1, 50)), st.integers(1, 100))
def test_batches_hold_every_sentence_once_within_their_tokens(lengths, batch_tokens):
    found = list(batches(lengths, batch_tokens=batch_tokens))
    assert sorted(place for batch in found for place in batch) == list(range(len(lengths)))
    assert all(len(b) == 1 or len(b) * max(lengths[p] for p in b) <= batch_tokens for b in found)


def test_padding_goes_to_the_side_that_the_model_wants():
    ids, mask = pad(Tokens.of([[5], [9], [6, 7, 8]]), np.array([0, 2]), pad_token_id=9, side="left")
    assert ids.tolist() == [[9, 9, 5], [6, 7, 8]]
    assert mask.tolist() == [[0, 0, 1], [1, 1, 1]]
