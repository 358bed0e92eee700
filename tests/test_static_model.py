"""The static model's graph, without training."""

import numpy as np
import onnxruntime
import pytest

from export_scripts.static_bundle import build_graph, quantise


@pytest.fixture(scope="module")
def table():
    return np.random.default_rng(0).standard_normal((50, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def run(table):
    session = onnxruntime.InferenceSession(
        build_graph(*quantise(table)).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return lambda ids, mask: session.run(
        None, {"input_ids": np.array(ids), "attention_mask": np.array(mask)}
    )[0]


def test_rows_come_back_from_int8_within_half_a_step(table):
    rows, scales = quantise(table)
    assert rows.dtype == np.int8
    assert (np.abs(rows * scales[:, None] - table) <= scales[:, None] * 0.5001).all()
    assert np.abs(rows).max(axis=1).tolist() == [127] * 50


def test_the_graph_sums_pieces_and_gives_unit_rows(table, run):
    rows, scales = quantise(table)
    wanted = (rows * scales[:, None])[[3, 7, 7]].sum(axis=0)
    assert run([[3, 7, 7]], [[1, 1, 1]])[0] == pytest.approx(wanted / np.linalg.norm(wanted), abs=1e-6)


def test_padding_and_batch_mates_change_nothing(run):
    alone = run([[3, 7]], [[1, 1]])
    together = run([[3, 7, 0, 0], [1, 2, 3, 4], [0, 0, 3, 7]], [[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 1, 1]])
    assert together[[0, 2]] == pytest.approx(np.repeat(alone, 2, axis=0), abs=1e-6)


def test_no_pieces_give_a_unit_row_and_not_a_nan(run):
    assert np.linalg.norm(run([[0, 0]], [[0, 0]])[0]) == pytest.approx(1, abs=1e-5)
