"""Directories of sentence-transformers that somebody made to do harm, or that are broken in any way."""

import io
import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lightmine.errors import BundleError, LightmineError
from lightmine.loading.resolve import resolve_model
from lightmine.untrusted.safetensors import read_weights
from tests import hostile
from tests.hostile import JSON

MODULES = [
    {"type": f"sentence_transformers.models.{kind}", "path": path}
    for kind, path in [("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "2_Dense"),
                       ("Normalize", "3_Normalize")]
]  # fmt: skip
FILES = {
    "modules.json": MODULES,
    "config.json": {"hidden_size": 8, "max_position_embeddings": 64, "pad_token_id": 0, "model_type": "bert"},
    "tokenizer_config.json": {"model_max_length": 64, "padding_side": "right", "truncation_side": "right"},
    "sentence_bert_config.json": {
        "max_seq_length": 32, "do_lower_case": False, "transformer_task": "feature-extraction",
        "modality_config": None, "processor_kwargs": {}, "tokenizer_args": {},
    },
    "config_sentence_transformers.json": {
        "prompts": {"query": "q: "}, "default_prompt_name": None, "similarity_fn_name": "cosine",
        "truncate_dim": None,
    },
    "1_Pooling/config.json": {"pooling_mode": "mean", "embedding_dimension": 8, "include_prompt": True},
    "2_Dense/config.json": {
        "in_features": 8, "out_features": 4, "bias": True, "activation_function": "torch.nn.Tanh",
        "module_input_name": None, "module_output_name": None, "use_residual": False,
    },
    "3_Normalize/config.json": {"module_input_name": None},
}  # fmt: skip


def safetensors(arrays, **changes):
    header, data = {}, io.BytesIO()
    for name, array in arrays.items():
        start = data.tell()
        data.write(array.tobytes())
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [start, data.tell()]}
    text = json.dumps(header | changes).encode()
    return len(text).to_bytes(8, "little") + text + data.getvalue()


WEIGHTS = {"linear.weight": np.eye(4, 8, dtype=np.float32), "linear.bias": np.zeros(4, np.float32)}


def write(folder, files, weights=None):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    (folder / "2_Dense/model.safetensors").write_bytes(weights or safetensors(WEIGHTS))
    (folder / "tokenizer.json").write_text(json.dumps(hostile.TOKENIZER))
    model = hostile.plain()
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 4
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("directory"), FILES)


def refused(call):
    try:
        call()
    except LightmineError as error:
        return str(error)
    return None


def test_the_directory_itself_is_read(folder):
    assert resolve_model(folder).manifest.dimension == 4


PLACES = [
    (name, key)
    for name, content in FILES.items()
    for key in (content if isinstance(content, dict) else range(4))
]


@pytest.mark.slow
@given(place=st.sampled_from(PLACES), value=JSON)
@settings(max_examples=400)
@example(("sentence_bert_config.json", "modality_config"), ["text"])
@example(("sentence_bert_config.json", "modality_config"), {"text": "x"})
@example(("sentence_bert_config.json", "tokenizer_args"), "x")
@example(("config_sentence_transformers.json", "default_prompt_name"), [1])
@example(("config_sentence_transformers.json", "similarity_fn_name"), {"a": 1})
@example(("config_sentence_transformers.json", "truncate_dim"), -1)
@example(("1_Pooling/config.json", "pooling_mode"), 5)
@example(("1_Pooling/config.json", "pooling_mode"), [["mean"]])
@example(("2_Dense/config.json", "activation_function"), 5)
@example(("2_Dense/config.json", "module_input_name"), [1])
@example(("3_Normalize/config.json", "module_input_name"), [1])
@example(("config.json", "max_position_embeddings"), 2**80)
@example(("config.json", "hidden_size"), 2**80)
@example(("config.json", "pad_token_id"), -5)
@example(("config.json", "model_type"), [1])
@example(("tokenizer_config.json", "model_max_length"), float("nan"))
@example(("modules.json", 1), {"type": "sentence_transformers.models.Pooling", "path": {"a": 1}})
@example(("modules.json", 1), {"type": "sentence_transformers.models.Pooling", "path": "a" * 5000})
def test_settings_of_any_kind_are_read_or_refused_in_a_line(folder, place, value):
    name, key = place
    content = list(FILES[name]) if isinstance(FILES[name], list) else dict(FILES[name])
    content[key] = value
    (folder / name).write_text(json.dumps(content))
    try:
        said = refused(lambda: resolve_model(folder))
    finally:
        (folder / name).write_text(json.dumps(FILES[name]))
    assert said is None or (str(folder) in said and "\n" not in said)


@given(name=st.sampled_from(sorted(FILES)), text=st.text(max_size=20) | JSON.map(json.dumps))
def test_files_of_any_kind_are_read_or_refused(folder, name, text):
    (folder / name).write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        said = refused(lambda: resolve_model(folder))
    finally:
        (folder / name).write_text(json.dumps(FILES[name]))
    assert said is None or str(folder) in said


@pytest.mark.parametrize(("entry", "message"), [
    ({"dtype": "F32", "shape": [2**40, 8], "data_offsets": [0, 128]}, "offsets and shape do not agree"),
    ({"dtype": "F32", "shape": [-4, -8], "data_offsets": [0, 128]}, "offsets and shape do not agree"),
    ({"dtype": "F32", "shape": [0, 2**70], "data_offsets": [0, 0]}, "not safetensors of floats"),
    ({"dtype": "F32", "shape": [1, 1], "data_offsets": [-4, 0]}, "offsets and shape do not agree"),
    ({"dtype": "F32", "shape": ["1"], "data_offsets": [0, 4]}, "not safetensors of floats"),
    ({"dtype": "O", "shape": [1], "data_offsets": [0, 8]}, "type O"),
    ({"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}, "not safetensors of floats"),
    (5, "not safetensors of floats"),
])  # fmt: skip
def test_weights_that_claim_what_they_do_not_have_are_refused(tmp_path, entry, message):
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors(WEIGHTS, **{"linear.weight": entry}))
    with pytest.raises(BundleError, match=message):
        read_weights(path)


def test_weights_that_use_the_same_bytes_again_and_again_are_refused(tmp_path):
    whole = {"dtype": "F32", "shape": [32], "data_offsets": [0, 128]}
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors(WEIGHTS, **{str(number): whole for number in range(1000)}))
    with pytest.raises(BundleError, match="its tensors overlap"):
        read_weights(path)


@given(st.data())
@settings(max_examples=300)
def test_weights_with_any_bytes_changed_are_read_or_refused(tmp_path_factory, data):
    whole = bytearray(safetensors(WEIGHTS))
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "changed.safetensors"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    said = refused(lambda: read_weights(path))
    assert said is None or said.startswith(str(path))
