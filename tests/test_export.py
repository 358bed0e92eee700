import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer

from export_scripts import graph, parity
from export_scripts.export import export_bundle, main
from lightmine import Encoder
from lightmine.errors import BundleError, MissingExtraError, OutputError, TextError
from tests import minilm, small_models

SHORT = ["One line.", "Another, somewhat longer line.", "Ein dritter Satz, 3 Wörter mehr als der erste."]


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The source model, the bundle and its manifest: all-MiniLM-L6-v2 with its real weights."""
    out = tmp_path_factory.mktemp("real") / "bundle"
    manifest = export_bundle(minilm.model_folder(), out)
    return SentenceTransformer(str(minilm.model_folder()), device="cpu"), out, manifest


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small") / "little-bert"
    small_models.build(folder)
    return folder


@pytest.fixture
def changed(small, tmp_path):
    """A copy of the small model whose files a test may change."""
    return shutil.copytree(small, tmp_path / "changed")


@pytest.fixture
def few(tmp_path):
    """A short file of sentences, where the test is not about parity."""
    path = tmp_path / "few.txt"
    path.write_text("\n".join(SHORT), encoding="utf-8")
    return path


def refused(capsys, *arguments, code=2):
    """The one line that the command prints when it fails with `code`."""
    assert main([str(argument) for argument in arguments]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    last = printed.err.splitlines()[-1]
    assert last.startswith("error: ")
    return last


def edit(path, change):
    settings = json.loads(path.read_text(encoding="utf-8"))
    change(settings)
    path.write_text(json.dumps(settings), encoding="utf-8")


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


# The real model


def test_real_minilm_passes_parity_and_its_manifest_says_what_it_is(real):
    _, out, manifest = real
    assert manifest.parity["sentences"] == len(parity.read_sentences()) >= 100
    assert manifest.parity["cosine_min"] >= 0.99999
    assert manifest.parity["batch_change"] < 1e-6
    assert (manifest.dimension, manifest.max_tokens, manifest.pooling) == (384, 256, "mean")
    assert manifest.source == "sentence-transformers/all-MiniLM-L6-v2"
    assert (manifest.licence, manifest.languages) == ("apache-2.0", ("en",))
    assert set(manifest.versions) == {"torch", "transformers", "sentence-transformers", "onnx", "onnxruntime"}
    assert left_in(out) == ["lightmine.json", "model.onnx", "tokenizer.json"]
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
    export_bundle(small, tmp_path / "bundle", evaluation=few)
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
    manifest = export_bundle(tmp_path / "model", tmp_path / "bundle", evaluation=few)
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
    assert encoder.manifest.prompts == {"query": "query: ", "passage": "passage: "}
    assert (encoder.manifest.default_prompt, encoder.manifest.similarity) == ("query", "dot")
    wanted = source.encode(SHORT, normalize_embeddings=True)
    assert np.abs(encoder.encode(SHORT) - wanted).max() < 1e-5
    assert np.abs(source.encode(SHORT, prompt="", normalize_embeddings=True) - wanted).max() > 1e-2


def test_old_layout_of_pooling_is_read(changed, tmp_path, few):
    path = changed / "1_Pooling" / "config.json"
    old = {"word_embedding_dimension": small_models.WIDTH, "pooling_mode_max_tokens": True}
    path.write_text(json.dumps(old), encoding="utf-8")
    manifest = export_bundle(changed, tmp_path / "bundle", evaluation=few)
    assert (manifest.pooling, manifest.parity["cosine_min"] >= 0.99999) == ("max", True)


def test_weights_over_the_limit_lie_beside_the_graph(small, tmp_path, few, monkeypatch):
    monkeypatch.setattr(graph, "LARGEST_FILE", 10_000)
    manifest = export_bundle(small, tmp_path / "bundle", evaluation=few)
    assert set(manifest.files) == {"model.onnx", "model.onnx.data", "tokenizer.json"}
    assert left_in(tmp_path / "bundle") == ["lightmine.json", *sorted(manifest.files)]
    assert manifest.parity["cosine_min"] >= 0.99999


def test_same_model_gives_the_same_files(small, tmp_path, few):
    first = export_bundle(small, tmp_path / "first", evaluation=few)
    assert export_bundle(small, tmp_path / "second", evaluation=few).files == first.files


# What is recorded


def test_result_goes_to_stdout_and_progress_to_stderr(small, tmp_path, few, capsys):
    arguments = [small, tmp_path / "bundle", "--eval", few, "--name", "little", "--licence", "MIT"]
    assert main([str(argument) for argument in arguments]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[2:5] == ["dimension  32", "tokens     48 at most", "licence    MIT"]
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
    manifest = export_bundle(changed, tmp_path / "bundle", evaluation=few, licence="MIT")
    assert (manifest.licence, manifest.languages) == ("gemma", ("de", "fr"))


def test_hub_model_is_recorded_with_its_commit(small, tmp_path, few, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = shutil.copytree(small, tmp_path / commit)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(snapshot))
    manifest = export_bundle("someone/some-model", tmp_path / "bundle", evaluation=few)
    recorded = (manifest.name, manifest.source, manifest.revision)
    assert recorded == ("some-model", "someone/some-model", commit)


# Refusals


def test_graph_made_wrong_on_purpose_fails_and_leaves_nothing(small, tmp_path, monkeypatch, capsys):
    right = graph._whole

    def wrong(model):
        model = SentenceTransformer(
            modules=[model[0], type(model[1])(small_models.WIDTH, "max")], device="cpu"
        )
        return right(model)

    monkeypatch.setattr(graph, "_whole", wrong)
    message = refused(capsys, small, tmp_path / "bundle", code=3)
    assert message.startswith("error: parity failed: cosine to sentence-transformers ")
    # Which sentence is the worst depends on the machine; that it is quoted does not.
    _, _, worst = message.partition("0.99999 is required; worst sentence: ")
    assert worst[0] in "'\""
    assert len(worst) > 10
    assert left_in(tmp_path) == []


def test_model_whose_own_vectors_depend_on_the_batch_fails(tmp_path, few, capsys):
    # Absolute positions and padding on the left: a sentence's positions are its batch-mates' affair.
    small_models.build(tmp_path / "model", padding_side="left")
    message = refused(capsys, tmp_path / "model", tmp_path / "bundle", "--eval", few, code=3)
    assert "parity failed" in message
    assert not (tmp_path / "bundle").exists()


def test_bundle_in_the_way_is_kept_when_the_new_one_cannot_take_its_place(small, tmp_path, few, monkeypatch):
    out = tmp_path / "bundle"
    export_bundle(small, out, evaluation=few, name="old")
    rename = Path.rename

    def refuse(path, target):
        if path.name == "new":
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OutputError, match="bundle cannot be written: Input/output error"):
        export_bundle(small, out, evaluation=few, name="new", force=True)
    assert Encoder.load(out).manifest.name == "old"
    assert left_in(tmp_path) == ["bundle", "few.txt"]


def test_vector_that_is_no_number_fails_the_gate():
    def encode(sentences):
        return np.zeros((len(sentences), 2))

    measured = parity.measure_parity(encode, sentences=SHORT, reference=np.ones((3, 2)), against="it")
    with pytest.raises(parity.ParityError, match="cosine to it is nan at worst"):
        measured.require()


def test_wrong_width_fails_the_gate():
    with pytest.raises(parity.ParityError, match="the bundle gives 2 dimensions, it gives 3"):
        parity.measure_parity(
            lambda sentences: np.ones((len(sentences), 2)),
            sentences=SHORT,
            reference=np.ones((3, 3)),
            against="it",
        )


@pytest.mark.parametrize("kind", ["sentence_transformers.models.LSTM", "somebodys_code.Pooling"])
def test_unknown_module_is_refused_by_name(changed, tmp_path, kind, capsys):
    edit(changed / "modules.json", lambda modules: modules[1].update(type=kind))
    message = refused(capsys, changed, tmp_path / "bundle")
    known = "known modules: Transformer, Pooling, Dense, Normalize"
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
        ("config_sentence_transformers.json", {"truncate_dim": 8}, "truncate_dim"),
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


def test_prompts_left_out_of_pooling_are_refused(tmp_path):
    small_models.build(tmp_path / "model", prompts={"query": "query: "})
    edit(
        tmp_path / "model" / "1_Pooling" / "config.json",
        lambda settings: settings.update(include_prompt=False),
    )
    with pytest.raises(BundleError, match=r"it has prompts that pooling leaves out \(include_prompt\)"):
        export_bundle(tmp_path / "model", tmp_path / "bundle")


def test_missing_model_says_so(tmp_path, capsys):
    message = refused(capsys, tmp_path / "nowhere", tmp_path / "bundle")
    expected = f"{tmp_path / 'nowhere'} does not exist, and is not a hub model's id either (owner/name)"
    assert message == f"error: {expected}"


def test_hub_model_that_cannot_be_had_says_why(tmp_path, monkeypatch, capsys):
    def unreachable(*_, **__):
        raise OSError("no route to host\nand more")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    message = refused(capsys, "someone/nothing", tmp_path / "bundle", "--revision", "v2")
    reason = "is neither a local folder nor to be had from the hub: no route to host"
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
    export_bundle(small, out, evaluation=few, name="old")
    message = refused(capsys, small, out)
    assert message == f"error: {out} exists and is not empty: choose another folder, or add --force"
    assert Encoder.load(out).manifest.name == "old"
    export_bundle(small, out, evaluation=few, name="new", force=True)
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
        export_bundle(small, tmp_path / "bundle", evaluation=path)


def test_missing_stack_names_the_install_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(
        MissingExtraError, match=r'exporting needs onnx, .*: pip install "lightmine\[export\]"'
    ):
        export_bundle("anything", tmp_path / "bundle")
