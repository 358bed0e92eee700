"""What a caller may pass as embeddings, and what one line says about anything else."""

import numpy as np
import pytest

from lightmine import mine_bitext, mine_paraphrases, neighbors, retrieve, score_bitext, unit_rows
from lightmine.bitext.presets import margin_spec
from lightmine.errors import LightmineError, MatrixError, OptionError

ENCODE = "stands where vectors belong; encode first, as in Encoder.load"


class Encoder:
    def encode(self, sentences):
        raise AssertionError("not called")


def objects(*rows):
    array = np.empty(len(rows), object)
    array[:] = rows
    return array


TEXTS = {
    "str": "a sentence",
    "bytes": b"a sentence",
    "list": ["one", "two"],
    "tuple": ("one", "two"),
    "array": np.array(["one", "two"]),
    "matrix": np.array([["one", "two"]]),
    "objects": np.array(["one", "two"], object),
    "missing first": [None, "two"],
    "StringDType": np.array(["one"], np.dtypes.StringDType()),
    "encoder": Encoder(),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_text_and_encoders_are_told_to_encode_first(text):
    for mine in (unit_rows, mine_paraphrases, neighbors):
        with pytest.raises(MatrixError, match=f"^embeddings: .*{ENCODE}"):
            mine(text)
    with pytest.raises(MatrixError, match=f"^right embeddings: .*{ENCODE}"):
        mine_bitext([[1, 0]], text)


def test_a_frame_of_text_is_told_to_encode_first():
    pandas = pytest.importorskip("pandas")
    for text in (pandas.DataFrame({"text": ["one", "two"]}), pandas.Series(["one", "two"])):
        with pytest.raises(MatrixError, match=ENCODE):
            unit_rows(text)
    assert unit_rows(pandas.DataFrame({"a": [3.0], "b": [4.0]})).shape == (1, 2)


ODD = {
    "complex": (np.ones((2, 2), complex), "real numbers are needed, not complex128"),
    "rows as objects": (objects(np.ones(2), np.ones(2)), r"make a matrix of it with np.stack\(list\(x\)\)"),
    "None among numbers": ([[1.0, None]], r"an array of objects \(NoneType among them\)"),
    "None": (None, r"a matrix of shape \(sentences, dimension\) is needed, not NoneType"),
    "dict": ({"a": 1}, r"a matrix of shape \(sentences, dimension\) is needed, not dict"),
    "generator": ((row for row in [[1]]), r"a matrix of shape .* is needed, not generator"),
    "masked": (np.ma.array(np.ones((3, 2)), mask=[[0, 0], [0, 0], [0, 1]]), "row 2 holds masked values"),
    "ragged": ([[1], [1, 2]], "the rows have different lengths"),
}


@pytest.mark.parametrize(("x", "message"), ODD.values(), ids=ODD)
def test_what_is_no_matrix_is_refused_in_one_line(x, message):
    with pytest.raises(MatrixError, match=f"^embeddings: .*{message}") as raised:
        unit_rows(x)
    assert "\n" not in str(raised.value)


def test_a_masked_array_with_nothing_masked_is_taken():
    assert (unit_rows(np.ma.array([[3.0, 4.0]])) == unit_rows([[3.0, 4.0]])).all()


def test_a_sparse_matrix_is_refused():
    sparse = pytest.importorskip("scipy.sparse")
    for make in (sparse.csr_matrix, sparse.coo_array):
        with pytest.raises(MatrixError, match=r"a sparse matrix is not taken; pass its toarray\(\)"):
            unit_rows(make(np.eye(2)))


def test_dense_tensors_are_taken():
    torch = pytest.importorskip("torch")
    plain = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    expected = unit_rows(plain.numpy())
    for x in (
        plain, plain.bfloat16(), plain.half(), plain.double(), plain.int(), plain.clone().requires_grad_(),
        plain.t().contiguous().t(), torch._neg_view(-plain), list(plain), list(plain.requires_grad_()),
        list(plain.bfloat16()),
    ):  # fmt: skip
        assert (unit_rows(x) == expected).all()


def test_a_tensor_of_unit_rows_is_used_without_a_copy():
    torch = pytest.importorskip("torch")
    x = torch.eye(3)
    assert np.shares_memory(unit_rows(x), x.numpy())


def test_other_tensors_are_refused_in_one_line():
    torch = pytest.importorskip("torch")
    x = torch.eye(2)
    for tensor, message in (
        (x.to_sparse(), r"a sparse or nested tensor is not taken; pass its to_dense\(\)"),
        (x.to_sparse_coo(), "a sparse or nested tensor is not taken"),
        (x.to(torch.complex64), "real numbers are needed, not torch.complex64"),
        (x.to("meta"), "a tensor on the meta device holds no numbers"),
        (x.bool(), "real numbers are needed, not bool"),
    ):
        with pytest.raises(MatrixError, match=f"^embeddings: .*{message}") as raised:
            unit_rows(tensor)
        assert "\n" not in str(raised.value)


def near():
    return neighbors(np.eye(2), np.eye(2), both=True)


CALLS = {
    "mine_bitext": lambda **options: mine_bitext(np.eye(2), np.eye(2), **options),
    "score_bitext": lambda **options: score_bitext(np.eye(2), np.eye(2), **options),
    "retrieve": lambda **options: retrieve(near(), **options),
    "margin_spec": margin_spec,
}


@pytest.mark.parametrize(("of", "call"), CALLS.items(), ids=CALLS)
def test_an_unknown_option_names_the_nearest(of, call):
    for value in (1.0, None):
        with pytest.raises(
            TypeError, match=f"{of} has no option 'treshold'; did you mean 'threshold'"
        ) as raised:
            call(treshold=value)
        assert isinstance(raised.value, LightmineError)
    with pytest.raises(OptionError, match=f"{of} has no option 'zzz'; it has compat, k, k_backward, margin"):
        call(zzz=1)


def test_an_option_of_the_engine_is_named_too():
    with pytest.raises(OptionError, match="mine_bitext has no option 'thread'; did you mean 'threads'"):
        mine_bitext(np.eye(2), np.eye(2), thread=1)
