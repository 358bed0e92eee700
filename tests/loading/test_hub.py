"""Models by name, fetched by the real client from a hub on this machine."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest

from lightmine import Encoder
from lightmine.loading.bundle import sha256
from tests.hub_server import Hub
from tests.tiny import WORDS, write_bundle

NAME = "someone/tiny-model"
TEXTS = ["the cat sat", "a red log"]


@pytest.fixture(scope="session")
def directory(tmp_path_factory):
    """A directory as sentence-transformers lays it out, with much that running it does not need."""
    folder = tmp_path_factory.mktemp("hub") / "model"
    write_bundle(folder)
    model = onnx.load(folder / "model.onnx")
    for name in ("lightmine.json", "model.onnx"):
        (folder / name).unlink()
    (folder / "onnx").mkdir()
    onnx.save(model, folder / "onnx/model.onnx")
    onnx.save(
        model, folder / "onnx/model_large.onnx", save_as_external_data=True, size_threshold=100,
        location="model_large.onnx_data",
    )  # fmt: skip
    modules = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
    listed = [{"type": f"sentence_transformers.models.{kind}", "path": path} for kind, path in modules]
    (folder / "1_Pooling").mkdir()
    files = {
        "modules.json": listed,
        "1_Pooling/config.json": {"pooling_mode_mean_tokens": True, "word_embedding_dimension": 8},
        "config.json": {"hidden_size": 8, "max_position_embeddings": 12},
        "tokenizer_config.json": {"model_max_length": 12},
        "vocab.json": {word: i for i, word in enumerate(WORDS)},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# Tiny\n")
    (folder / "pytorch_model.bin").write_bytes(b"weights that nobody needs")
    (folder / "model.safetensors").write_bytes(b"weights that nobody needs")
    return folder


@pytest.fixture
def hub(directory):
    with Hub().serving() as hub:
        hub.commit = hub.add(NAME, directory)
        yield hub


@pytest.fixture
def client(hub, tmp_path):
    """Run the command line, or Python, as a process whose hub is ours and whose cache is its own."""
    cache = tmp_path / "cache"

    def run(*arguments, code=None, cwd=tmp_path, **environment):
        names = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "SYSTEMROOT", "COVERAGE_PROCESS_START")
        env = {name: os.environ[name] for name in names if name in os.environ}
        env |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(cache), "HOME": str(tmp_path), **environment}
        command = ["-c", code] if code else ["-m", "lightmine", *map(str, arguments)]
        return subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, env=env, cwd=cwd, check=False
        )

    return run


@pytest.mark.slow
def test_a_model_is_loaded_by_its_name_with_only_the_files_it_needs(client, hub, directory, tmp_path):
    code = f"""
import json, lightmine
encoder = lightmine.Encoder.load({NAME!r})
m = encoder.manifest
print(json.dumps([m.source, m.revision, m.licence, m.dimension, encoder.encode({TEXTS!r}).tolist()]))
"""
    done = client(code=code)
    assert done.returncode == 0, done.stderr
    source, revision, licence, dimension, vectors = json.loads(done.stdout)
    assert (source, revision, licence, dimension) == (NAME, hub.commit, "mit", 8)
    assert np.abs(Encoder.load(directory).encode(TEXTS) - vectors).max() < 1e-6
    assert sorted(hub.downloaded()) == [
        "1_Pooling/config.json", "README.md", "config.json", "modules.json", "onnx/model.onnx",
        "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    assert hub.tokens == {None}
    # What is in the cache is not fetched again, and needs no hub at all.
    before = len(hub.downloaded())
    assert client(code=code).stdout == done.stdout
    assert len(hub.downloaded()) == before
    asked = len(hub.asked)
    assert client(code=code, HF_HUB_OFFLINE="1").stdout == done.stdout
    assert len(hub.asked) == asked
    assert client(code=code, HF_ENDPOINT="http://127.0.0.1:9").stdout == done.stdout


@pytest.mark.slow
def test_a_revision_is_one_commit_for_good(client, hub, directory, tmp_path):
    changed = shutil.copytree(directory, tmp_path / "changed")
    (changed / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    first, second = hub.commit, hub.add(NAME, changed, revision="v2")
    assert first != second
    for name, expected in ((NAME, first), (f"{NAME}@v2", second), (f"{NAME}@{first}", first)):
        done = client("info", name, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["revision"] == expected
    load = f"lightmine.Encoder.load({NAME!r}, revision='v2')"
    done = client(code=f"import lightmine; print({load}.manifest.licence)")
    assert done.stdout == "apache-2.0\n"
    hub.add(NAME, changed)  # main moves on
    assert json.loads(client("info", NAME, "--json").stdout)["revision"] == second


@pytest.mark.slow
def test_a_file_is_chosen_and_its_weights_come_with_it(client, hub, directory):
    load = f"lightmine.Encoder.load({NAME!r}, file='model_large.onnx')"
    done = client(code=f"import lightmine; print({load}.encode({TEXTS!r}))")
    assert done.returncode == 0, done.stderr
    found = [name for name in hub.downloaded() if name.startswith("onnx/")]
    assert found == ["onnx/model_large.onnx", "onnx/model_large.onnx_data"]
    done = client("pull", NAME, "--file", "model_large.onnx", "-q", HF_HUB_OFFLINE="1")
    assert done.stdout.endswith("/onnx/model_large.onnx\n")
    assert client("info", done.stdout.strip()).returncode == 0
    done = client("pull", NAME, "--file", "model_O9.onnx")
    assert done.returncode == 2
    assert done.stderr == (
        f"lightmine: {NAME}: has no ONNX file model_O9.onnx; name one of these with file: onnx/model.onnx, "
        "onnx/model_large.onnx\n"
    )


def test_pull_leaves_a_folder_that_runs_anywhere(client, hub, directory, tmp_path):
    done = client("pull", NAME, "-o", "mine")
    assert (done.returncode, done.stdout) == (0, "mine\n"), done.stderr
    assert f"lightmine: {NAME} at {hub.commit}: 7 files, 0.0 MB" in done.stderr
    folder = tmp_path / "mine"
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    shutil.rmtree(tmp_path / "cache")
    encoder = Encoder.load(folder)
    assert (encoder.manifest.source, encoder.manifest.revision) == (NAME, hub.commit)
    assert np.abs(encoder.encode(TEXTS) - Encoder.load(directory).encode(TEXTS)).max() < 1e-6
    again = client("pull", NAME, "-o", "mine")
    assert (again.returncode, again.stderr) == (2, "lightmine: mine: exists; name a new folder\n")
    assert sorted(os.listdir(tmp_path)) == ["mine"]


def test_pull_prints_the_folder_that_mining_takes(client, tmp_path):
    folder = client("pull", NAME, "--quiet")
    assert (folder.returncode, folder.stderr) == (0, "")
    (tmp_path / "texts.txt").write_text("the cat sat\na red log\nthe dog sat\n")
    for model in (folder.stdout.strip(), NAME):
        done = client("paraphrase", "texts.txt", "--model", model, "-q", HF_HUB_OFFLINE="1")
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == 4


@pytest.mark.slow
def test_a_bundle_on_a_hub_is_checked_by_its_hashes(client, hub, tmp_path):
    bundle = write_bundle(tmp_path / "bundle")
    (bundle / "notes.txt").write_text("not needed")
    commit = hub.add("someone/bundle", bundle)
    done = client("info", "someone/bundle", "--json")
    assert done.returncode == 0, done.stderr
    manifest = json.loads(done.stdout)
    assert (manifest["hub"], manifest["hub_revision"]) == ("someone/bundle", commit)
    assert sorted(hub.downloaded()) == ["lightmine.json", "model.onnx", "tokenizer.json"]
    altered = bytearray((bundle / "model.onnx").read_bytes())
    altered[-20] ^= 1
    (bundle / "model.onnx").write_bytes(altered)
    hub.add("someone/bundle", bundle)
    done = client("info", "someone/bundle")
    assert done.returncode == 2
    assert f"model.onnx: altered, its SHA-256 is {sha256(bundle / 'model.onnx')[:12]}" in done.stderr


def test_a_token_opens_what_is_private(client, hub):
    hub.private[NAME] = "secret"
    done = client("pull", NAME)
    assert done.returncode == 2
    assert "no such model on the hub for you; check the name, or set HF_TOKEN" in done.stderr
    assert client("pull", NAME, HF_TOKEN="secret").returncode == 0
    assert "Bearer secret" in hub.tokens


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["pull", "someone/unknown"], {}, "someone/unknown: no such folder, and no such model on"),
        (["pull", NAME, "--revision", "v9"], {}, f"{NAME}: has no revision v9"),
        (["pull", f"{NAME}@v9", "--revision", "v8"], {}, f"{NAME}@v9 names a revision, and so does 'v8'"),
        (["pull", "tiny"], {}, "'tiny' is not the name of a hub model: owner/name or owner/name@rev"),
        (["pull", NAME], {"HF_HUB_OFFLINE": "1"}, "cache/hub), and the hub cannot be reached; connect"),
        (["pull", NAME], {"HF_ENDPOINT": "http://127.0.0.1:9"}, "the hub cannot be reached; connect to"),
        (["pull", NAME], {"HF_HOME": "/proc/nowhere"}, "cannot be fetched to /proc/nowhere/hub: "),
        (["info", f"{NAME}@v9"], {}, f"{NAME}: has no revision v9"),
        (["pull", NAME, "-o", "gone/folder"], {}, "gone/folder: cannot be written: No such file"),
    ],
)  # fmt: skip
def test_what_cannot_be_fetched_is_one_line(client, tmp_path, arguments, environment, message):
    done = client(*arguments, **environment)
    assert (done.returncode, done.stdout) == (2, "")
    lines = [line for line in done.stderr.splitlines() if line.startswith("lightmine: ")]
    assert len(lines) == 1
    assert message in lines[0]
    assert "Traceback" not in done.stderr


def test_a_gated_model_says_so(client, hub):
    hub.gated.add(NAME)
    done = client("pull", NAME)
    assert done.returncode == 2
    assert f"{NAME}: is gated; accept its terms on the hub and set HF_TOKEN" in done.stderr


def test_what_is_not_a_sentence_encoder_is_refused_before_its_graph_is_fetched(
    client, hub, directory, tmp_path
):
    other = shutil.copytree(directory, tmp_path / "other")
    shutil.rmtree(other / "onnx")
    hub.add("someone/torch-only", other)
    done = client("pull", "someone/torch-only")
    assert done.returncode == 2
    assert "someone/torch-only: carries no ONNX graph; make a bundle of it with" in done.stderr
    assert "model.safetensors" not in hub.downloaded()


def test_a_path_is_never_asked_of_a_hub(client, hub, tmp_path):
    (tmp_path / "models").mkdir()
    for model in ("models/gone", "./someone/tiny-model", str(tmp_path / "gone")):
        done = client("info", model)
        assert done.returncode == 2
        assert "no such model; give the folder of a bundle" in done.stderr
    assert hub.asked == []


def test_without_the_client_the_install_line_is_given(client):
    code = f"""
import sys
sys.modules["huggingface_hub"] = None
import lightmine
lightmine.Encoder.load().encode(["no hub is needed for this"])
try:
    lightmine.Encoder.load({NAME!r})
except lightmine.LightmineError as error:
    print(type(error).__name__, error)
"""
    done = client(code=code)
    assert done.stdout.startswith("MissingExtraError a hub model needs huggingface_hub"), done.stderr
    assert done.stdout.endswith("pip install 'huggingface-hub>=0.34'\n")
