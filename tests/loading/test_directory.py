"""Directories that carry ONNX give the vectors of sentence-transformers."""

import json
import shutil

import numpy as np
import onnx
import pytest
import torch
from safetensors.numpy import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import (
    Dense,
    Dropout,
    LayerNorm,
    Normalize,
    Pooling,
)

from lightmine import Encoder
from lightmine.errors import ArgumentError, BundleError
from lightmine.export.sentences import evaluation_sentences
from lightmine.loading.modules import ACTIVATIONS, POOLING_MODES
from lightmine.loading.resolve import resolve_model
from lightmine.untrusted.onnx_header import read_graph
from lightmine.untrusted.safetensors import read_weights
from tests import minilm, small_models
from tests.onnx_directories import edit, make_old, make_oldest, write_graph

pytestmark = pytest.mark.torch

SENTENCES = evaluation_sentences()[0][:40]
WIDTH = small_models.WIDTH


def difference(folder, model, sentences=SENTENCES, **options):
    """The largest difference of any number between our vectors and sentence-transformers'."""
    expected = model.encode(sentences, normalize_embeddings=True, show_progress_bar=False)
    found = Encoder.load(folder, **options).encode(sentences)
    assert found.shape == expected.shape
    return np.abs(found - expected).max()


@pytest.mark.parametrize("mode", [*POOLING_MODES, "cls+mean", "max+weightedmean+lasttoken"])
@pytest.mark.parametrize("kind", ["bert", "qwen3"])  # padded on the right, and on the left
def test_every_pooling_is_that_of_sentence_transformers(directory, kind, mode):
    modes = tuple(mode.split("+"))
    folder, model = directory(Pooling(WIDTH, modes), kind=kind)
    assert Encoder.load(folder).manifest.padding_side == ("left" if kind == "qwen3" else "right")
    assert difference(folder, model) < 2e-6
    assert Encoder.load(folder).manifest.pooling == mode


@pytest.mark.parametrize("mode", POOLING_MODES)
def test_padding_changes_no_pooled_vector(directory, mode):
    folder, _ = directory(Pooling(WIDTH, mode), kind="qwen3")
    encoder = Encoder.load(folder)
    together = encoder.encode(SENTENCES, batch_tokens=4096)
    alone = encoder.encode(SENTENCES, batch_tokens=1)
    assert np.abs(together - alone).max() < 1e-6


def test_positions_counted_from_the_padding_index_limit_the_length(directory):
    folder, model = directory(Pooling(WIDTH, "mean"), kind="xlm-roberta")
    edit(folder / "tokenizer_config.json", model_max_length=10**30)
    short = [sentence for sentence in SENTENCES if len(model.tokenizer(sentence)["input_ids"]) <= 47]
    assert Encoder.load(folder).manifest.max_tokens == 47
    assert difference(folder, model, short) < 2e-6
    assert Encoder.load(folder).encode(["word " * 1000]).shape == (1, WIDTH)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_dense_layers_and_their_activations(directory, name):
    activation = getattr(torch.nn, name)()
    folder, model = directory(
        Pooling(WIDTH, "cls"), Dense(WIDTH, 20, activation_function=activation), Normalize()
    )
    assert difference(folder, model) < 2e-6
    assert Encoder.load(folder).manifest.dimension == 20


@pytest.mark.parametrize(
    "modules",
    [
        [Pooling(WIDTH, "mean"), Dropout(0.5), Dense(WIDTH, 12, bias=False), Dense(12, 7)],
        [Pooling(WIDTH, "mean"), Dense(WIDTH, 12, use_residual=True)],
        [Pooling(WIDTH, "mean"), Dense(WIDTH, WIDTH, use_residual=True)],
        [Pooling(WIDTH, ("cls", "max")), LayerNorm(2 * WIDTH), Normalize()],
        [Dense(WIDTH, 24, module_input_name="token_embeddings"), Pooling(24, "max")],
        [Normalize("token_embeddings"), Pooling(WIDTH, "mean"), Normalize()],
    ],
)  # fmt: skip
def test_other_modules_and_their_order(directory, modules):
    for module in modules:
        if isinstance(module, LayerNorm):
            torch.nn.init.normal_(module.norm.weight)
            torch.nn.init.normal_(module.norm.bias)
    folder, model = directory(*modules)
    assert difference(folder, model) < 2e-6


@pytest.mark.parametrize("layout", ["new", "old", "oldest"])
def test_every_layout_of_the_files(directory, layout):
    folder, model = directory(Pooling(WIDTH, ("cls", "mean")), Dense(2 * WIDTH, 9))
    model.max_seq_length = 11
    if layout == "new":
        edit(folder / "tokenizer_config.json", model_max_length=11)
    else:
        {"old": make_old, "oldest": make_oldest}[layout](folder, modes=("cls", "mean"), max_tokens=11)
    encoder = Encoder.load(folder)
    assert difference(folder, model) < 2e-6
    assert encoder.manifest.max_tokens == 11
    assert (encoder.encode(["a b c d e f g h i j k l m n"]).shape, encoder.truncated) == ((1, 9), 1)


def test_the_real_model_in_its_own_old_layout(tmp_path):
    folder = tmp_path / "all-MiniLM-L6-v2"
    shutil.copytree(minilm.model_folder(), folder)
    model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"attn_implementation": "eager"})
    write_graph(model, folder / "onnx/model.onnx", outputs=("last_hidden_state",))
    assert difference(folder, model) < 2e-6
    manifest = Encoder.load(folder).manifest
    assert (manifest.dimension, manifest.max_tokens, manifest.licence) == (384, 256, "apache-2.0")


@pytest.mark.parametrize("outputs", [("token_embeddings", "sentence_embedding"), ("sentence_embedding",)])
@pytest.mark.parametrize("modules", ["with modules.json", "without, as optimum leaves it"])
def test_graphs_that_pool_themselves(directory, outputs, modules):
    folder, model = directory(Pooling(WIDTH, "cls"), Dense(WIDTH, 20), Normalize())
    shutil.rmtree(folder / "onnx")
    write_graph(model, folder / "model.onnx", outputs=outputs, whole=True)
    if modules.startswith("without"):
        (folder / "modules.json").unlink()
    # With the modules known their own pooling is done, and the graph's where they are not.
    output = outputs[0] if modules.startswith("with m") else "sentence_embedding"
    assert Encoder.load(folder).manifest.output == output
    assert difference(folder, model) < 2e-6


def test_a_dimension_that_no_file_states_is_found_by_running(directory):
    folder, model = directory(Pooling(WIDTH, "mean"), Dense(WIDTH, 20))
    graph = onnx.load(write_graph(model, folder / "model.onnx", outputs=("sentence_embedding",), whole=True))
    graph.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "width"
    onnx.save(graph, folder / "model.onnx")
    (folder / "modules.json").unlink()
    assert Encoder.load(folder).manifest.dimension == 20
    assert difference(folder, model) < 2e-6


def test_pooling_is_asked_for_where_nothing_says_it(directory):
    folder, model = directory(Pooling(WIDTH, ("max", "mean")))
    (folder / "modules.json").unlink()
    with pytest.raises(BundleError, match=r"one vector a token and no file says how to pool them"):
        Encoder.load(folder)
    assert difference(folder, model, pooling="max+mean") < 2e-6
    with pytest.raises(ArgumentError, match=r"pooling must be some of cls, max, .*, not 'median'"):
        Encoder.load(folder, pooling="median")


def test_whole_numbers_of_32_bits_and_vectors_of_16(directory):
    folder, model = directory(Pooling(WIDTH, "mean"))
    write_graph(model, folder / "onnx/model.onnx", ids=torch.int32)
    assert difference(folder, model) < 2e-6
    graph = onnx.load(folder / "onnx/model.onnx")
    output = graph.graph.output[0]
    for node in graph.graph.node:
        node.output[:] = ["single" if name == output.name else name for name in node.output]
    graph.graph.node.append(
        onnx.helper.make_node("Cast", ["single"], [output.name], to=onnx.TensorProto.FLOAT16)
    )
    output.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    onnx.save(graph, folder / "onnx/model.onnx")
    assert Encoder.load(folder).manifest.precision == "fp16"
    assert difference(folder, model) < 2e-3


def test_weights_beside_the_graph(directory):
    folder, model = directory(Pooling(WIDTH, "mean"))
    graph = onnx.load(folder / "onnx/model.onnx")
    onnx.save(
        graph,
        folder / "onnx/model.onnx",
        save_as_external_data=True,
        location="model.onnx_data",
        size_threshold=0,
    )
    assert read_graph(folder / "onnx/model.onnx").weight_files == {"model.onnx_data"}
    assert difference(folder, model) < 2e-6
    assert resolve_model(folder).size > (folder / "onnx/model.onnx_data").stat().st_size
    (folder / "onnx/model.onnx_data").rename(folder / "model.onnx_data")
    with pytest.raises(BundleError, match=r"model\.onnx_data: missing; copy the whole model again"):
        resolve_model(folder)
    for tensor in graph.graph.initializer:
        for entry in tensor.external_data:
            entry.value = "../model.onnx_data" if entry.key == "location" else entry.value
    (folder / "onnx/model.onnx").write_bytes(graph.SerializeToString())
    with pytest.raises(BundleError, match=r"onnx: '\.\./model\.onnx_data' leads out of the model"):
        resolve_model(folder)


def test_a_graph_that_scales_by_the_batch_is_known_as_such(directory):
    from onnxruntime.quantization import quantize_dynamic

    folder, _ = directory(Pooling(WIDTH, "mean"))
    quantize_dynamic(folder / "onnx/model.onnx", folder / "onnx/model_quantized.onnx")
    manifest = resolve_model(folder, file="model_quantized.onnx").manifest
    assert (manifest.batch, manifest.precision) == ("independent", "int8")
    assert manifest.cpus == ("vnni", "amx", "arm64")
    plain = resolve_model(folder).manifest
    assert (plain.batch, plain.cpus) == ("any", ())


def test_prompts_truncation_and_similarity_come_along(directory):
    folder, model = directory(
        Pooling(WIDTH, "mean"), prompts={"query": "query: ", "empty": ""}, default_prompt_name="query",
        truncate_dim=8, similarity_fn_name="dot",
    )  # fmt: skip
    assert difference(folder, model) < 2e-6
    manifest = Encoder.load(folder).manifest
    assert manifest.prompts == {"query": "query: ", "empty": "", "document": ""}
    assert manifest.default_prompt == "query"
    assert (manifest.dimension, manifest.similarity) == (8, "dot")


def test_lower_case_that_only_the_settings_ask_for(directory):
    folder, _ = directory(Pooling(WIDTH, "mean"))
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["normalizer"] = None
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    plain = Encoder.load(folder).encode(["a brown fox", "A Brown FOX"])
    assert np.abs(plain[0] - plain[1]).max() > 1e-3
    edit(folder / "sentence_bert_config.json", do_lower_case=True)
    lower = Encoder.load(folder).encode(["a brown fox", "A Brown FOX"])
    assert np.array_equal(lower[0], lower[1])
    assert np.abs(lower[0] - plain[0]).max() < 1e-6


def test_several_graphs_and_the_one_that_is_run(directory):
    folder, _ = directory(Pooling(WIDTH, "mean"))
    for name in ("model_O2.onnx", "model_O3.onnx"):
        shutil.copy(folder / "onnx/model.onnx", folder / "onnx" / name)
    assert resolve_model(folder).graph == folder / "onnx/model.onnx"
    for file in ("model_O2.onnx", "onnx/model_O2.onnx"):
        assert resolve_model(folder, file=file).graph == folder / "onnx/model_O2.onnx"
    by_path = resolve_model(folder / "onnx/model_O2.onnx")
    assert (by_path.graph, by_path.folder) == (folder / "onnx/model_O2.onnx", folder)
    with pytest.raises(
        BundleError, match=r"has no ONNX file x\.onnx; name one of these .*: onnx/model\.onnx, "
    ):
        resolve_model(folder, file="x.onnx")
    (folder / "onnx/model.onnx").unlink()
    with pytest.raises(BundleError, match=r"several ONNX files and none is the usual one; name one of these"):
        resolve_model(folder)
    (folder / "onnx/model_O2.onnx").unlink()
    assert resolve_model(folder).graph == folder / "onnx/model_O3.onnx"


@pytest.mark.parametrize("kind", ["bert", "qwen3"])
@pytest.mark.parametrize("mode", [*POOLING_MODES, "cls+weightedmean"])
def test_pooling_can_leave_the_prompt_out(directory, kind, mode):
    pooling = Pooling(WIDTH, tuple(mode.split("+")), include_prompt=False)
    folder, model = directory(pooling, kind=kind, prompts={"query": "find this: "})
    options = dict(prompt_name="query")
    expected = model.encode(SENTENCES, normalize_embeddings=True, show_progress_bar=False, **options)
    found = Encoder.load(folder).encode(SENTENCES, **options)
    assert np.abs(found - expected).max() < 2e-6
    if mode != "lasttoken":
        edit(folder / "1_Pooling/config.json", include_prompt=True)
        assert np.abs(Encoder.load(folder).encode(SENTENCES, **options) - expected).max() > 1e-3


def test_safetensors_are_read_as_the_package_reads_them(tmp_path):
    from safetensors.torch import save_file

    tensors = {
        "single": torch.randn(3, 4), "half": torch.randn(5).half(), "double": torch.randn(2, 2).double(),
        "brain": torch.randn(3, 2).bfloat16(), "empty": torch.zeros(0, 3), "number": torch.tensor(2.5),
    }  # fmt: skip
    save_file(tensors, tmp_path / "x.safetensors", metadata={"format": "pt"})
    found = read_weights(tmp_path / "x.safetensors")
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == np.float32
        assert np.array_equal(found[name], tensor.float().numpy())
    single = {"single": tensors["single"]}
    save_file(single, tmp_path / "y.safetensors")
    assert np.array_equal(load_file(tmp_path / "y.safetensors")["single"], tensors["single"].numpy())
