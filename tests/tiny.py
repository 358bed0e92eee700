"""A tiny random sentence encoder, written as a bundle: words from a fixed list, summed vectors."""

import numpy as np
import onnx
import tokenizers
from onnx import TensorProto, helper, numpy_helper

from lightmine.loading.bundle import MODEL, TOKENIZER, Manifest, write_manifest

WORDS = ["[PAD]", "[UNK]", "the", "a", "cat", "dog", "sat", "ran", "on", "under", "mat", "log", "red", "sky"]


def write_bundle(
    folder,
    *,
    dimension=8,
    max_tokens=12,
    normalize=True,
    pooling_mask=False,
    half=False,
    drops="",
    **manifest,
):
    folder.mkdir(parents=True)
    model = tokenizers.models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]")
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    if drops:
        tokenizer.normalizer = tokenizers.normalizers.Replace(drops, "")
    tokenizer.save(str(folder / TOKENIZER))
    model = graph(dimension, normalize, "pooling_mask" if pooling_mask else "attention_mask", half)
    onnx.save(model, folder / MODEL)
    if pooling_mask:
        manifest["inputs"] = ("input_ids", "attention_mask", "pooling_mask")
    write_manifest(
        folder,
        Manifest(
            name="tiny", source="random", revision=None, licence="Apache-2.0", dimension=dimension,
            max_tokens=max_tokens, normalize=normalize, **manifest,
        ),
    )  # fmt: skip
    return folder


def graph(dimension, normalize, pooled, half):
    """Ids and mask to sums of rows; a half one takes int32 and gives float16, as graphs for GPUs do."""
    integers, floats = (
        (TensorProto.INT32, TensorProto.FLOAT16) if half else (TensorProto.INT64, TensorProto.FLOAT)
    )
    table = np.random.default_rng(7).standard_normal((len(WORDS), dimension)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Cast", [pooled], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "one"], ["weights"]),
        helper.make_node("MatMul", ["weights", "rows"], ["sums"]),
        helper.make_node("Squeeze", ["sums", "one"], ["sum"]),
        helper.make_node("LpNormalization", ["sum"], ["unit"], axis=1, p=2),
        helper.make_node("Cast", ["unit" if normalize else "sum"], ["sentence_embedding"], to=floats),
    ]
    inputs = [
        helper.make_tensor_value_info(name, integers, ["batch", "tokens"])
        for name in dict.fromkeys(("input_ids", "attention_mask", pooled))
    ]
    output = helper.make_tensor_value_info("sentence_embedding", floats, ["batch", dimension])
    constants = [
        numpy_helper.from_array(table, "table"),
        numpy_helper.from_array(np.array([1]), "one"),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "tiny", inputs, [output], constants),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    model.ir_version = 8
    return model
