"""The mark `torch`: make test-fast runs where no torch is, so what needs it must say so."""

import ast

import pytest

from tests import conftest, needs_torch
from tests.needs_torch import FUNCTIONS, ROOT, imports, is_marked, parse, reach_torch

MODULES = sorted((ROOT / "tests").rglob("test_*.py"))
MARK = "pytest.mark.torch"


def takes(function):
    return {argument.arg for argument in function.args.args}


def in_need_of_torch(tree):
    """The tests of a module that import torch in their body, or by a fixture of the module."""
    functions = [node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)]
    needing = {f.name for f in functions if reach_torch(imports(f))}
    while more := {f.name for f in functions if takes(f) & needing} - needing:
        needing |= more
    return [f for f in functions if f.name in needing and f.name.startswith("test_")]


def unmarked(path):
    """What of this module needs torch and does not carry the mark: the module, or some of its tests."""
    if is_marked(path):
        return []
    tree = parse(path)
    if reach_torch(imports(tree)):
        return [path.name]
    found = in_need_of_torch(tree)
    return [f"{path.name}::{f.name}" for f in found if MARK not in map(ast.unparse, f.decorator_list)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_what_imports_torch_carries_the_mark(path):
    assert unmarked(path) == []


@pytest.mark.parametrize(
    "text",
    [
        "import torch\n",
        "from torch import nn\n",
        "if True:\n    import transformers.models\n",
        "from tests import small_models\n",
        "from tests.exporting import refused\n",
        "from tests import minilm\n",
        "from tests.loading.test_directory import build\n",
    ],
)
def test_a_module_that_imports_torch_without_the_mark_is_found(tmp_path, text):
    path = tmp_path / "test_x.py"
    path.write_text(text, encoding="utf-8")
    assert unmarked(path) == ["test_x.py"]
    path.write_text(f"{text}\npytestmark = pytest.mark.torch\n", encoding="utf-8")
    assert unmarked(path) == []


@pytest.mark.parametrize(
    "body",
    [
        "    import sentence_transformers\n",
        "    torch = pytest.importorskip('torch')\n",
        "    from tests.fixed import FixedVectors\n",
    ],
)
def test_a_test_that_imports_torch_without_the_mark_is_found(tmp_path, body):
    path = tmp_path / "test_x.py"
    path.write_text(f"def test_a():\n{body}\ndef test_b():\n    import numpy\n", encoding="utf-8")
    assert unmarked(path) == ["test_x.py::test_a"]
    path.write_text(f"@{MARK}\ndef test_a():\n{body}", encoding="utf-8")
    assert unmarked(path) == []


def test_a_test_whose_fixture_imports_torch_is_found(tmp_path):
    path = tmp_path / "test_x.py"
    path.write_text(
        "def model():\n    import torch\ndef larger(model):\n    pass\ndef test_a(larger):\n    pass\n",
        encoding="utf-8",
    )
    assert unmarked(path) == ["test_x.py::test_a"]


def test_imports_for_type_checkers_alone_need_no_mark(tmp_path):
    path = tmp_path / "test_x.py"
    path.write_text("if TYPE_CHECKING:\n    import torch\n", encoding="utf-8")
    assert unmarked(path) == []


def test_every_fixture_of_conftest_that_imports_torch_is_known():
    functions = [node for node in parse(ROOT / "tests/conftest.py").body if isinstance(node, FUNCTIONS)]
    needing = {
        f.name for f in functions for g in ast.walk(f) if isinstance(g, FUNCTIONS) and reach_torch(imports(g))
    }
    marked = needs_torch.FIXTURES
    assert needing - marked == {f.name for f in functions if f.name in needing and takes(f) & marked}


@pytest.mark.parametrize(("fixtures", "expected"), [(["tmp_path", "real"], True), (["tmp_path"], False)])
def test_a_test_that_uses_such_a_fixture_is_marked(request, fixtures, expected):
    item = pytest.Function.from_parent(request.node.parent, name="test_x", callobj=lambda: None)
    item.fixturenames[:] = fixtures
    conftest.pytest_collection_modifyitems([item])
    assert (item.get_closest_marker("torch") is not None) == expected


def test_modules_with_the_mark_are_not_imported_where_it_is_not_wanted(request, monkeypatch):
    marked, plain = ROOT / "tests/export/test_export.py", ROOT / "tests/bitext/test_margin.py"
    monkeypatch.setattr(request.config.option, "markexpr", "not torch and not slow")
    assert conftest.pytest_ignore_collect(marked, request.config) is True
    assert conftest.pytest_ignore_collect(plain, request.config) is None
