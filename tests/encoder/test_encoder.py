import itertools
import subprocess
import sys
import threading

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from benchmarks.encode import int8_bundle
from lightmine import Encoder
from lightmine.encoder.batching import Tokens, batches, pad
from lightmine.errors import ArgumentError, BundleError, TextError
from lightmine.export.sentences import evaluation_sentences
from lightmine.loading.bundle import default_model
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


def test_the_default_models_vectors_do_not_depend_on_the_rest_of_the_batch(default):
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


@pytest.mark.slow
@pytest.mark.parametrize("space", [" ", ""])
def test_the_start_of_a_book_on_one_line_gives_the_tokens_of_the_whole(default, monkeypatch, space):
    from lightmine.encoder import tokenizer

    words = ["bicycle", "Fahrrad", "自転車", "don't", "1984", "unbelievable"]
    book = space.join(np.random.default_rng(0).choice(words, 100_000))
    path, vocabulary = default_model() / "tokenizer.json", default_model() / "vocab.txt"
    short = tokenizer.Tokenizer(path, vocabulary=vocabulary, max_tokens=64)
    monkeypatch.setattr(tokenizer, "MANY_CHARACTERS", 10**9)
    whole = tokenizer.Tokenizer(path, vocabulary=vocabulary, max_tokens=64)
    assert len(short._start_of(book)) < 10_000
    assert whole._start_of(book) == book
    (found, cut), (expected, _) = short.ids([book, "a"]), whole.ids([book, "a"])
    assert (found.flat == expected.flat).all()
    assert cut == 1


def test_more_sentences_than_a_window_keep_their_order(tiny, monkeypatch):
    monkeypatch.setattr("lightmine.encoder.encoder.WINDOW", 7)
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
        (["fine", "\ud800"], r"sentences\[1\] has half a surrogate pair"),
        (["fine", ""], r"sentences\[1\] is empty: it has no tokens to encode; drop it"),
    ],
)
def test_what_cannot_be_encoded_is_named(tiny, given_, message):
    with pytest.raises(TextError, match=message):
        tiny.encode(given_)


@pytest.mark.parametrize("options", [dict(batch_tokens=0), dict(threads=0), dict(threads=1.5)])
def test_options_out_of_range_are_refused(tiny, options):
    ((name, value),) = options.items()
    with pytest.raises(ArgumentError, match=f"{name} must be a whole number of at least 1, not {value}"):
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


def some(count):
    rng = np.random.default_rng(count)
    return [" ".join(rng.choice(WORDS[2:], rng.integers(1, 11))) for _ in range(count)]


def test_any_iterable_is_encoded_in_order(tiny):
    texts = some(50)
    expected = tiny.encode(texts)
    seen = []
    found = tiny.encode((text for text in texts), progress=lambda *done: seen.append(done))
    assert (found == expected).all()
    assert seen[-1] == (50, None)
    assert (tiny.encode(np.array(texts)) == expected).all()
    assert tiny.encode(iter([])).shape == (0, 8)


def test_a_stream_reads_a_little_ahead_and_gives_rows_in_order(tiny, monkeypatch):
    monkeypatch.setattr("lightmine.encoder.encoder.WINDOW", 10)
    texts, read = some(95), []
    blocks = tiny.stream(read.append(text) or text for text in texts)
    found = [next(blocks)]
    assert len(read) <= 30
    found += blocks
    assert [len(block) for block in found] == [10] * 9 + [5]
    assert (np.concatenate(found) == tiny.encode(texts)).all()


def test_a_window_is_bounded_in_characters_too(tiny, monkeypatch):
    monkeypatch.setattr("lightmine.encoder.encoder.WINDOW_CHARACTERS", 20)
    blocks = list(tiny.stream(["the cat sat on the mat", "a", "dog", "a red sky, a red log"]))
    assert [len(block) for block in blocks] == [1, 3]


def test_whoever_stops_early_is_not_kept_waiting(tiny, monkeypatch):
    monkeypatch.setattr("lightmine.encoder.encoder.WINDOW", 10)
    before = threading.active_count()
    blocks = tiny.stream(str(number) for number in itertools.count())
    next(blocks)
    assert threading.active_count() > before
    blocks.close()
    assert threading.active_count() == before


def test_a_stream_names_the_place_of_what_it_cannot_encode(tiny, monkeypatch):
    monkeypatch.setattr("lightmine.encoder.encoder.WINDOW", 10)
    with pytest.raises(TextError, match=r"sentences\[25\] is a int, not a string"):
        tiny.encode(text if place != 25 else 3 for place, text in enumerate(some(40)))
    with pytest.raises(TextError, match=r"sentences\[25\] is empty"):
        tiny.encode("" if place == 25 else text for place, text in enumerate(some(40)))


@pytest.mark.slow
def test_a_long_stream_runs_in_bounded_memory(tiny_bundle):
    code = """
import resource, sys, lightmine
encoder = lightmine.Encoder.load(sys.argv[1])
def lines(count):
    for number in range(count):
        yield "the cat sat on the mat and ran under the log in the sky"
def peak(count):
    rows = sum(len(block) for block in encoder.stream(lines(count)))
    assert rows == count
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
few = peak(40_000)
print(peak(160_000) - few)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_bundle)], capture_output=True, text=True, check=True
    )
    # The vectors alone of the rest would be 4 MB, the sentences 13, their ids 6.
    assert int(done.stdout) < 6_000


def test_prompts_go_by_name_by_text_or_not_at_all(tmp_path, tiny):
    prompts = dict(prompts={"query": "the ", "passage": "a red "}, default_prompt="query")
    encoder = Encoder.load(write_bundle(tmp_path / "prompted", **prompts))
    plain = tiny.encode(["the cat", "a red cat", "under cat", "cat"])
    assert encoder.encode(["cat"]) == pytest.approx(plain[:1], abs=1e-6)
    assert encoder.encode(["cat"], prompt_name="passage") == pytest.approx(plain[1:2], abs=1e-6)
    assert encoder.encode(["cat"], prompt="under ") == pytest.approx(plain[2:3], abs=1e-6)
    assert encoder.encode(["cat"], prompt="") == pytest.approx(plain[3:], abs=1e-6)


def test_prompts_left_out_of_pooling_shape_the_context_alone(tmp_path, tiny):
    """The tiny model has no context: what is not pooled leaves no trace."""
    prompts = dict(prompts={"query": "the red "}, default_prompt="query", include_prompt=False)
    bundle = write_bundle(tmp_path / "left-out", pooling_mask=True, **prompts)
    texts = ["cat", "dog sat on the mat"]
    assert Encoder.load(bundle).encode(texts) == pytest.approx(tiny.encode(texts), abs=1e-6)
    left = write_bundle(tmp_path / "left", pooling_mask=True, padding_side="left", **prompts)
    assert Encoder.load(left).encode(texts) == pytest.approx(tiny.encode(texts), abs=1e-6)
    without = Encoder.load(write_bundle(tmp_path / "without", **prompts))
    with pytest.raises(
        BundleError, match="its graph has no input pooling_mask for that; export the model again"
    ):
        without.encode(texts)
    assert without.encode(texts, prompt="") == pytest.approx(tiny.encode(texts), abs=1e-6)


def test_fewer_dimensions_are_the_first_ones_as_unit_rows(tiny, tmp_path):
    texts = some(20)
    whole = tiny.encode(texts)[:, :3]
    cut = tiny.encode(texts, truncate_dim=3)
    assert cut.flags.c_contiguous
    assert cut == pytest.approx(whole / np.linalg.norm(whole, axis=1, keepdims=True), abs=1e-6)
    assert tiny.encode(texts, truncate_dim=3, normalize=False) == pytest.approx(whole, abs=1e-6)
    plain = Encoder.load(write_bundle(tmp_path / "plain", normalize=False))
    long = plain.encode(texts, normalize=False)
    assert np.linalg.norm(long, axis=1).max() > 1.5
    assert long / np.linalg.norm(long, axis=1, keepdims=True) == pytest.approx(tiny.encode(texts), abs=1e-6)


def test_a_float16_graph_gives_float32_unit_rows(tiny, tmp_path):
    encoder = Encoder.load(write_bundle(tmp_path / "half", half=True, precision="fp16"))
    vectors = encoder.encode(["the cat sat", "a red log"])
    assert vectors.dtype == np.float32
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-6
    assert vectors == pytest.approx(tiny.encode(["the cat sat", "a red log"]), abs=1e-3)


def test_a_shorter_longest_input_cuts_and_counts(tiny):
    assert tiny.encode(["the cat sat on"], max_tokens=2) == pytest.approx(tiny.encode(["the cat"]), abs=1e-6)
    tiny.encode(["the cat sat on", "a", "a b c"], max_tokens=2)
    assert tiny.truncated == 2
    tiny.encode(["the cat sat on"])
    assert tiny.truncated == 0


@pytest.mark.torch
def test_fewer_bytes_are_those_of_sentence_transformers(tiny):
    from sentence_transformers.util import quantize_embeddings

    texts = some(300)
    plain = tiny.encode(texts)
    half = tiny.encode(texts, precision="float16")
    assert half.dtype == np.float16
    assert half == pytest.approx(plain, abs=1e-3)
    ranges = tiny.calibrate(texts[:100])
    small = tiny.encode(texts, precision="int8", ranges=ranges)
    assert small.dtype == np.int8
    assert (small == quantize_embeddings(plain, "int8", ranges=ranges)).all()
    assert (small[7:8] == tiny.encode(texts[7:8], precision="int8", ranges=ranges)).all()
    bits = tiny.encode(texts, precision="binary")
    assert bits.shape == (300, 1)
    assert (bits == quantize_embeddings(plain, "binary")).all()
    assert tiny.encode([], precision="binary").shape == (0, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(prompt="a", prompt_name="b"), "two ways to say one thing"),
        (dict(prompt_name="b"), "prompt_name: tiny has no prompt 'b'; it has none"),
        (
            dict(truncate_dim=9),
            "truncate_dim must be a whole number from 1 to the model's 8 dimensions, not 9",
        ),
        (dict(truncate_dim=0), "truncate_dim must be a whole number from 1"),
        (dict(max_tokens=13), "max_tokens must be a whole number from 1 to the model's 12 tokens, not 13"),
        (dict(normalize=False), "normalize=False: the model's own graph makes unit rows"),
        (dict(precision="int4"), "precision must be one of float32, float16, int8, binary, not 'int4'"),
        (dict(precision="int8"), r"int8 needs ranges; make them once with encoder.calibrate\(sample\)"),
        (dict(ranges=np.zeros((2, 8))), "ranges belong to precision int8, not to float32"),
        (dict(precision="int8", ranges=np.zeros((2, 4))), r"ranges must have shape \(2, 8\), not \(2, 4\)"),
        (
            dict(precision="int8", ranges=np.array([[1] * 8, [0] * 8])),
            "the first row nowhere over the second",
        ),
    ],
)
def test_options_that_the_model_does_not_have_are_refused(tiny, options, message):
    with pytest.raises(ArgumentError, match=message):
        tiny.encode(["cat"], **options)
    with pytest.raises(ArgumentError, match=message):
        tiny.stream(["cat"], **options)


def test_ranges_need_a_sample(tiny):
    with pytest.raises(ArgumentError, match="ranges need a sample of some thousand sentences, not 1"):
        tiny.calibrate(["cat"])


@pytest.fixture(scope="module")
def transformer(tmp_path_factory):
    """A small BERT with random weights, in float32 and with dynamic int8 products."""
    from lightmine.export.export import export_bundle
    from tests import small_models

    folder = tmp_path_factory.mktemp("transformer")
    small_models.build(folder / "source")
    export_bundle(folder / "source", folder / "fp32", licence="Apache-2.0")
    return folder / "fp32", int8_bundle(folder / "fp32", folder / "int8")


def vary(encoder, **options):
    """The largest change of any number: alone, shuffled, and in batches of other sizes."""
    texts = evaluation_sentences()[0][:60]
    order = np.random.default_rng(0).permutation(len(texts))
    expected = np.concatenate([encoder.encode([text], **options) for text in texts])
    others = [encoder.encode(texts, batch_tokens=size, **options) for size in (1, 40, 200, 5000)]
    shuffled = np.empty_like(expected)
    shuffled[order] = encoder.encode([texts[place] for place in order], **options)
    return max(np.abs(found - expected).max() for found in [*others, shuffled])


@pytest.mark.torch
def test_a_transformers_vectors_do_not_depend_on_the_rest_of_the_batch(transformer):
    assert vary(Encoder.load(transformer[0], provider="cpu")) <= 1e-6


@pytest.mark.torch
def test_an_int8_transformers_vectors_do_not_either_unless_asked_to_be_fast(transformer):
    plain, int8 = (Encoder.load(bundle, provider="cpu") for bundle in transformer)
    assert vary(int8) == 0
    assert vary(int8, fast=True) > 1e-4
    texts = evaluation_sentences()[0][:60]
    assert (plain.encode(texts) * int8.encode(texts)).sum(axis=1).min() > 0.9
    assert not (plain.encode(texts) == int8.encode(texts)).all()
