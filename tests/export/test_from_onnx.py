import subprocess
import sys

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from lightmine import Encoder
from lightmine.export.check import Check
from lightmine.export.command import main
from lightmine.export.from_onnx import bundle_directory
from lightmine.export.recipe import Recipe
from tests import small_models
from tests.exporting import SHORT, refused
from tests.onnx_directories import write_graph

pytestmark = pytest.mark.torch

SHAPES = {
    "mean, Normalize": {"normalize": True},
    "cls, Dense": {"pooling": "cls", "dense": 16, "normalize": True},
    "Dense with GELU": {"dense": 16, "activation": torch.nn.GELU()},
    "max": {"pooling": "max"},
    "mean_sqrt_len": {"pooling": "mean_sqrt_len_tokens"},
    "weightedmean": {"pooling": "weightedmean"},
    "cls and mean": {"pooling": ("cls", "mean")},
    "last token, left": {"architecture": "qwen3", "pooling": "lasttoken", "padding_side": "left"},
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_a_graph_of_token_vectors_gets_its_modules(shape, tmp_path, few):
    source = small_models.build(tmp_path / "model", **shape)
    write_graph(source, tmp_path / "model" / "onnx" / "model.onnx")
    bundle_directory(tmp_path / "model", tmp_path / "bundle", check=Check(evaluation=few))
    encoder = Encoder.load(tmp_path / "bundle")
    wanted = source.encode(SHORT, normalize_embeddings=True)
    assert np.abs(encoder.encode(SHORT) - wanted).max() < 1e-5
    assert encoder.manifest.output == "sentence_embedding"


def test_a_graph_that_ends_with_sentence_vectors_is_taken_as_it_is(tmp_path, few):
    source = small_models.build(tmp_path / "model", normalize=True)
    write_graph(source, tmp_path / "model" / "model.onnx", outputs=("sentence_embedding",), whole=True)
    bundle_directory(tmp_path / "model", tmp_path / "bundle", check=Check(evaluation=few))
    rows = Encoder.load(tmp_path / "bundle").encode(SHORT)
    assert np.abs(rows - source.encode(SHORT)).max() < 1e-5


def test_the_command_quantises_too_and_needs_no_torch(tmp_path, few):
    source = small_models.build(tmp_path / "model", normalize=True)
    write_graph(source, tmp_path / "model" / "model.onnx")
    loose = [option for name in ("cosine_min", "cosine_mean") for option in ("--require", f"{name}=0.9")]
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'sentence_transformers'): sys.modules[name] = None\n"
        "from lightmine.export.command import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["--from-onnx", tmp_path / "model", tmp_path / "bundle", "--precision", "int8", "--eval", few]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments), *loose, "--require", "neighbours=0"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-1500:]
    encoder = Encoder.load(tmp_path / "bundle")
    assert encoder.manifest.precision == "int8"
    wanted = SentenceTransformer(str(tmp_path / "model"), device="cpu").encode(SHORT)
    assert np.einsum("nd,nd->n", encoder.encode(SHORT), wanted).min() > 0.98


def test_fp16_keeps_the_head_in_float32(tmp_path, few):
    source = small_models.build(tmp_path / "model", normalize=True)
    write_graph(source, tmp_path / "model" / "model.onnx")
    loose = Check(evaluation=few, require={"neighbours": 0, "cosine_min": 0.99})
    bundle_directory(tmp_path / "model", tmp_path / "b", check=loose, recipe=Recipe(precision="fp16"))
    rows = Encoder.load(tmp_path / "b").encode(SHORT)
    assert rows.dtype == np.float32
    assert np.einsum("nd,nd->n", rows, source.encode(SHORT)).min() > 0.99


def test_what_cannot_be_used_is_one_line(tmp_path, capsys):
    message = refused(capsys, "--from-onnx", tmp_path / "nowhere", tmp_path / "bundle")
    assert "no such folder; --from-onnx takes one that holds an ONNX graph" in message
    small_models.build(tmp_path / "model")
    message = refused(capsys, "--from-onnx", tmp_path / "model", tmp_path / "bundle")
    assert "carries no ONNX graph" in message
    message = refused(capsys, tmp_path / "model", tmp_path / "bundle", "--pooling", "mean")
    assert message == "error: --file and --pooling are for --from-onnx"
    assert main(["--from-onnx", str(tmp_path / "model"), str(tmp_path / "b"), "--revision", "x"]) == 2
