import json
import shutil
from pathlib import Path

import pytest

from lightmine import Encoder
from lightmine.errors import BundleError
from lightmine.loading.bundle import (
    models_folder,
    read_manifest,
    verify_files,
    write_manifest,
)
from lightmine.loading.resolve import resolve_model


@pytest.fixture
def bundle(tiny_bundle, tmp_path):
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


def change(bundle, **fields):
    path = bundle / "lightmine.json"
    manifest = json.loads(path.read_text()) | fields
    path.write_text(json.dumps({name: value for name, value in manifest.items() if value is not ...}))


@pytest.mark.parametrize(("name", "most"), [("static-multilingual", 30_000_000), ("static-tiny", 4_000_000)])
def test_a_model_that_comes_along_is_whole_and_says_what_it_is(name, most):
    folder = models_folder() / name
    manifest = read_manifest(folder)
    verify_files(folder, manifest)
    assert manifest.name == name
    assert manifest.languages
    assert manifest.licence
    assert manifest.batch == "any"
    assert set(manifest.thresholds) == {"bitext", "bitext_cosine", "paraphrase"}
    assert sum(path.stat().st_size for path in folder.iterdir()) <= most


def test_the_tiny_model_knows_its_languages():
    encoder = Encoder.load("static-tiny")
    english = encoder.encode(["The dog sleeps under the table.", "It has been raining since yesterday."])
    for others in (
        ["Der Hund schläft unter dem Tisch.", "Es regnet seit gestern."],
        ["Le chien dort sous la table.", "Il pleut depuis hier."],
        ["El perro duerme debajo de la mesa.", "Llueve desde ayer."],
        ["De hond slaapt onder de tafel.", "Het regent sinds gisteren."],
    ):
        assert (english @ encoder.encode(others).T).argmax(axis=1).tolist() == [0, 1]


def test_the_default_model_has_a_name_unless_a_folder_here_is_called_so(bundle, monkeypatch):
    assert Encoder.load("static-multilingual").manifest == Encoder.load().manifest
    monkeypatch.chdir(bundle.parent)
    bundle.rename("static-multilingual")
    assert Encoder.load("static-multilingual").manifest.name == "tiny"


def test_without_the_default_model_others_are_read(bundle, monkeypatch, tmp_path):
    monkeypatch.setattr("lightmine.loading.bundle.models_folder", lambda: tmp_path / "none")
    assert Encoder.load(bundle).manifest.name == "tiny"
    with pytest.raises(BundleError, match=r"the default model is not in .*name another"):
        Encoder.load()


def test_a_manifest_comes_back_as_written_and_unknown_fields_are_kept(bundle):
    change(bundle, from_the_future={"a": 1})
    manifest = read_manifest(bundle)
    assert (manifest.name, manifest.dimension, manifest.inputs) == (
        "tiny",
        8,
        ("input_ids", "attention_mask"),
    )
    assert manifest.extra == {"from_the_future": {"a": 1}}


@pytest.mark.parametrize("batch", ["one", "mates"])
def test_values_of_earlier_manifests_are_refused_by_name(bundle, batch):
    change(bundle, batch=batch)
    said = rf"json: batch must be any or independent or dependent, not '{batch}'; export the model again"
    with pytest.raises(BundleError, match=said):
        read_manifest(bundle)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_missing_file_is_named(bundle, name):
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=f"{name}: missing; copy the whole model again"):
        Encoder.load(bundle)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_an_altered_file_is_named(bundle, name):
    data = bytearray((bundle / name).read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / name).write_bytes(data)
    with pytest.raises(BundleError, match=f"{name}: altered, its SHA-256 is "):
        Encoder.load(bundle)


@pytest.fixture
def brought(tmp_path, monkeypatch):
    """A copy of static-tiny in a folder that is taken for lightmine's own, whose files are hashed aside."""
    shutil.copytree(models_folder() / "static-tiny", tmp_path / "own" / "static-tiny")
    monkeypatch.setattr("lightmine.loading.resolve.models_folder", lambda: tmp_path / "own")
    return tmp_path / "own" / "static-tiny"


def test_what_comes_along_is_hashed_too(brought):
    source = resolve_model(brought, background=True)
    source.wait_verified()
    assert source.verified
    assert source.fingerprint() == resolve_model(brought).fingerprint()


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data", "tokenizer.json", "vocab.txt"])
@pytest.mark.parametrize("verify", ["full", "size"])
def test_what_comes_along_altered_is_named(brought, name, verify):
    data = bytearray((brought / name).read_bytes())
    data[len(data) // 2] ^= 1
    (brought / name).write_bytes(data if verify == "full" else data[:-1])
    with pytest.raises(BundleError, match=f"{name}: altered, "):
        Encoder.load(brought, verify=verify)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "vocab.txt"])
def test_what_comes_along_unreadable_is_named_as_altered(brought, name):
    (brought / name).write_bytes(bytes((brought / name).stat().st_size))
    with pytest.raises(BundleError, match=f"{name}: altered, its SHA-256 is "):
        Encoder.load(brought)


def test_a_vocabulary_is_for_word_pieces(brought):
    tokenizer = json.loads((brought / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["model"] = {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}
    (brought / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    write_manifest(brought, read_manifest(brought))
    message = r"vocab\.txt: not the vocabulary of a WordPiece tokenizer: its tokenizer\.json is of WordLevel"
    with pytest.raises(BundleError, match=message):
        Encoder.load(brought)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(format_version=2), "format version 2, this lightmine reads 1; upgrade one of them"),
        (dict(dimension=...), "dimension is missing"),
        (dict(dimension="8"), "dimension must be int, not '8'"),
        (dict(dimension=True), "dimension must be int, not True"),
        (dict(dimension=0), "dimension must be from 1 to 65,536, not 0"),
        (dict(inputs="input_ids"), r"inputs must be tuple\[str, ...\], not 'input_ids'"),
        (dict(prompts={"query": 1}), r"prompts must be dict\[str, str\]"),
        (dict(padding_side="up"), "padding_side must be right or left, not 'up'"),
        (dict(files={}), r"names no (model\.onnx|tokenizer\.json); export the model again"),
        (dict(dimension=9), r"gave vectors of shape \(1, 8\) for 1 sentences of 9 dim"),
        (dict(output="other"), "has no output named other"),
        (
            dict(inputs=["input_ids"]),
            r"its inputs are \['attention_mask', 'input_ids'\], not \['input_ids'\]",
        ),
    ],
)
def test_a_manifest_that_cannot_be_honoured_is_refused(bundle, fields, message):
    change(bundle, **fields)
    with pytest.raises(BundleError, match=message):
        Encoder.load(bundle).encode(["a cat"])


def test_files_outside_the_bundle_are_refused(bundle):
    files = json.loads((bundle / "lightmine.json").read_text())["files"]
    change(bundle, files=files | {"../secret": "0" * 64})
    with pytest.raises(BundleError, match=r"'../secret' is not a plain file name"):
        Encoder.load(bundle)


def test_what_is_no_bundle_is_refused_with_advice(tmp_path):
    with pytest.raises(BundleError, match="gone: no such model; give the folder of a bundle"):
        Encoder.load(tmp_path / "gone")
    with pytest.raises(BundleError, match=r"it has no lightmine\.json; make one with: lightmine export"):
        Encoder.load(tmp_path)
    (tmp_path / "lightmine.json").write_text("{broken")
    with pytest.raises(BundleError, match=r"lightmine\.json: cannot be read: "):
        Encoder.load(tmp_path)
    (tmp_path / "lightmine.json").write_text("[]")
    with pytest.raises(BundleError, match="a JSON object is needed"):
        Encoder.load(tmp_path)


@pytest.mark.parametrize(("name", "message"), [
    ("model.onnx", "not an ONNX graph, or cut short"), ("tokenizer.json", "not a tokenizer that can be read"),
])  # fmt: skip
def test_files_that_are_what_the_hash_says_but_not_what_is_needed_are_refused(bundle, name, message):
    from lightmine.loading.bundle import sha256

    (bundle / name).write_bytes(b"nonsense")
    files = json.loads((bundle / "lightmine.json").read_text())["files"]
    change(bundle, files=files | {name: sha256(bundle / name)}, sizes={})
    with pytest.raises(BundleError, match=message):
        Encoder.load(bundle)
