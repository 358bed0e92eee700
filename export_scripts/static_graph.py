"""The static model as a bundle: int8 rows, a scale a piece, one product to sum them, unit rows out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 10
# Added to every sum along the unknown piece's direction: far below float32's resolution of any real sum,
# it makes a sentence of no pieces, or of vectors that cancel, a unit vector and not a NaN.
NUDGE = 1e-12


def quantise(table: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round each row to 255 levels of its own scale; `rows * scales[:, None]` is the table again."""
    scales = np.maximum(np.abs(table).max(axis=1), np.float32(1e-8)) / np.float32(127)
    rows = np.rint(table / scales[:, None]).astype(np.int8)
    return rows, scales.astype(np.float32)


def build_graph(rows: NDArray[np.int8], scales: NDArray[np.float32]) -> onnx.ModelProto:
    """Token ids and mask to unit rows.

    The mask times the scales weights the rows, so that one product dequantises, leaves out the padding
    and sums: `sum_t mask[t] * scale[id_t] * row[id_t]`, then the L2 norm.
    """
    direction = rows[0].astype(np.float32)
    nudge = NUDGE * direction / np.linalg.norm(direction)
    constants = {
        "rows": rows,
        "scales": scales,
        "nudge": nudge.astype(np.float32)[None, :],
        "one": np.array([1]),
    }
    nodes = [
        helper.make_node("Gather", ["rows", "input_ids"], ["pieces_int8"]),
        helper.make_node("Cast", ["pieces_int8"], ["pieces"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["scales", "input_ids"], ["piece_scales"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["piece_scales", "mask"], ["weights"]),
        helper.make_node("Unsqueeze", ["weights", "one"], ["weight_rows"]),
        helper.make_node("MatMul", ["weight_rows", "pieces"], ["sum_rows"]),
        helper.make_node("Squeeze", ["sum_rows", "one"], ["sums"]),
        helper.make_node("Add", ["sums", "nudge"], ["nudged"]),
        helper.make_node("ReduceL2", ["nudged"], ["norms"], axes=[1], keepdims=1),
        helper.make_node("Div", ["nudged", "norms"], ["sentence_embedding"]),
    ]
    integers = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["batch", rows.shape[1]])
    graph = helper.make_graph(
        nodes,
        "static",
        integers,
        [output],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="lightmine"
    )
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return model


def write_graph(path: Path, table: NDArray[np.float32]) -> None:
    """Quantise the table and write its graph."""
    onnx.save(build_graph(*quantise(table)), path)
