"""Which tests need the exporter's packages: found in the text of a module, without importing it."""

import ast
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
# The extra `export`, less onnx, which is small and comes with the group `test`.
PACKAGES = frozenset({"optimum", "sentence_transformers", "torch", "transformers"})
# Helpers that a test calls for what needs PACKAGES, or for a real model's weights.
HELPERS = frozenset({"tests.exporting", "tests.minilm"})
# Folders of the repository whose modules may import PACKAGES.
OURS = frozenset({"benchmarks", "export_scripts", "lightmine", "tests"})
# Fixtures of conftest.py that build or load a model with PACKAGES.
FIXTURES = frozenset({"bodies", "real", "small"})
MODULE_MARK = re.compile(r"^pytestmark = .*\bpytest\.mark\.torch\b", re.MULTILINE)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def installed():
    return all(find_spec(name) for name in ("sentence_transformers", "torch", "transformers"))


def is_marked(path):
    """Whether a test module carries the mark as a whole."""
    return bool(MODULE_MARK.search(path.read_text(encoding="utf-8")))


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(node):
    """The dotted names that a module or a function imports itself, its inner functions left out."""
    found = set()
    waiting = [child for child in node.body if not _is_apart(child)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.importorskip":
            found.add(ast.literal_eval(node.args[0]))
        waiting += [child for child in ast.iter_child_nodes(node) if not _is_apart(child)]
    return found


def _is_apart(node):
    """Whether what is in here is not run with what is around it."""
    only_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    return only_types or isinstance(node, FUNCTIONS)


def reach_torch(names):
    """Whether importing these modules imports one of PACKAGES, directly or through modules of OURS."""
    if HELPERS & set(names):
        return True
    seen = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        if name.split(".")[0] in PACKAGES:
            return True
        path = _path(name)
        if name not in seen and path is not None:
            waiting |= _imported_by(path)
        seen.add(name)
    return False


@cache
def _imported_by(path):
    return imports(parse(path))


def _path(name):
    """The file of one of our modules; None for other packages, and for a name inside a module."""
    if name.split(".")[0] not in OURS:
        return None
    base = ROOT / name.replace(".", "/")
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.exists()), None)
