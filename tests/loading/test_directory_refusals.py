"""Directories that carry ONNX and cannot be honoured exactly are refused by name."""

import json
import shutil
import struct

import numpy as np
import onnx
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import (
    Dense,
    Pooling,
)

from lightmine import Encoder
from lightmine.errors import ArgumentError, BundleError, TextError
from lightmine.export.sentences import evaluation_sentences
from lightmine.loading.modules import Pooling as OurPooling
from lightmine.loading.resolve import resolve_model
from lightmine.untrusted.safetensors import read_weights
from tests import small_models
from tests.onnx_directories import edit, write_graph

pytestmark = pytest.mark.torch

SENTENCES = evaluation_sentences()[0][:40]
WIDTH = small_models.WIDTH


@pytest.fixture(scope="session")
def whole(bodies, tmp_path_factory):
    """A directory that loads as it is."""
    base, found = bodies
    folder = tmp_path_factory.mktemp("whole") / "model"
    modules = [found["bert"][0], Pooling(WIDTH, "mean"), Dense(WIDTH, 20)]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder), create_model_card=False)
    shutil.copytree(base / "bert/onnx", folder / "onnx")
    assert Encoder.load(folder).manifest.dimension == 20
    return folder


def pooling(folder):
    return folder / "1_Pooling/config.json"


def dense(folder):
    return folder / "2_Dense/config.json"


def retype(place, kind):
    def change(folder):
        modules = json.loads((folder / "modules.json").read_text())
        modules[place]["type"] = kind
        (folder / "modules.json").write_text(json.dumps(modules))

    return change


def regraph(change):
    def apply(folder):
        graph = onnx.load(folder / "onnx/model.onnx")
        change(graph.graph)
        onnx.save(graph, folder / "onnx/model.onnx")

    return apply


def pickled(folder):
    (folder / "2_Dense/model.safetensors").rename(folder / "2_Dense/pytorch_model.bin")


def cut(folder):
    path = folder / "onnx/model.onnx"
    path.write_bytes(path.read_bytes()[:-100])


def typed(folder):
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["post_processor"]["single"][0]["SpecialToken"]["type_id"] = 2
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


refused = [
    (retype(1, "sentence_transformers.models.CNN"), r"module sentence_transformers\.models\.CNN cannot be h"),
    (retype(2, "my.own.Module"), r"module my\.own\.Module cannot be honoured exactly; known are Transformer"),
    (retype(0, "sentence_transformers.models.WordEmbeddings"), r"first module is .*WordEmbeddings, and only"),
    (retype(2, "sentence_transformers.models.Pooling"), r"2 Pooling modules where exactly one is needed"),
    (lambda f: edit(pooling(f), pooling_mode="median"), r"pooling mode 'median' is not known; known are cls"),
    (lambda f: edit(pooling(f), pooling_mode=..., pooling_mode_odd=True), r"pooling pooling_mode_odd is not"),
    (lambda f: edit(dense(f), activation_function="my.Act"), r"2_Dense: activation my\.Act is not known; kn"),
    (lambda f: edit(dense(f), activation_function="torch.nn.modules.activation.ELU"), r"activation .*ELU is"),
    (lambda f: edit(dense(f), module_input_name="odd"), r"a Dense from odd to sentence_embedding is not"),
    (pickled, r"2_Dense: its weights are a pickle \(pytorch_model\.bin\), which is never opened here"),
    (lambda f: edit(dense(f), bias=False), r"not the weights that 2_Dense/config\.json describes"),
    (lambda f: (f / "2_Dense/model.safetensors").unlink(), r"2_Dense/model\.safetensors: cannot be read: No"),
    (lambda f: (f / "2_Dense/model.safetensors").write_bytes(b"odd"), r"model\.safetensors: not safetensors"),
    (lambda f: (f / "1_Pooling/config.json").unlink(), r"1_Pooling: has no config\.json; copy or"),
    (lambda f: (f / "tokenizer.json").unlink(), r"has no tokenizer\.json, the only format that is read"),
    (lambda f: (f / "config.json").unlink(), r"model: has no config\.json; copy or fetch"),
    (lambda f: (f / "config.json").write_text("{"), r"config\.json: cannot be read: "),
    (lambda f: (f / "modules.json").write_text("{}"), r"modules\.json: a JSON list is needed"),
    (lambda f: (f / "modules.json").write_text('[{"path": ""}]'), r"modules\.json: an entry without a type"),
    (retype(0, "sentence_transformers.models.Transformer"), None),
    (lambda f: (f / "onnx/model.onnx").unlink(), r"carries no ONNX graph; make a bundle of it with: lightmi"),
    (cut, r"model\.onnx: not an ONNX graph, or cut short"),
    (lambda f: (f / "onnx/model.onnx").write_bytes(b""), r"model\.onnx: not an ONNX graph, or cut short"),
    (lambda f: (f / "onnx/model.onnx").write_text("version https://git-lfs"), r"not an ONNX graph, or cut s"),
    (typed, r"cannot be honoured exactly: it has token types other than 0"),
    (lambda f: edit(f / "tokenizer_config.json", truncation_side="left"), r"it has truncation on the left"),
    (lambda f: edit(f / "tokenizer_config.json", padding_side="up"), r"padding_side must be left or right, "),
    (lambda f: edit(f / "sentence_bert_config.json", processing_kwargs={"a": 1}), r"processing_kwargs of it"),
    (lambda f: edit(f / "sentence_bert_config.json", transformer_task="fill-mask"), r"it has the task fill-"),
    (lambda f: edit(f / "sentence_bert_config.json", modality_config={"image": {}}), r"it has no input of p"),
    (
        lambda f: (edit(f / "config.json", max_position_embeddings=...),
                   edit(f / "tokenizer_config.json", model_max_length=10**30)),
        r"states no longest input; set max_seq_length in sentence_bert_config\.json",
    ),
    (lambda f: edit(f / "config_sentence_transformers.json", default_prompt_name="odd"), r"default prompt '"),
    (regraph(lambda g: setattr(g.input[0], "name", "past_key_values.0")), r"needs the input past_key_values"),
    (regraph(lambda g: g.input.pop(1)), r"has no input attention_mask, without which"),
    (regraph(lambda g: setattr(g.output[0], "name", "logits")), r"its outputs are logits; one of token_embe"),
    (regraph(lambda g: setattr(g.output[0], "name", "sentence_embedding")), r"sentence_embedding has 3 axes"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), refused)
def test_what_cannot_be_honoured_is_refused_by_name(whole, tmp_path, change, message):
    folder = tmp_path / "model"
    shutil.copytree(whole, folder)
    change(folder)
    if message is None:
        Encoder.load(folder)
        return
    with pytest.raises(BundleError, match=message) as caught:
        Encoder.load(folder)
    assert "\n" not in str(caught.value)


def test_a_module_folder_outside_the_model_is_refused(directory):
    folder, _ = directory(Pooling(WIDTH, "mean"))
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["path"] = "../../elsewhere"
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(BundleError, match=r"the path '\.\./\.\./elsewhere' leads out of the model"):
        Encoder.load(folder)


def test_a_prompt_that_leaves_no_room_is_refused():
    pooling = OurPooling(("mean",), include_prompt=False)
    tokens = {"token_embeddings": np.ones((1, 3, 2), np.float32)}
    assert pooling(tokens, np.ones((1, 3), int), 2)["sentence_embedding"].tolist() == [[1, 1]]
    with pytest.raises(TextError, match="the prompt fills the longest input: nothing of a sentence is left"):
        pooling(tokens, np.ones((1, 3), int), 3)


def test_a_graph_that_pools_cannot_leave_the_prompt_out(directory):
    pooling = Pooling(WIDTH, "mean", include_prompt=False)
    folder, model = directory(pooling, prompts={"query": "find this: "})
    write_graph(model, folder / "onnx/model.onnx", outputs=("sentence_embedding",), whole=True)
    encoder = Encoder.load(folder)
    assert encoder.encode(SENTENCES).shape == (40, WIDTH)
    with pytest.raises(
        BundleError, match=r"pooling leaves the prompt out, but its graph has no input pooling_m"
    ):
        encoder.encode(SENTENCES, prompt_name="query")


def test_a_folder_of_models_is_no_model(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "models/one")
    for folder in (tmp_path / "models", tmp_path):
        with pytest.raises(BundleError, match=r"not a bundle, it has no lightmine\.json; make one with"):
            Encoder.load(folder)


def test_options_that_a_model_does_not_have_are_refused(directory, tiny_bundle):
    folder, _ = directory(Pooling(WIDTH, "mean"))
    with pytest.raises(ArgumentError, match=r"modules\.json says how to pool; drop pooling='cls'"):
        Encoder.load(folder, pooling="cls")
    with pytest.raises(ArgumentError, match=r"only a hub model \(owner/name\) has revisions, not 'main'"):
        Encoder.load(folder, revision="main")
    with pytest.raises(
        ArgumentError, match=r"a bundle has one graph with its own pooling; drop file, pooling"
    ):
        Encoder.load(tiny_bundle, pooling="mean")
    with pytest.raises(
        ArgumentError, match=r"a bundle has one graph with its own pooling; drop file, pooling"
    ):
        Encoder.load(tiny_bundle, file="model_O2.onnx")
    assert resolve_model(tiny_bundle / "model.onnx").verified


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b'{"x": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]}}', "type I64"),
        (b'{"x": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}', "offsets and shape do not agree"),
        (b'{"x": {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}}', "offsets and shape do not agree"),
        (b'{"x": {"dtype": "F32"}}', "missing 2 required"),
        (b"[]", "not safetensors"),
        (b"{", "not safetensors"),
    ],
)
def test_broken_safetensors_are_refused(tmp_path, header, message):
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    with pytest.raises(BundleError, match=message):
        read_weights(path)
    path.write_bytes(struct.pack("<Q", 2**40) + header)
    with pytest.raises(BundleError, match="cut short; fetch the file again"):
        read_weights(path)
