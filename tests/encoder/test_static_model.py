"""The static model's graph and its parts, without training."""

import numpy as np
import onnxruntime
import pytest

from export_scripts.static_bundle import build_graph, by_variance, quantize, save_tokenizer, silence
from export_scripts.static_tokenizer import BYTES, INSIDE, UNKNOWN, encode, train_tokenizer
from lightmine.encoder.tokenizer import Tokenizer
from lightmine.loading.bundle import TOKENIZER, VOCABULARY

SPREAD = np.linspace(2, 0.1, 16).astype(np.float32)


@pytest.fixture(scope="module")
def table():
    return np.random.default_rng(0).standard_normal((50, 16)).astype(np.float32) * SPREAD


@pytest.fixture(scope="module")
def run(table):
    graph = build_graph(*quantize(table, SPREAD, 127), SPREAD)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda ids, mask: session.run(
        None, {"input_ids": np.array(ids), "attention_mask": np.array(mask)}
    )[0]


@pytest.mark.parametrize("levels", [7, 31, 127])
def test_rows_come_back_from_int8_within_half_a_step(table, levels):
    rows, scales = quantize(table, SPREAD, levels)
    assert rows.dtype == np.int8
    assert (np.abs(rows * scales[:, None] - table / SPREAD) <= scales[:, None] * 0.5001).all()
    assert np.abs(rows).max(axis=1).tolist() == [levels] * 50


def test_the_graph_sums_pieces_and_gives_unit_rows(table, run):
    rows, scales = quantize(table, SPREAD, 127)
    wanted = (rows * scales[:, None] * SPREAD)[[3, 7, 7]].sum(axis=0)
    assert run([[3, 7, 7]], [[1, 1, 1]])[0] == pytest.approx(wanted / np.linalg.norm(wanted), abs=1e-6)


def test_padding_and_the_rest_of_the_batch_change_nothing(run):
    alone = run([[3, 7]], [[1, 1]])
    together = run([[3, 7, 0, 0], [1, 2, 3, 4], [0, 0, 3, 7]], [[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 1, 1]])
    assert together[[0, 2]] == pytest.approx(np.repeat(alone, 2, axis=0), abs=1e-6)


def test_no_pieces_give_a_unit_row_and_not_a_nan(run):
    assert np.linalg.norm(run([[0, 0]], [[0, 0]])[0]) == pytest.approx(1, abs=1e-5)


def test_turning_by_variance_keeps_every_cosine_and_puts_what_varies_first(table):
    rng = np.random.default_rng(1)
    mixed = table @ np.linalg.qr(rng.standard_normal((16, 16)))[0].astype(np.float32)
    turned, spread = by_variance(mixed, mixed)
    assert turned @ turned.T == pytest.approx(mixed @ mixed.T, abs=1e-4)
    assert (np.diff(spread) <= 0).all()
    assert np.sqrt((turned**2).mean(axis=0)) == pytest.approx(spread, rel=1e-4)


# --- the tokenizer

SENTENCES = [
    "The dog sleeps, and the cat sleeps.", "Der Hund schläft, die Katze schläft.", "The dogs sleep.",
    "我喜欢狗。狗喜欢我。", "Собака спит, и кошка спит.", "Die Hunde schlafen.",
] * 30  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(SENTENCES, pieces=700, rare=3, piece_length=16, words=["telescope", "dog"])


def test_the_tokenizer_is_the_same_in_every_run(tokenizer):
    again = train_tokenizer(SENTENCES, pieces=700, rare=3, piece_length=16, words=["telescope", "dog"])
    assert again.to_str() == tokenizer.to_str()


def test_words_that_were_given_are_pieces(tokenizer):
    assert tokenizer.encode("Dog, TELESCOPE dogs").tokens[:4] == ["dog", ",", "telescope", "dog"]


def test_chinese_is_read_a_character_at_a_time(tokenizer):
    assert len(tokenizer.encode("我喜欢狗").ids) == 4


def test_pieces_that_lie_beside_are_read_alike(tokenizer, tmp_path):
    save_tokenizer(tokenizer, tmp_path)
    beside = Tokenizer(tmp_path / TOKENIZER, vocabulary=tmp_path / VOCABULARY, max_tokens=8)
    for reader, most in ((beside, 8), (beside.with_max_tokens(3), 3)):
        ids, cut = reader.ids(SENTENCES[:6])
        wanted = [tokenizer.encode(sentence).ids for sentence in SENTENCES[:6]]
        assert [row.tolist() for row in np.split(ids.flat, ids.starts[1:-1])] == [
            one[:most] for one in wanted
        ]
        assert cut == sum(len(one) > most for one in wanted)


@pytest.mark.parametrize(
    "text", ["ቋንቋ", "🦊 Ω", "x" * 1_000, "\u0378\U000e1000", "가나다", "<unk> ##dog <0x41>"]
)
def test_no_text_is_unknown(tokenizer, text):
    ids = tokenizer.encode(text).ids
    assert ids
    assert tokenizer.token_to_id(UNKNOWN) not in ids


def test_nothing_to_read_is_the_unknown_piece(tokenizer):
    pieces, starts = encode(tokenizer, ["", "dog", " \n"])
    assert pieces.tolist() == [0, tokenizer.token_to_id("dog"), 0]
    assert starts.tolist() == [0, 1, 2, 3]


def test_sharp_s_is_two(tokenizer):
    assert tokenizer.encode("Straße").ids == tokenizer.encode("STRASSE").ids


def test_what_training_never_met_is_silent_and_the_rest_of_the_bytes_is_not(tokenizer):
    table = np.ones((tokenizer.get_vocab_size(), 4), np.float32)
    seen, _ = encode(tokenizer, SENTENCES)
    quiet = silence(table, tokenizer, seen).any(axis=1)
    assert quiet[0]
    assert quiet[tokenizer.token_to_id("dog")]
    assert not quiet[tokenizer.token_to_id("telescope")]
    # of Ethiopic, whose characters begin with 0xE1, the first byte is silent and the others are not
    first, *others = tokenizer.encode("ቋ").tokens
    assert first == BYTES_OF[0xE1]
    assert not quiet[tokenizer.token_to_id(first)]
    assert all(quiet[tokenizer.token_to_id(piece)] for piece in others)
    assert len(BYTES) == 256
    assert all(tokenizer.token_to_id(INSIDE + byte) is not None for byte in BYTES)


BYTES_OF = {0xE1: "á"}
