"""The static model as a bundle: int8 rows, a scale a piece, one product to sum them, unit rows out."""

from __future__ import annotations

import itertools
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from export_scripts.static_pairs import Settings
from export_scripts.static_tokenizer import BYTES, INSIDE, encode
from lightmine.export.files import save_graph
from lightmine.loading.bundle import MODEL, TOKENIZER, VOCABULARY, Manifest, write_manifest

OPSET = 17
IR_VERSION = 10
# Added to every sum along the unknown piece's direction: far below float32's resolution of any real sum,
# it makes a sentence of no pieces, or of vectors that cancel, a unit vector and not a NaN.
NUDGE = 1e-12
# A character that training met less often than this is not known.
SELDOM = 20


def silence(table: NDArray[np.float32], tokenizer: Tokenizer, seen: NDArray[np.int32]) -> NDArray[np.float32]:
    """Zero the pieces that training taught nothing, so that they add no noise to a sentence.

    These are pieces that no sentence is cut into, and first bytes of characters that were seldom seen: a
    script's characters share one or two first bytes, which would be most of every sentence in a script that
    the model does not know, and make all of its sentences alike. The remaining bytes keep what they have, so
    that such sentences still differ.
    """
    counts = np.bincount(seen, minlength=len(table))
    dead = counts == 0
    for byte in BYTES:
        number = _byte_of(byte)
        for piece in (byte, INSIDE + byte):
            place = tokenizer.token_to_id(piece)
            dead[place] = number >= 0xC0 and counts[place] < SELDOM
    dead[0] = False  # the unknown piece, which gives a sentence of no pieces its direction
    return np.where(dead[:, None], np.float32(0), table)


def _byte_of(character: str) -> int:
    """The byte that a character of the alphabet over bytes stands for.

    Printable bytes stand for themselves; the rest, in order, are the characters from U+0100 on.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    if ord(character) < 0x100:
        return ord(character)
    return [byte for byte in range(256) if byte not in set(printable)][ord(character) - 0x100]


def by_variance(
    table: NDArray[np.float32], sentences: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rotate the table so that the first coordinates of sentences vary most; also how much each does.

    A rotation changes no cosine, and of all rotations this one loses least when a vector is cut short.
    """
    _, axes = np.linalg.eigh(sentences.astype(np.float64).T @ sentences)
    axes = axes[:, ::-1]
    # An eigenvector's sign is no one's choice: the largest coordinate is made positive.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(len(axes))])
    spread = np.sqrt(((sentences @ axes) ** 2).mean(axis=0))
    return (table @ axes).astype(np.float32), spread.astype(np.float32)


def quantize(
    table: NDArray[np.float32], spread: NDArray[np.float32], levels: int
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round each row, its coordinates divided by their spread, to `levels` steps either way of its own scale.

    ``rows * scales[:, None] * spread`` is the table again. A sum of pieces evens their rounding out, so that
    far fewer levels than int8 has do as well, and what they leave unused a package's compression takes away.
    """
    even = table / spread
    scales = np.maximum(np.abs(even).max(axis=1), np.float32(1e-8)) / np.float32(levels)
    rows = np.rint(even / scales[:, None]).astype(np.int8)
    return rows, scales.astype(np.float32)


def build_graph(
    rows: NDArray[np.int8], scales: NDArray[np.float32], spread: NDArray[np.float32]
) -> onnx.ModelProto:
    """Token ids and mask to unit rows.

    The mask times the scales weights the rows, so that one product dequantises, leaves out the padding
    and sums: `spread * sum_t mask[t] * scale[id_t] * row[id_t]`, then the L2 norm.
    """
    direction = rows[0].astype(np.float32)
    nudge = NUDGE * direction / max(np.linalg.norm(direction), 1e-30)
    constants = {
        "rows": rows,
        "scales": scales,
        "spread": spread.astype(np.float32)[None, :],
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
        helper.make_node("Squeeze", ["sum_rows", "one"], ["even_sums"]),
        helper.make_node("Mul", ["even_sums", "spread"], ["sums"]),
        helper.make_node("Add", ["sums", "nudge"], ["nudged"]),
        helper.make_node("ReduceL2", ["nudged"], ["norms"], axes=[1], keepdims=1),
        helper.make_node("Div", ["nudged", "norms"], ["sentence_embedding"]),
    ]
    integers = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["batch", rows.shape[1]])
    arrays = [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "static", integers, [output], arrays)
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, producer_name="lightmine")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return model


def write_bundle(
    out: Path,
    table: NDArray[np.float32],
    spread: NDArray[np.float32],
    tokenizer: Tokenizer,
    sentences: list[str],
    settings: Settings,
    about: dict[str, Any],
) -> Manifest:
    """Write graph, tokenizer and manifest; the parity there is int8 against float on the sentences."""
    out.mkdir(parents=True, exist_ok=True)
    save_graph(
        build_graph(*quantize(table, spread, settings.levels), spread), out / MODEL, external_data=True
    )
    save_tokenizer(tokenizer, out)
    cosines = parity(out, table, tokenizer, sentences)
    return write_manifest(
        out,
        Manifest(
            revision=None,
            dimension=settings.dimension,
            max_tokens=settings.max_tokens,
            pooling="sum",
            precision="int8",
            # Summing vectors takes so little that a batch must be large to be worth its call.
            batch_tokens=2048,
            languages=("en", *settings.languages.split()),
            parity={
                "against": "the same vectors in float32",
                "sentences": len(sentences),
                "cosine_mean": round(float(cosines.mean()), 6),
                "cosine_min": round(float(cosines.min()), 6),
            },
            versions={
                name: version(name) for name in ("numpy", "onnx", "onnxruntime", "tokenizers", "torch")
            },
            **about,
        ),
    )


def save_tokenizer(tokenizer: Tokenizer, out: Path) -> None:
    """Write a WordPiece tokenizer, its pieces beside it, where they are read in half the time."""
    written = json.loads(tokenizer.to_str())
    pieces: dict[str, int] = written["model"]["vocab"]
    written["model"]["vocab"] = {}
    (out / TOKENIZER).write_text(json.dumps(written), encoding="utf-8")
    lines = "".join(f"{piece}\n" for piece in sorted(pieces, key=pieces.__getitem__))
    (out / VOCABULARY).write_text(lines, encoding="utf-8")


def parity(
    bundle: Path, table: NDArray[np.float32], tokenizer: Tokenizer, sentences: list[str]
) -> NDArray[np.float64]:
    """Cosine of the bundle's vectors to those of the float table, a sentence at a time."""
    session = onnxruntime.InferenceSession(bundle / MODEL, providers=["CPUExecutionProvider"])
    pieces, starts = encode(tokenizer, sentences)
    cosines = []
    for first, last in itertools.pairwise(starts):
        ids = pieces[first:last].astype(np.int64)
        feeds = {"input_ids": ids[None], "attention_mask": np.ones((1, len(ids)), np.int64)}
        got = session.run(None, feeds)[0][0].astype(np.float64)
        wanted = table[ids].sum(axis=0, dtype=np.float64)
        cosines.append(got @ wanted / np.linalg.norm(got) / np.linalg.norm(wanted))
    return np.array(cosines)
