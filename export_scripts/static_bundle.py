"""The static model as a bundle: int8 rows, a scale a piece, one product to sum them, unit rows out."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from export_scripts.static_pairs import Pairs, Settings
from export_scripts.static_tokenizer import encode
from lightmine.encoding.bundle import MODEL, TOKENIZER, Manifest, write_manifest

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


def write_bundle(
    out: Path,
    table: NDArray[np.float32],
    tokenizer: Tokenizer,
    held: Pairs,
    settings: Settings,
    *,
    distilled: bool,
) -> Manifest:
    """Write graph, tokenizer and manifest; the parity there is int8 against float on held-out sentences."""
    out.mkdir(parents=True, exist_ok=True)
    onnx.save(build_graph(*quantise(table)), out / MODEL)
    tokenizer.save(str(out / TOKENIZER), pretty=False)
    sentences = [held.texts[number] for number in np.unique(np.concatenate([held.english, held.other]))]
    cosines = parity(out, table, tokenizer, sentences)
    return write_manifest(
        out,
        Manifest(
            name="static-multilingual",
            source="trained by export_scripts.train_static on Tatoeba sentence pairs (tatoeba.org)",
            revision=None,
            licence="CC BY 2.0 FR (attribution: tatoeba.org and its contributors)",
            dimension=settings.dimension,
            max_tokens=settings.max_tokens,
            pooling="sum",
            precision="int8",
            # Summing vectors takes so little that a batch must be large to be worth its call.
            batch_tokens=2048,
            recipe=recipe(settings, distilled=distilled),
            languages=("en", *settings.languages),
            parity={
                "against": "the same vectors in float32",
                "sentences": len(sentences),
                "cosine_mean": round(float(cosines.mean()), 6),
                "cosine_min": round(float(cosines.min()), 6),
            },
            versions={
                name: version(name) for name in ("numpy", "onnx", "onnxruntime", "tokenizers", "torch")
            },
        ),
    )


def recipe(settings: Settings, *, distilled: bool) -> str:
    """What the manifest says of how the model was made."""
    steps = [
        f"{settings.pieces} Unigram pieces, one {settings.dimension}-d vector each, summed",
        f"in-batch contrastive loss at scale {settings.scale:g}, both directions",
        f"{settings.epochs} epochs, batches of {settings.batch}, seed {settings.seed}",
        "int8 rows with a scale each",
    ]
    if distilled:
        steps.insert(
            2, f"{settings.distillation:g} x mean squared distance from all-MiniLM-L6-v2's similarities"
        )
    return "; ".join(steps)


def parity(
    bundle: Path, table: NDArray[np.float32], tokenizer: Tokenizer, sentences: list[str]
) -> NDArray[np.float64]:
    """Cosine of the bundle's vectors to those of the float table, a sentence at a time."""
    session = onnxruntime.InferenceSession(bundle / MODEL, providers=["CPUExecutionProvider"])
    cosines = []
    for ids in encode(tokenizer, sentences):
        feeds = {"input_ids": np.array([ids]), "attention_mask": np.ones((1, len(ids)), np.int64)}
        got = session.run(None, feeds)[0][0].astype(np.float64)
        wanted = table[ids].sum(axis=0, dtype=np.float64)
        cosines.append(got @ wanted / np.linalg.norm(got) / np.linalg.norm(wanted))
    return np.array(cosines)
