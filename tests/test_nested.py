"""JSON in JSON without end: whatever reads JSON refuses it in one line, or does without."""

import json
import zipfile

import numpy as np
import pytest

from fuzz import targets
from fuzz.encoder import Checksums
from fuzz.targets import checkpoint as mining
from lightmine import Encoder
from lightmine.errors import LightmineError
from lightmine.io.sentences import read_sentences
from lightmine.loading.resolve import ORIGIN, resolve_model
from lightmine.store import Cache, open_embeddings, write_embeddings
from lightmine.store.cache_folder import DESCRIPTION
from lightmine.store.journal import journal_path, kept_rows
from lightmine.store.manifest import manifest_path
from lightmine.untrusted.model_paths import read_json
from lightmine.untrusted.safetensors import read_weights
from lightmine.untrusted.tokenizer_checks import check_tokenizer
from tests.untrusted.test_directories import FILES, write

# Too deep for a parser, closed and not; and deep enough to be parsed, and then to be shown or compared.
DEEP = {
    "open": "[" * 100_000,
    "lists": "[" * 100_000 + "]" * 100_000,
    "objects": '{"text":' * 100_000 + "1" + "}" * 100_000,
    "parsed": '{"text":' * 900 + "1" + "}" * 900,
}


@pytest.fixture(params=DEEP)
def deep(request):
    return DEEP[request.param]


@pytest.fixture(autouse=True, scope="module")
def _folder():
    yield
    targets.clean()


def line_of(function, *arguments):
    with pytest.raises(LightmineError) as caught:
        function(*arguments)
    assert str(caught.value).isprintable()
    return str(caught.value)


def within(whole, field, deep):
    """JSON of an object of which one field is deep."""
    return json.dumps(whole | {field: "@"}).replace('"@"', deep)


def test_lines(tmp_path, deep):
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "one"}\n' + deep)
    assert "x.jsonl: line 2" in line_of(read_sentences, path)


@pytest.mark.parametrize("field", ["dimension", "pooling", "files", "prompts"])
def test_a_bundle(tiny_bundle, tmp_path, deep, field):
    whole = json.loads((tiny_bundle / "lightmine.json").read_text())
    (tmp_path / "lightmine.json").write_text(within(whole, field, deep))
    assert "lightmine.json: " in line_of(Encoder.load, tmp_path)


@pytest.mark.parametrize("name", sorted(FILES))
def test_settings(tmp_path, deep, name):
    folder = write(tmp_path / "model", FILES)
    (folder / name).write_text(deep)
    if name == "modules.json" or deep is not DEEP["parsed"]:  # else its fields are of no concern
        assert name.rpartition("/")[2] in line_of(resolve_model, folder)
    (folder / name).write_text(json.dumps(FILES[name]))
    (folder / ORIGIN).write_text(within({"revision": "x"}, "source", deep))
    assert resolve_model(folder).manifest.dimension == 4


def test_tokenizers_and_weights(tmp_path, deep):
    path = tmp_path / "tokenizer.json"
    path.write_text(deep)
    if deep is not DEEP["parsed"]:
        assert "nested too deeply" in line_of(read_json, path)
        assert "tokenizer.json: " in line_of(check_tokenizer, path)
    path.write_bytes(len(deep).to_bytes(8, "little") + deep.encode())
    assert "not safetensors" in line_of(read_weights, path)


@pytest.mark.parametrize("field", ["model", "identity", "columns", "rows", "blocks", "format_version"])
def test_the_manifest_of_a_matrix(tmp_path, deep, field):
    path = tmp_path / "x.npy"
    write_embeddings(path, Checksums(), ["one", "two"])
    whole = json.loads(manifest_path(path).read_text())
    for manifest in (within(whole, field, deep), within(whole, "identity", within({}, "prompt", deep))):
        manifest_path(path).write_text(manifest)
        assert "no manifest of embeddings: " in line_of(open_embeddings, path)
        assert "--restart replaces it" in line_of(write_embeddings, path, Checksums(), ["one", "two"])


def test_a_journal_counts_up_to_there(tmp_path, deep):
    path = tmp_path / "x.npy"
    path.with_name("x.npy.part").write_bytes(bytes(300))
    head = {"format_version": 1, "model": "checksums", "dtype": "<f4", "columns": 2}
    for text in (deep, within(head, "identity", within({}, "prompt", deep)) + "\n" + deep + "\n"):
        journal_path(path).write_text(text)
        assert kept_rows(path) == 0
        assert write_embeddings(path, Checksums(), ["one", "two"]).found == 0
        path.unlink()


def test_a_cache_does_without(tmp_path, deep):
    cache = Cache(tmp_path / "cache")
    cache.encode(Checksums(), ["one"])
    about = next(cache.folder.glob(f"*/{DESCRIPTION}"))
    for text in (deep, within(json.loads(about.read_text()), "identity", within({}, "prompt", deep))):
        about.write_text(text)
        assert [kept.header for kept in cache.summaries()] == [None]
        assert cache.encode(Checksums(), ["one"]).found == 1


def test_a_checkpoint(deep):
    arrays = dict(mining.members()[0])
    with zipfile.ZipFile(mining.place(), "w") as archive:
        for name, array in arrays.items():
            with archive.open(name, "w") as member:
                if name == "job.npy":
                    job = np.frombuffer(deep.encode(), np.uint8)
                    np.lib.format.write_array(member, job, allow_pickle=False)
                else:
                    member.write(array)
    assert "delete it to begin anew" in line_of(mining.mine)
