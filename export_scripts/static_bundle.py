"""The static model as a bundle: int8 rows with a scale each, a product to sum them, a hidden layer above."""

from __future__ import annotations

import dataclasses
import itertools
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from export_scripts.files import save_graph
from export_scripts.static_bigrams import Bigrams
from export_scripts.static_pairs import Settings
from export_scripts.static_student import Bags, Student
from export_scripts.static_tokenizer import BYTES, INSIDE, encode
from lightmine.encoding.bundle import MODEL, TOKENIZER, VOCABULARY, Manifest, write_manifest

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


def by_variance(sentences: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rotation after which the first coordinates of sentences vary most.

    A rotation changes no cosine, and of all rotations this one loses least when a vector is cut short.
    """
    _, axes = np.linalg.eigh(sentences.astype(np.float64).T @ sentences)
    axes = axes[:, ::-1]
    # An eigenvector's sign is no one's choice: the largest coordinate is made positive.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(len(axes))])
    return axes.astype(np.float32)


def quantise(
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


@dataclasses.dataclass(frozen=True)
class Weights:
    """What the graph computes with: rounded rows of pieces and bigrams, and the layer above their sum."""

    rows: NDArray[np.int8]
    scales: NDArray[np.float32]
    spread: NDArray[np.float32]
    inner: NDArray[np.float32]
    bias: NDArray[np.float32]
    outer: NDArray[np.float32]
    bigrams: Bigrams

    @classmethod
    def of(cls, student: Student, bigrams: Bigrams, spread: NDArray[np.float32], levels: int) -> Weights:
        table, inner, bias, outer = (
            weight.detach().numpy() for weight in (student.table, student.inner, student.bias, student.outer)
        )
        # The layer expects unit rows times the root of their length: its weights take that over.
        root = np.float32(table.shape[1] ** 0.5)
        return cls(*quantise(table, spread, levels), spread, inner * root, bias, outer / root, bigrams)


def build_graph(weights: Weights) -> onnx.ModelProto:
    """Token ids and mask to unit rows.

    The mask times the scales weights the rows, so that one product dequantises, leaves out the padding
    and sums: `spread * sum_t mask[t] * scale[id_t] * row[id_t]`, then the L2 norm, then the layer.
    """
    direction = weights.rows[0].astype(np.float32)
    constants: dict[str, NDArray[Any]] = {
        "rows": weights.rows,
        "scales": weights.scales,
        "spread": weights.spread[None, :],
        "nudge": (NUDGE * direction / max(np.linalg.norm(direction), 1e-30))[None, :],
        "one": np.array([1]),
    }
    ids, mask, nodes = "input_ids", "mask", [_cast("attention_mask", "mask", TensorProto.FLOAT)]
    if len(weights.bigrams.codes):
        constants |= _look_up(weights.bigrams)
        ids, mask, looked_up = _bigrams()
        nodes += looked_up
    unit = "unit_sums" if weights.inner.size else "sentence_embedding"
    nodes += [
        helper.make_node("Gather", ["rows", ids], ["pieces_int8"]),
        _cast("pieces_int8", "pieces", TensorProto.FLOAT),
        helper.make_node("Gather", ["scales", ids], ["piece_scales"]),
        helper.make_node("Mul", ["piece_scales", mask], ["weights"]),
        helper.make_node("Unsqueeze", ["weights", "one"], ["weight_rows"]),
        helper.make_node("MatMul", ["weight_rows", "pieces"], ["sum_rows"]),
        helper.make_node("Squeeze", ["sum_rows", "one"], ["even_sums"]),
        helper.make_node("Mul", ["even_sums", "spread"], ["sums"]),
        helper.make_node("Add", ["sums", "nudge"], ["nudged"]),
        *_unit("nudged", unit),
    ]
    if weights.inner.size:
        constants |= {"inner": weights.inner, "bias": weights.bias, "outer": weights.outer}
        nodes += [
            helper.make_node("MatMul", [unit, "inner"], ["inside"]),
            helper.make_node("Add", ["inside", "bias"], ["inside_biased"]),
            helper.make_node("Relu", ["inside_biased"], ["hidden"]),
            helper.make_node("MatMul", ["hidden", "outer"], ["addition"]),
            helper.make_node("Add", [unit, "addition"], ["bent"]),
            *_unit("bent", "sentence_embedding"),
        ]
    return _model(nodes, constants, weights.rows.shape[1])


def _look_up(bigrams: Bigrams) -> dict[str, NDArray[Any]]:
    shifts, owners, rows = bigrams.displaced()
    return {
        "shifts": shifts,
        "owners": owners,
        "bigram_rows": rows,
        "first": np.array([0]),
        "last": np.array([-1]),
        "end": np.array([np.iinfo(np.int64).max]),
    }


def _bigrams() -> tuple[str, str, list[onnx.NodeProto]]:
    """Ids and mask with those of the bigrams behind them, row 0 and no weight where there is none.

    See `Bigrams.displaced`: every two ids side by side are looked up in one addition and three gathers.
    """
    nodes = [
        _cast("input_ids", "ids", TensorProto.INT32),
        helper.make_node("Slice", ["ids", "first", "last", "one"], ["left"]),
        helper.make_node("Slice", ["ids", "one", "end", "one"], ["right"]),
        helper.make_node("Slice", ["mask", "first", "last", "one"], ["left_mask"]),
        helper.make_node("Slice", ["mask", "one", "end", "one"], ["right_mask"]),
        helper.make_node("Gather", ["shifts", "left"], ["shift"]),
        helper.make_node("Add", ["shift", "right"], ["slot"]),
        helper.make_node("Gather", ["owners", "slot"], ["owner"]),
        helper.make_node("Equal", ["owner", "left"], ["chosen"]),
        _cast("chosen", "chosen_int32", TensorProto.INT32),
        _cast("chosen", "chosen_float", TensorProto.FLOAT),
        helper.make_node("Gather", ["bigram_rows", "slot"], ["bigram_row"]),
        helper.make_node("Mul", ["bigram_row", "chosen_int32"], ["bigram_ids"]),
        helper.make_node("Mul", ["left_mask", "right_mask"], ["both_masks"]),
        helper.make_node("Mul", ["both_masks", "chosen_float"], ["bigram_mask"]),
        helper.make_node("Concat", ["ids", "bigram_ids"], ["all_ids"], axis=1),
        helper.make_node("Concat", ["mask", "bigram_mask"], ["all_mask"], axis=1),
    ]
    return "all_ids", "all_mask", nodes


def _cast(name: str, out: str, kind: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [name], [out], to=kind)


def _unit(name: str, out: str) -> list[onnx.NodeProto]:
    """Divide rows by their L2 norms."""
    return [
        helper.make_node("ReduceL2", [name], [f"{name}_norms"], axes=[1], keepdims=1),
        helper.make_node("Div", [name, f"{name}_norms"], [out]),
    ]


def _model(
    nodes: list[onnx.NodeProto], constants: dict[str, NDArray[Any]], dimension: int
) -> onnx.ModelProto:
    integers = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["batch", dimension])
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
    student: Student,
    bigrams: Bigrams,
    spread: NDArray[np.float32],
    tokenizer: Tokenizer,
    sentences: list[str],
    settings: Settings,
    about: dict[str, Any],
) -> Manifest:
    """Write graph, tokenizer and manifest; the parity there is int8 against float on the sentences."""
    out.mkdir(parents=True, exist_ok=True)
    weights = Weights.of(student, bigrams, spread, settings.levels)
    save_graph(build_graph(weights), out / MODEL, beside=True)
    save_tokenizer(tokenizer, out)
    cosines = parity(out, student, bigrams, tokenizer, sentences)
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
    """Write a WordPiece tokenizer, its pieces beside it."""
    written = json.loads(tokenizer.to_str())
    pieces: dict[str, int] = written["model"].pop("vocab")
    written["model"]["vocab"] = {}
    (out / TOKENIZER).write_text(json.dumps(written), encoding="utf-8")
    lines = "".join(f"{piece}\n" for piece in sorted(pieces, key=pieces.__getitem__))
    (out / VOCABULARY).write_text(lines, encoding="utf-8")


def parity(
    bundle: Path, student: Student, bigrams: Bigrams, tokenizer: Tokenizer, sentences: list[str]
) -> NDArray[np.float64]:
    """Cosine of the bundle's vectors to those in float32, a sentence at a time."""
    session = onnxruntime.InferenceSession(bundle / MODEL, providers=["CPUExecutionProvider"])
    bags = Bags(*encode(tokenizer, sentences))
    with torch.no_grad():
        wanted = student(bigrams.extend(bags).take(np.arange(len(sentences)))).numpy().astype(np.float64)
    cosines = []
    for row, (first, last) in enumerate(itertools.pairwise(bags.starts)):
        ids = bags.pieces[first:last].astype(np.int64)
        feeds = {"input_ids": ids[None], "attention_mask": np.ones((1, len(ids)), np.int64)}
        got = session.run(None, feeds)[0][0].astype(np.float64)
        cosines.append(got @ wanted[row] / np.linalg.norm(got) / np.linalg.norm(wanted[row]))
    return np.array(cosines)
