"""Models over 2 GB, which no single ONNX file can hold: a sparse file of weights that takes little disk."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import tokenizers
from onnx import TensorProto

from lightmine import Encoder
from lightmine.errors import BundleError
from lightmine.export.from_onnx import bundle_directory
from lightmine.loading.bundle import Manifest, write_manifest
from tests import tiny

WIDTH = 1024
# Over 2^31 bytes, where a protobuf file ends.
ROWS = 2**31 // (4 * WIDTH) + 4096
# Words all over the table, its last row too.
WORDS = {word: i * (ROWS - 1) // (len(tiny.WORDS) - 1) for i, word in enumerate(tiny.WORDS)}
TEXTS = ["the cat sat", "the dog ran under the red mat", "a sky"]
MEMORY = """
import sys
from pathlib import Path
from lightmine import Encoder
from lightmine.loading.bundle import read_manifest
Encoder.load(sys.argv[1], provider="cpu", threads=1).encode(["the cat sat", "a sky"])
print(next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line).split()[1])
"""


def write_model(folder):
    """A graph, its weights beside it with zeros that no disk holds, and a tokenizer; its words' rows."""
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel(WORDS, unk_token="[UNK]"))
    model.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    model.save(str(folder / "tokenizer.json"))
    graph = tiny.graph(WIDTH, True, "attention_mask", False)
    table = next(tensor for tensor in graph.graph.initializer if tensor.name == "table")
    table.ClearField("raw_data")
    table.dims[0] = ROWS
    table.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "model.onnx.data", "offset": 0, "length": 4 * WIDTH * ROWS}.items():
        table.external_data.add(key=key, value=str(value))
    onnx.save(graph, folder / "model.onnx")
    rows = np.random.default_rng(0).standard_normal((len(WORDS), WIDTH)).astype(np.float32)
    with (folder / "model.onnx.data").open("wb") as file:
        file.truncate(4 * WIDTH * ROWS)
        for place, row in zip(WORDS.values(), rows, strict=True):
            file.seek(4 * WIDTH * place)
            file.write(row.tobytes())
    return dict(zip(WORDS, rows, strict=True))


def expected(rows):
    sums = np.array([np.sum([rows[word] for word in text.split()], axis=0) for text in TEXTS])
    return sums / np.linalg.norm(sums, axis=1, keepdims=True)


@pytest.fixture
def folder(tmp_path):
    """A folder of this test's own, emptied at once and not when pytest keeps no more of them."""
    yield tmp_path
    for path in tmp_path.rglob("*.data"):
        path.unlink()


@pytest.mark.slow
def test_weights_over_2_gb_are_hashed_and_mapped_rather_than_read(folder):
    rows = write_model(folder)
    manifest = Manifest(
        name="large", source="random", revision=None, licence="x", dimension=WIDTH, max_tokens=12
    )
    assert set(write_manifest(folder, manifest).files) == {"model.onnx", "model.onnx.data", "tokenizer.json"}
    assert (folder / "model.onnx.data").stat().st_size > 2**31
    assert np.abs(Encoder.load(folder).encode(TEXTS) - expected(rows)).max() < 1e-6
    if Path("/proc/self/status").exists():
        command = [sys.executable, "-c", MEMORY, str(folder)]
        kilobytes = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        assert kilobytes < 400_000, kilobytes
    with (folder / "model.onnx.data").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")
    with pytest.raises(BundleError, match=r"model\.onnx\.data: altered, its SHA-256 is"):
        Encoder.load(folder)


@pytest.mark.large
def test_model_over_2_gb_becomes_a_bundle(folder):
    (folder / "model").mkdir()
    rows = write_model(folder / "model")
    config = {"model_type": "bert", "max_position_embeddings": 12, "hidden_size": WIDTH}
    (folder / "model/config.json").write_text(json.dumps(config))
    (folder / "model/tokenizer_config.json").write_text(json.dumps({"model_max_length": 12}))
    manifest = bundle_directory(folder / "model", folder / "bundle")
    assert (folder / "bundle/model.onnx.data").stat().st_size > 2**31
    assert manifest.parity["cosine_min"] > 0.99999
    assert np.abs(Encoder.load(folder / "bundle").encode(TEXTS) - expected(rows)).max() < 1e-6
