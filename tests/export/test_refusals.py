import sys
from pathlib import Path

import pytest
from sentence_transformers import SentenceTransformer

from lightmine import Encoder
from lightmine.errors import BundleError, MissingExtraError, OutputError, TextError
from lightmine.export import graph
from lightmine.export.check import Check
from lightmine.export.export import export_bundle
from tests import small_models
from tests.exporting import edit, left_in, refused

pytestmark = pytest.mark.torch

# Refusals


def test_graph_made_wrong_on_purpose_fails_and_is_kept_aside(small, tmp_path, monkeypatch, capsys):
    right = graph._whole

    def wrong(model):
        model = SentenceTransformer(
            modules=[model[0], type(model[1])(small_models.WIDTH, "max")], device="cpu"
        )
        return right(model)

    monkeypatch.setattr(graph, "_whole", wrong)
    message = refused(capsys, small, tmp_path / "bundle", code=3)
    assert message.startswith("error: parity failed against sentence-transformers ")
    assert "cosine_min is " in message
    assert ", 0.9999 is required" in message
    assert message.endswith(f"; kept as {tmp_path / 'bundle.rejected'}")
    assert left_in(tmp_path) == ["bundle.rejected"]
    assert "Rejected: cosine_mean is" in (tmp_path / "bundle.rejected" / "verify.md").read_text()
    # A second failure takes the place of the first.
    refused(capsys, small, tmp_path / "bundle", code=3)
    assert left_in(tmp_path) == ["bundle.rejected"]


def test_model_whose_own_vectors_depend_on_the_batch_fails(tmp_path, few, capsys):
    # Absolute positions and padding on the left: positions then depend on the rest of the batch.
    small_models.build(tmp_path / "model", padding_side="left")
    message = refused(capsys, tmp_path / "model", tmp_path / "bundle", "--eval", few, code=3)
    assert "parity failed" in message
    assert not (tmp_path / "bundle").exists()


def test_bundle_in_the_way_is_kept_when_the_new_one_cannot_take_its_place(small, tmp_path, few, monkeypatch):
    out = tmp_path / "bundle"
    export_bundle(small, out, check=Check(evaluation=few), name="old")
    rename = Path.rename

    def refuse(path, target):
        if path.name == "new":
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OutputError, match="bundle cannot be written: Input/output error"):
        export_bundle(small, out, check=Check(evaluation=few), name="new", force=True)
    assert Encoder.load(out).manifest.name == "old"
    assert left_in(tmp_path) == ["bundle", "few.txt"]


@pytest.mark.parametrize("kind", ["sentence_transformers.models.LSTM", "somebodys_code.Pooling"])
def test_unknown_module_is_refused_by_name(changed, tmp_path, kind, capsys):
    edit(changed / "modules.json", lambda modules: modules[1].update(type=kind))
    message = refused(capsys, changed, tmp_path / "bundle")
    known = "known modules: Transformer, StaticEmbedding, Pooling, Dense, LayerNorm, Dropout, Normalize"
    assert message == f"error: module {kind} of changed cannot be exported; {known}"
    assert left_in(tmp_path) == ["changed"]


def test_activation_that_would_be_replaced_in_silence_is_refused(tmp_path):
    small_models.build(tmp_path / "model", dense=8)
    edit(
        tmp_path / "model" / "2_Dense" / "config.json",
        lambda settings: settings.update(activation_function="somebodys_code.Swish"),
    )
    with pytest.raises(BundleError, match=r"activation somebodys_code\.Swish in 2_Dense of model"):
        export_bundle(tmp_path / "model", tmp_path / "bundle")


FORWARD = {"method": "forward", "method_output_name": "last_hidden_state"}
CHAT = {"modality_config": {"text": FORWARD, "message": FORWARD}, "module_output_name": "token_embeddings"}


@pytest.mark.parametrize(
    ("file", "settings", "what"),
    [
        ("sentence_bert_config.json", CHAT, "inputs other than plain text"),
        ("tokenizer_config.json", {"truncation_side": "left"}, "truncation on the left"),
        ("tokenizer_config.json", {"pad_token": None}, "no padding token"),
        (
            "sentence_bert_config.json",
            {"processing_kwargs": {"text": {"padding": "max_length"}}},
            "its own proc",
        ),
    ],
)
def test_setting_that_changes_the_input_or_output_is_refused(changed, tmp_path, file, settings, what):
    edit(changed / file, lambda found: found.update(settings))
    with pytest.raises(BundleError, match=f"changed cannot be exported exactly: it has {what}"):
        export_bundle(changed, tmp_path / "bundle")


def test_missing_model_says_so(tmp_path, capsys):
    message = refused(capsys, tmp_path / "nowhere", tmp_path / "bundle")
    expected = f"{tmp_path / 'nowhere'} does not exist, and is not a hub model's id either (owner/name)"
    assert message == f"error: {expected}"


def test_hub_model_that_cannot_be_had_says_why(tmp_path, monkeypatch, capsys):
    def unreachable(*_, **__):
        raise OSError("no route to host\nand more")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    message = refused(capsys, "someone/nothing", tmp_path / "bundle", "--revision", "v2")
    reason = "is not a local folder, and the hub does not give it: no route to host"
    assert message == f"error: someone/nothing at revision v2 {reason}"


def test_folder_that_is_no_sentence_transformers_model_says_what_is_missing(tmp_path, capsys):
    (tmp_path / "plain").mkdir()
    message = refused(capsys, tmp_path / "plain", tmp_path / "bundle")
    assert message == "error: plain has no modules.json: not a sentence-transformers model"


def test_damaged_weights_are_one_line(changed, tmp_path, capsys):
    (changed / "model.safetensors").write_bytes(b"not weights")
    message = refused(capsys, changed, tmp_path / "bundle")
    assert message.startswith("error: changed cannot be loaded: ")
    assert left_in(tmp_path) == ["changed"]


def test_opset_that_does_not_exist_is_one_line(small, tmp_path, capsys):
    message = refused(capsys, small, tmp_path / "bundle", "--opset", "99")
    assert message.startswith("error: a model of type bert cannot be traced: ")
    assert left_in(tmp_path) == []


def test_existing_folder_is_kept_unless_forced(small, tmp_path, few, capsys):
    out = tmp_path / "bundle"
    export_bundle(small, out, check=Check(evaluation=few), name="old")
    message = refused(capsys, small, out)
    assert message == f"error: {out} exists and is not empty: choose another folder, or add --force"
    assert Encoder.load(out).manifest.name == "old"
    export_bundle(small, out, check=Check(evaluation=few), name="new", force=True)
    assert Encoder.load(out).manifest.name == "new"
    assert left_in(tmp_path) == ["bundle", "few.txt"]


def test_force_does_not_replace_what_is_no_bundle(small, tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to-grandmother.txt").write_text("Dear", encoding="utf-8")
    with pytest.raises(OutputError, match=r"holds no lightmine\.json, so it is no bundle"):
        export_bundle(small, tmp_path / "letters", force=True)
    assert left_in(tmp_path / "letters") == ["to-grandmother.txt"]


def test_place_that_cannot_hold_a_bundle_is_refused(small, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match=r"file exists and is not a folder"):
        export_bundle(small, tmp_path / "file")
    with pytest.raises(OutputError, match=r"absent is not a folder: create it first"):
        export_bundle(small, tmp_path / "absent" / "bundle")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "cannot be read: No such file"),
        (b"caf\xe9", "is not UTF-8: byte 3"),
        (b"\n \n", "has no sentences"),
    ],
)
def test_evaluation_file_that_cannot_be_used_is_refused(small, tmp_path, content, what):
    path = tmp_path / "eval.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TextError, match=f"eval.txt {what}"):
        export_bundle(small, tmp_path / "bundle", check=Check(evaluation=path))


def test_missing_stack_names_the_install_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(
        MissingExtraError, match=r"exporting needs onnx, .*: pip install torch==.* 'onnx>=1\.18'"
    ):
        export_bundle("anything", tmp_path / "bundle")
