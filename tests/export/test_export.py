import json
import shutil

import numpy as np
import pytest
from tokenizers import Tokenizer

from lightmine import Encoder
from lightmine.export.check import Check
from lightmine.export.command import main
from lightmine.export.export import export_bundle
from lightmine.export.sentences import evaluation_sentences
from tests import minilm
from tests.exporting import left_in

pytestmark = pytest.mark.torch

# The real model


def test_real_minilm_passes_parity_and_its_manifest_says_what_it_is(real):
    _, out, manifest = real
    assert manifest.parity["sentences"] == len(evaluation_sentences(["en"])[0]) >= 100
    assert manifest.parity["evaluation"] == "118 sentences of ours, in en"
    assert manifest.parity["cosine_min"] >= 0.99999
    assert manifest.parity["batch_change"] < 1e-6
    assert (manifest.dimension, manifest.max_tokens, manifest.pooling) == (384, 256, "mean")
    assert manifest.source == "sentence-transformers/all-MiniLM-L6-v2"
    assert (manifest.licence, manifest.languages) == ("apache-2.0", ("en",))
    assert set(manifest.versions) == {"torch", "transformers", "sentence-transformers", "onnx", "onnxruntime"}
    assert left_in(out) == ["lightmine.json", "model.onnx", "tokenizer.json", "verify.md"]
    assert str(minilm.cache_folder()) not in (out / "lightmine.json").read_text(encoding="utf-8")


def test_real_minilm_gives_the_vectors_of_sentence_transformers_on_unseen_sentences(real):
    source, out, _ = real
    sentences = [
        " ".join(f"word{i * j % 97}" for i in range(length)) for j, length in enumerate(range(1, 300, 13))
    ]
    rows = Encoder.load(out).encode(sentences)
    wanted = source.encode(sentences)
    assert rows.shape == (len(sentences), 384)
    assert np.einsum("nd,nd->n", rows, wanted).min() >= 0.99999
    # Sentences this different are not all alike: the comparison could have failed.
    assert (wanted @ wanted.T).min() < 0.5


def test_real_minilm_cuts_where_sentence_transformers_cuts(real):
    source, out, manifest = real
    long = "stone " * 400
    encoder = Encoder.load(out)
    assert np.dot(encoder.encode([long])[0], source.encode(long)) >= 0.99999
    assert encoder.truncated == 1
    assert manifest.max_tokens == source.max_seq_length


def test_tokenizer_of_the_bundle_neither_cuts_nor_pads(real):
    _, out, _ = real
    settings = json.loads((out / "tokenizer.json").read_text(encoding="utf-8"))
    assert (settings["truncation"], settings["padding"]) == (None, None)
    assert len(Tokenizer.from_file(str(out / "tokenizer.json")).encode("stone " * 400).ids) == 402


# What is recorded


def test_result_goes_to_stdout_and_progress_to_stderr(small, tmp_path, few, capsys):
    arguments = [small, tmp_path / "bundle", "--eval", few, "--name", "little", "--licence", "MIT"]
    assert main([str(argument) for argument in arguments]) == 0
    printed = capsys.readouterr()
    for row in ("processors any", "dimension  32", "tokens     48 at most", "licence    MIT"):
        assert row in printed.out.splitlines()
    assert "exporting  Transformer -> Pooling" in printed.err.splitlines()
    manifest = Encoder.load(tmp_path / "bundle").manifest
    assert (manifest.name, manifest.licence, manifest.source) == ("little", "MIT", "little-bert")


def test_licence_that_nobody_states_is_unknown_and_said(small, tmp_path, few, capsys):
    assert main([str(small), str(tmp_path / "bundle"), "--eval", str(few)]) == 0
    assert "licence    unknown: the model's card states none" in capsys.readouterr().err
    assert Encoder.load(tmp_path / "bundle").manifest.licence == "unknown"


def test_card_decides_licence_and_languages(changed, tmp_path, few):
    card = "---\nlicense: other\nlicense_name: gemma\nlanguage:\n- de\n- fr\n---\n# A model\n"
    (changed / "README.md").write_text(card, encoding="utf-8")
    manifest = export_bundle(changed, tmp_path / "bundle", check=Check(evaluation=few), licence="MIT")
    assert (manifest.licence, manifest.languages) == ("gemma", ("de", "fr"))


def test_hub_model_is_recorded_with_its_commit(small, tmp_path, few, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = shutil.copytree(small, tmp_path / commit)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(snapshot))
    manifest = export_bundle("someone/some-model", tmp_path / "bundle", check=Check(evaluation=few))
    recorded = (manifest.name, manifest.source, manifest.revision)
    assert recorded == ("some-model", "someone/some-model", commit)
