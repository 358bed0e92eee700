"""The static model's graph and its parts, without training."""

import numpy as np
import onnxruntime
import pytest
import torch

from export_scripts.static_bigrams import Bigrams
from export_scripts.static_bundle import Weights, build_graph, by_variance, quantise, save_tokenizer, silence
from export_scripts.static_student import Bags, Student
from export_scripts.static_tokenizer import BYTES, INSIDE, UNKNOWN, encode, train_tokenizer
from lightmine.encoding.bundle import TOKENIZER, VOCABULARY
from lightmine.encoding.tokenizer import Tokenizer

SPREAD = np.linspace(2, 0.1, 16).astype(np.float32)
NONE = Bigrams(np.array([], np.int64), 50)
SOME = Bigrams(np.array([3 * 50 + 7, 3 * 50 + 8, 7 * 50 + 3, 7 * 50 + 7, 49 * 50 + 49]), 50)


@pytest.fixture(scope="module")
def table():
    return np.random.default_rng(0).standard_normal((50, 16)).astype(np.float32) * SPREAD


@pytest.fixture(scope="module", params=[(NONE, 0), (NONE, 8), (SOME, 0), (SOME, 8)], ids=str)
def student(request, table):
    """A student of random weights, its bigrams, and what its graph says."""
    bigrams, hidden = request.param
    torch.manual_seed(0)
    made = Student(bigrams.rows(), 16, hidden)
    made.table.data[:] = torch.randn(bigrams.rows(), 16) * torch.from_numpy(SPREAD)
    made.table.data[:50] = torch.from_numpy(table)
    made.bias.data[:] = torch.randn(hidden)
    made.outer.data[:] = torch.randn(hidden, 16)
    graph = build_graph(Weights.of(made, bigrams, SPREAD, 127))
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])

    def run(ids, mask):
        return session.run(None, {"input_ids": np.array(ids), "attention_mask": np.array(mask)})[0]

    return made, bigrams, run


@pytest.mark.parametrize("levels", [7, 31, 127])
def test_rows_come_back_from_int8_within_half_a_step(table, levels):
    rows, scales = quantise(table, SPREAD, levels)
    assert rows.dtype == np.int8
    assert (np.abs(rows * scales[:, None] - table / SPREAD) <= scales[:, None] * 0.5001).all()
    assert np.abs(rows).max(axis=1).tolist() == [levels] * 50


@pytest.mark.parametrize("ids", [[3], [3, 7], [3, 7, 7, 3], [7, 8, 3, 8], [49, 49, 49], [0, 1, 2]])
def test_the_graph_gives_what_was_learnt(student, ids):
    made, bigrams, run = student
    bag = bigrams.extend(Bags(np.array(ids, np.int32), np.array([0, len(ids)]))).take(np.array([0]))
    with torch.no_grad():
        made.table.data, whole = torch.from_numpy(rounded(made.table.numpy())), made.table.data
        wanted = made(bag).numpy()
        made.table.data = whole
    assert run([ids], [[1] * len(ids)]) == pytest.approx(wanted, abs=1e-5)


def rounded(table):
    rows, scales = quantise(table, SPREAD, 127)
    return rows * scales[:, None] * SPREAD


def test_padding_and_batch_mates_change_nothing(student):
    _, _, run = student
    alone = run([[3, 7]], [[1, 1]])
    together = run([[3, 7, 7, 3], [1, 2, 3, 4], [3, 7, 3, 7]], [[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 1, 1]])
    assert together[[0, 2]] == pytest.approx(np.repeat(alone, 2, axis=0), abs=1e-6)


def test_no_pieces_give_a_unit_row_and_not_a_nan(student):
    _, _, run = student
    assert np.linalg.norm(run([[0, 0]], [[0, 0]])[0]) == pytest.approx(1, abs=1e-5)


def test_turning_by_variance_keeps_every_cosine_and_puts_what_varies_first():
    torch.manual_seed(1)
    student = Student(50, 16, 8)
    student.outer.data = torch.randn(8, 16)
    bags = (torch.arange(200) % 50, torch.arange(0, 200, 2))
    with torch.no_grad():
        before = student(bags).numpy()
        student.turn(torch.from_numpy(by_variance(before)))
        after = student(bags).numpy()
    assert after @ after.T == pytest.approx(before @ before.T, abs=1e-4)
    assert (np.diff((after**2).mean(axis=0)) <= 1e-7).all()


# --- bigrams


def test_the_most_common_bigrams_are_chosen_and_are_never_of_two_sentences():
    # 3 7 stands in every sentence, 1 and 2 in any order; 9 9 stands only across the end of a sentence
    rng = np.random.default_rng(0)
    sentences = [[9, *rng.permutation([1, 2, 1, 2]), 3, 7, 9] for _ in range(100)]
    bags = Bags(np.concatenate(sentences).astype(np.int32), np.arange(0, 801, 8))
    chosen = Bigrams.common(bags, np.ones(100), pieces=50, most=5)
    assert 3 * 50 + 7 in chosen.codes
    assert 9 * 50 + 9 not in chosen.codes
    assert len(chosen.codes) == 5
    first = chosen.extend(bags).take(np.array([0]))[0].tolist()
    assert first[:8] == bags.pieces[:8].tolist()
    assert 50 + chosen.codes.tolist().index(3 * 50 + 7) in first[8:]


def test_sentences_without_weight_and_rare_bigrams_are_not_counted():
    bags = Bags(np.array([1, 2] * 40 + [3, 4] * 40 + [5, 6] * 20, np.int32), np.arange(0, 201, 2))
    chosen = Bigrams.common(bags, np.r_[np.ones(40), np.zeros(40), np.ones(20)], pieces=50, most=9)
    assert chosen.codes.tolist() == [1 * 50 + 2]


def test_displaced_bigrams_are_found_and_no_others():
    rng = np.random.default_rng(0)
    codes = np.sort(rng.choice(50 * 50, 400, replace=False))
    shifts, owners, rows = Bigrams(codes, 50).displaced()
    left, right = np.divmod(np.arange(50 * 50), 50)
    slots = shifts[left] + right
    found = np.where(owners[slots] == left, rows[slots], 0)
    wanted = np.zeros(50 * 50)
    wanted[codes] = 50 + np.arange(400)
    assert (found == wanted).all()


# --- the tokenizer

SENTENCES = [
    "The dog sleeps, and the cat sleeps.", "Der Hund schläft, die Katze schläft.", "The dogs sleep.",
    "我喜欢狗。狗喜欢我。", "Собака спит, и кошка спит.", "Die Hunde schlafen.",
] * 30  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(
        SENTENCES, pieces=700, rare=3, piece_length=16, common=5, words=["telescope", "dog"]
    )


def test_the_tokenizer_is_the_same_in_every_run(tokenizer):
    again = train_tokenizer(
        SENTENCES, pieces=700, rare=3, piece_length=16, common=5, words=["telescope", "dog"]
    )
    assert again.to_str() == tokenizer.to_str()


def test_words_that_were_given_are_pieces(tokenizer):
    assert tokenizer.encode("Dog, TELESCOPE").tokens == ["dog", ",", "telescope"]


def test_common_words_are_pieces(tokenizer):
    assert len(tokenizer.encode("The dogs sleep. Der Hund schläft. Собака спит").ids) == 10


def test_chinese_is_read_a_character_at_a_time(tokenizer):
    assert len(tokenizer.encode("我喜欢狗").ids) == 4


def test_pieces_that_lie_beside_are_read_alike(tokenizer, tmp_path):
    save_tokenizer(tokenizer, tmp_path)
    beside = Tokenizer(tmp_path / TOKENIZER, vocabulary=tmp_path / VOCABULARY, max_tokens=8)
    for reader, most in ((beside, 8), (beside.cutting_at(3), 3)):
        ids, cut = reader.ids(SENTENCES[:6])
        wanted = [tokenizer.encode(sentence).ids for sentence in SENTENCES[:6]]
        assert [row.tolist() for row in np.split(ids.flat, ids.starts[1:-1])] == [
            one[:most] for one in wanted
        ]
        assert cut == sum(len(one) > most for one in wanted)


@pytest.mark.parametrize("text", ["ቋንቋ", "🦊 Ω", "x" * 1_000, "\x00\x01", "가나다", "<unk> ##dog <0x41>"])
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
