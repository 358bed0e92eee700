"""What the documents promise is run."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

from tests.test_architecture import modules

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", [name for name, _ in modules() if not name.endswith("__main__")])
def test_examples_in_docstrings_run(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


@pytest.mark.parametrize("name", ["README.md", "docs/guides/embeddings.md"])
def test_the_documents_python_runs_and_prints_what_it_says(name):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        if ">>>" in block:
            test = doctest.DocTestParser().get_doctest(block, {}, name, name, 0)
            assert doctest.DocTestRunner().run(test).failed == 0


def test_public_functions_have_examples():
    import lightmine

    for name in lightmine.__all__:
        thing = getattr(lightmine, name)
        if callable(thing) and name not in ("LightmineError", "Bitext", "Neighbors"):
            assert ">>>" in thing.__doc__, name


def test_links_in_the_documents_lead_somewhere():
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\((?!http|#)([^)#]+)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
