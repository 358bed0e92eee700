"""What a caller may pass as embeddings, and what one line says about anything else."""

import numpy as np
import pytest

from lightmine import mine_bitext, mine_paraphrases, neighbors, retrieve, score_bitext, unit_rows
from lightmine.bitext.presets import margin_spec
from lightmine.errors import LightmineError, MatrixError

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


@pytest.mark.torch
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


@pytest.mark.torch
def test_a_tensor_of_unit_rows_is_used_without_a_copy():
    torch = pytest.importorskip("torch")
    x = torch.eye(3)
    assert np.shares_memory(unit_rows(x), x.numpy())


@pytest.mark.torch
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


FUNCTIONS = {mine_bitext: 2, score_bitext: 2, retrieve: 1, margin_spec: 0, mine_paraphrases: 1, neighbors: 1}


@pytest.mark.parametrize(("call", "given"), FUNCTIONS.items())
def test_an_unknown_option_is_refused_by_its_name(call, given):
    with pytest.raises(TypeError, match="unexpected keyword argument 'treshold'"):
        call(*[np.eye(2)] * given, treshold=1.0)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("margin", "ration", "margin must be one of ratio, distance, absolute, not 'ration'"),
        ("retrieval", "both", "retrieval must be one of forward, backward, intersect, max, not 'both'"),
        ("rank", "score", "rank must be one of margin, cosine, not 'score'"),
        ("one_to_one", "yes", "one_to_one must be one of auto, none, greedy, optimal, not 'yes'"),
        (
            "compat",
            "faiss",
            "compat must be one of lightmine, laser, stopes, sentence-transformers, not",
        ),
        ("kernel", "x", "kernel must be one of auto, native, numpy, not 'x'"),
    ],
)
def test_a_value_that_is_none_of_the_choices_is_refused_with_the_choices(name, value, message):
    with pytest.raises(LightmineError, match=message):
        mine_bitext(np.eye(2), np.eye(2), **{name: value})
