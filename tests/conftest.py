"""What several tests need: small random models, and Hypothesis settings that suit a shared machine."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from lightmine.errors import install_line
from tests import needs_torch
from tests.offline import sitecustomize as offline
from tests.tiny import write_bundle

SHORT = ["One line.", "Another, somewhat longer line.", "Ein dritter Satz, 3 Wörter mehr als der erste."]

settings.register_profile(
    "lightmine", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("fast", settings.get_profile("lightmine"), max_examples=10)  # make test-fast
settings.load_profile("lightmine")


# Every Python that a test starts loads tests/offline/sitecustomize.py, which refuses the network there too.
os.environ["LIGHTMINE_TESTS_OFFLINE"] = "1"
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(Path(offline.__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
)
offline.install()


def pytest_ignore_collect(collection_path, config):
    """Leave a module marked `torch` unread where its tests would not run: it imports torch at its top."""
    unwanted = "not torch" in config.option.markexpr or not needs_torch.installed()
    if unwanted and collection_path.match("test_*.py") and needs_torch.is_marked(collection_path):
        return True
    return None


# First, so that the marks are there when -m chooses by them.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the tests whose fixtures need torch; without torch, skip them and those marked by hand."""
    for item in items:
        if needs_torch.FIXTURES & set(item.fixturenames):
            item.add_marker(pytest.mark.torch)
        if item.get_closest_marker("torch") and not needs_torch.installed():
            item.add_marker(pytest.mark.skip(reason="needs torch: " + install_line("export")))


def pytest_report_header():
    if not needs_torch.installed():
        return "torch is not installed: the tests marked `torch` are left out (make test installs it)"
    return None


@pytest.fixture(autouse=True)
def no_network():
    """Whatever a test does, it reaches this machine alone; to have tried is to have failed."""
    offline.tried.clear()
    yield
    assert not offline.tried, f"a test tried to reach {offline.tried}"


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory):
    """A bundle of a random eight-dimensional model over whitespace words."""
    return write_bundle(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A small BERT, whole but for having learnt nothing."""
    from tests import small_models

    folder = tmp_path_factory.mktemp("small") / "little-bert"
    small_models.build(folder)
    return folder


@pytest.fixture(scope="session")
def real(tmp_path_factory):
    """The source model, the bundle and its manifest: all-MiniLM-L6-v2 with its real weights."""
    from sentence_transformers import SentenceTransformer

    from lightmine.export.export import export_bundle
    from tests import minilm

    out = tmp_path_factory.mktemp("real") / "bundle"
    manifest = export_bundle(minilm.model_folder(), out)
    return SentenceTransformer(str(minilm.model_folder()), device="cpu"), out, manifest


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


@pytest.fixture(scope="session")
def bodies(tmp_path_factory):
    """One model an architecture, its graph beside it; every test model of a kind has the same body."""
    from tests import small_models
    from tests.onnx_directories import write_graph

    base = tmp_path_factory.mktemp("bodies")
    found = {}
    for kind, side in (("bert", "right"), ("xlm-roberta", "right"), ("qwen3", "left")):
        model = small_models.build(base / kind, architecture=kind, padding_side=side)
        write_graph(model, base / kind / "onnx/model.onnx")
        found[kind] = model
    return base, found


@pytest.fixture
def directory(bodies, tmp_path):
    """A model of these modules after a body, saved with its ONNX graph."""
    from sentence_transformers import SentenceTransformer

    def make(*modules, kind="bert", **options):
        base, found = bodies
        model = SentenceTransformer(modules=[found[kind][0], *modules], device="cpu", **options)
        folder = tmp_path / "model"
        model.save(str(folder), create_model_card=False)
        shutil.copytree(base / kind / "onnx", folder / "onnx")
        return folder, model

    return make
