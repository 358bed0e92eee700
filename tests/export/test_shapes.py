import json

import numpy as np
import onnx
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding

from lightmine import Encoder
from lightmine.export import files, graph
from lightmine.export.check import Check
from lightmine.export.command import main
from lightmine.export.export import export_bundle
from lightmine.export.recipe import Recipe
from tests import small_models
from tests.exporting import SHORT, edit, left_in, refused

pytestmark = pytest.mark.torch

# Small models of every shape

SHAPES = {
    "mean, no Normalize": {},
    "LaBSE: cls, Dense, Normalize": {"pooling": "cls", "dense": 16, "normalize": True},
    "max": {"pooling": "max"},
    "mean_sqrt_len": {"pooling": "mean_sqrt_len_tokens"},
    "weightedmean": {"pooling": "weightedmean", "normalize": True},
    "last token, right": {"pooling": "lasttoken"},
    "cls and mean side by side": {"pooling": ("cls", "mean")},
    "positions after the padding index": {"architecture": "xlm-roberta", "normalize": True},
    "Qwen3: last token, left": {
        "architecture": "qwen3",
        "pooling": "lasttoken",
        "padding_side": "left",
        "normalize": True,
    },
    "weightedmean, left": {"architecture": "qwen3", "pooling": "weightedmean", "padding_side": "left"},
    "MPNet": {"architecture": "mpnet"},
    "DistilBERT": {"architecture": "distilbert"},
    "ModernBERT: cls": {"architecture": "modernbert", "pooling": "cls", "normalize": True},
    "Gemma 3: mean, two Dense, Normalize": {
        "architecture": "gemma3",
        "dense": (48, 32),
        "activation": torch.nn.Identity(),
        "normalize": True,
    },
    "Dense with GELU": {"dense": 16, "activation": torch.nn.GELU()},
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_every_shape_gives_the_directions_of_its_source_alone_and_in_batches(shape, tmp_path):
    source = small_models.build(tmp_path / "model", **shape)
    manifest = export_bundle(tmp_path / "model", tmp_path / "bundle")
    encoder = Encoder.load(tmp_path / "bundle")
    source.max_seq_length = manifest.max_tokens
    wanted = source.encode(SHORT, normalize_embeddings=True)
    assert np.abs(encoder.encode(SHORT) - wanted).max() < 1e-5
    alone = np.concatenate([encoder.encode([sentence]) for sentence in SHORT])
    assert np.abs(alone - wanted).max() < 1e-5
    assert manifest.parity["cosine_min"] >= 0.99999
    assert manifest.dimension == source.get_embedding_dimension()
    assert manifest.padding_side == shape.get("padding_side", "right")
    assert manifest.normalize


def test_graph_takes_any_batch_and_length_and_states_its_width(small, tmp_path, few):
    export_bundle(small, tmp_path / "bundle", check=Check(evaluation=few))
    model = onnx.load(tmp_path / "bundle" / "model.onnx")
    shapes = {
        value.name: [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {
        "input_ids": ["batch", "tokens"],
        "attention_mask": ["batch", "tokens"],
        "sentence_embedding": ["batch", small_models.WIDTH],
    }
    assert {node.domain for node in model.graph.node} == {""}
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", graph.OPSET)]


def test_length_never_passes_the_position_table(tmp_path, few):
    small_models.build(tmp_path / "model", architecture="xlm-roberta")
    manifest = export_bundle(tmp_path / "model", tmp_path / "bundle", check=Check(evaluation=few))
    # 48 positions, the first of which belongs to padding; the tokenizer itself says 64.
    assert manifest.max_tokens == 47
    Encoder.load(tmp_path / "bundle").encode(["many words " * 50])


def test_prompts_default_prompt_and_similarity_are_carried_over(tmp_path, few, capsys):
    source = small_models.build(
        tmp_path / "model",
        prompts={"query": "query: ", "passage": "passage: "},
        default_prompt="query",
        similarity="dot",
    )
    assert main([str(tmp_path / "model"), str(tmp_path / "bundle"), "--eval", str(few)]) == 0
    assert "similarity dot of vectors of any length; lightmine mines by cosine" in capsys.readouterr().err
    encoder = Encoder.load(tmp_path / "bundle")
    # "document" is sentence-transformers' own, and empty.
    assert encoder.manifest.prompts == {"query": "query: ", "document": "", "passage": "passage: "}
    assert (encoder.manifest.default_prompt, encoder.manifest.similarity) == ("query", "dot")
    wanted = source.encode(SHORT, normalize_embeddings=True)
    assert np.abs(encoder.encode(SHORT) - wanted).max() < 1e-5
    for name, prompt in encoder.manifest.prompts.items():
        named = source.encode(SHORT, prompt_name=name, normalize_embeddings=True)
        assert np.abs(encoder.encode(SHORT, prompt_name=name) - named).max() < 1e-5
        # The empty prompt is not the default one.
        assert (np.abs(named - wanted).max() > 1e-2) == (prompt != "query: ")


def test_old_layout_of_pooling_is_read(changed, tmp_path, few):
    path = changed / "1_Pooling" / "config.json"
    old = {"word_embedding_dimension": small_models.WIDTH, "pooling_mode_max_tokens": True}
    path.write_text(json.dumps(old), encoding="utf-8")
    manifest = export_bundle(changed, tmp_path / "bundle", check=Check(evaluation=few))
    assert (manifest.pooling, manifest.parity["cosine_min"] >= 0.99999) == ("max", True)


def test_weights_over_the_limit_lie_beside_the_graph(small, tmp_path, few, monkeypatch):
    monkeypatch.setattr(files, "LARGEST_FILE", 10_000)
    manifest = export_bundle(small, tmp_path / "bundle", check=Check(evaluation=few))
    assert set(manifest.files) == {"model.onnx", "model.onnx.data", "tokenizer.json"}
    assert left_in(tmp_path / "bundle") == ["lightmine.json", *sorted(manifest.files), "verify.md"]
    assert manifest.parity["cosine_min"] >= 0.99999


def test_same_model_gives_the_same_files(small, tmp_path, few):
    first = export_bundle(small, tmp_path / "first", check=Check(evaluation=few))
    assert export_bundle(small, tmp_path / "second", check=Check(evaluation=few)).files == first.files


def test_prompt_that_pooling_leaves_out_is_left_out_by_the_bundle(tmp_path, few):
    source = small_models.build(
        tmp_path / "model", prompts={"query": "find this: "}, default_prompt="query", normalize=True
    )
    edit(
        tmp_path / "model" / "1_Pooling" / "config.json",
        lambda settings: settings.update(include_prompt=False),
    )
    wrong = source.encode(SHORT)
    source = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    manifest = export_bundle(tmp_path / "model", tmp_path / "bundle", check=Check(evaluation=few))
    assert not manifest.include_prompt
    assert manifest.inputs == ("input_ids", "attention_mask", "pooling_mask")
    wanted = source.encode(SHORT)
    assert np.abs(Encoder.load(tmp_path / "bundle").encode(SHORT) - wanted).max() < 1e-5
    assert np.abs(wanted - wrong).max() > 1e-2


def test_matryoshka_width_is_cut_in_the_graph(small, tmp_path, few):
    export_bundle(small, tmp_path / "bundle", check=Check(evaluation=few), truncate_dim=8)
    wanted = SentenceTransformer(str(small), device="cpu", truncate_dim=8).encode(
        SHORT, normalize_embeddings=True
    )
    rows = Encoder.load(tmp_path / "bundle").encode(SHORT)
    assert rows.shape == (3, 8)
    assert np.abs(rows - wanted).max() < 1e-5


def test_width_that_the_model_does_not_have_is_refused(small, tmp_path, capsys):
    message = refused(capsys, small, tmp_path / "bundle", "--truncate-dim", "33")
    assert message == "error: --truncate-dim must be from 1 to the model's 32 dimensions, not 33"


def test_static_embeddings_are_exported(tmp_path, few):
    table = np.random.default_rng(0).standard_normal((small_models.tokenizer().get_vocab_size(), 16))
    embedding = StaticEmbedding(small_models.tokenizer(), embedding_weights=table.astype(np.float32))
    source = SentenceTransformer(modules=[embedding, Normalize()], device="cpu")
    source.save(str(tmp_path / "model"), create_model_card=False)
    for precision in ("fp32", "int8"):
        out = tmp_path / precision
        export_bundle(
            tmp_path / "model", out, check=Check(evaluation=few), recipe=Recipe(precision=precision)
        )
        rows = Encoder.load(out).encode(SHORT)
        assert np.abs(rows - source.encode(SHORT)).max() < (1e-5 if precision == "fp32" else 1e-2)
