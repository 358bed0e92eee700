"""The site of the documents: what it is made of, its reference, and the checks of its links."""

import importlib

import click
import pytest

from supply.numpydoc import Docstring
from supply.reference import MODULES, api_page, cli_page, commands, public_names
from supply.site import GENERATED, places, relinked, stage
from supply.site_links import broken, remote
from tests.documents import ROOT, anchors, blocks, files_named, is_command


def page(body):
    return f"<html><head></head><body>{body}</body></html>"


@pytest.fixture
def site(tmp_path):
    (tmp_path / "guides").mkdir()
    (tmp_path / "index.html").write_text(page('<a href="guides/files.html#limits">limits</a>'))
    (tmp_path / "guides/files.html").write_text(page('<h2 id="limits">Limits</h2><a href="../">home</a>'))
    return tmp_path


def test_a_site_whose_links_lead_somewhere_passes(site):
    assert broken(site) == []


@pytest.mark.parametrize(("address", "told"), [
    ("guides/file.html", "index.html: guides/file.html leads to no file"),
    ("guides/files.html#limit", "index.html: guides/files.html#limit leads to no anchor"),
    ("#top", "index.html: #top leads to no anchor"),
    ("../secret.html", "index.html: ../secret.html leads to no file"),
])  # fmt: skip
def test_a_link_that_leads_nowhere_is_told(site, address, told):
    (site / "index.html").write_text(page(f'<a href="{address}">there</a>'))
    assert broken(site) == [told]


def test_what_a_page_would_fetch_from_elsewhere_is_told(site):
    (site / "index.html").write_text(page(
        '<script src="https://cdn.example/x.js"></script><link rel="stylesheet" href="//fonts.example/x.css">'
        '<a href="https://example.org">a link is followed by a person</a><img src="data:image/png;base64,">'
    ))  # fmt: skip
    assert remote(site) == [
        "index.html: https://cdn.example/x.js would be fetched from elsewhere",
        "index.html: //fonts.example/x.css would be fetched from elsewhere",
    ]


def test_links_to_other_documents_lead_to_their_place_on_the_site():
    text = (
        "[c](../../CONTRIBUTING.md#set-up) [m](../../models/static-tiny/README.md) [r](../../README.md) "
        "[x](files.md)"
    )
    pages = places(ROOT) | {"docs/guides/bitext.md": "guides/bitext.md"}
    assert relinked(text, "docs/guides/bitext.md", pages) == (
        "[c](../project/CONTRIBUTING.md#set-up) [m](../project/models/static-tiny/README.md) "
        "[r](../index.md) [x](files.md)"
    )


def test_links_in_code_stay_as_they_are():
    text = "```text\n[a](../lightmine/errors.py)\n```\n"
    assert relinked(text, "docs/faq.md", {"docs/faq.md": "faq.md"}) == text


PAGE = """# Page

<!-- not run: needs a network -->

```sh
lightmine pull owner/name
```

```sh
# a comment
lightmine info
```

```text
model
...
```

<!-- not run -->
```python
>>> 1
```
"""


def test_blocks_of_a_page_know_why_they_are_not_run_and_what_they_print():
    pull, info, output, python = blocks(PAGE)
    assert (pull.not_run, info.not_run, python.not_run) == ("needs a network", None, "")
    assert (pull.output, info.output) == (None, "model\n...\n")
    assert [is_command(block) for block in (pull, info, output, python)] == [True, True, False, False]
    assert (pull.line, info.line) == (5, 9)


def test_anchors_are_those_that_code_hosts_make():
    text = "# Which threshold?\n## `--target`: x86\n```sh\n# no heading\n```\n## Which threshold?\n"
    assert anchors(text) == {"which-threshold", "--target-x86", "which-threshold-1"}


def test_files_that_a_document_names_are_found_in_code_marks_and_blocks():
    text = "See `lightmine/errors.py` and `python tests/oracle.py::x`.\n```sh\ncat docs/faq.md a/b.txt\n```\n"
    assert sorted(files_named(text)) == ["docs/faq.md", "lightmine/errors.py", "tests/oracle.py"]


def test_the_site_is_made_of_every_document(tmp_path):
    stage(ROOT, tmp_path / "docs")
    made = {path.relative_to(tmp_path / "docs").as_posix() for path in (tmp_path / "docs").rglob("*.md")}
    assert made >= {"faq.md", "project/SECURITY.md", "project/models/static-tiny/README.md", *GENERATED}


def test_the_reference_has_every_command_and_option():
    from lightmine.cli import cli

    text = cli_page()
    for context, _ in commands(cli, "lightmine"):
        assert f"# {context.command_path}\n" in text
        part = text.split(f"# {context.command_path}\n")[1].split("\n## ")[0]
        for parameter in context.command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert all(name in part for name in parameter.opts), (context.command_path, parameter.name)


def test_the_reference_has_every_public_name():
    text = api_page()
    for name in MODULES:
        for public in public_names(importlib.import_module(name)):
            assert f"### {public}\n" in text, public
    assert all(block.text.strip() for block in blocks(text))


def test_a_signature_shows_defaults_and_what_is_keyword_only():
    assert "mine_paraphrases(\n    x: ArrayLike,\n    other: ArrayLike | None = None,\n    *,\n" in api_page()


def test_sections_of_a_docstring_become_lists():
    found = Docstring(
        "Does it.\n\nParameters\n----------\nx : array of shape (n, d)\n    Rows.\n"
        "*more, **options\n    The rest.\n\n"
        "Returns\n-------\nint\n    How many.\n\nNotes\n-----\nA ``code`` and 2 * 3.\n"
    )
    assert found.markdown() == [
        "Does it.", "**Parameters**",
        "- **`x`** array of shape (n, d). Rows.\n- `*more, **options`. The rest.",
        "**Returns**", "- `int`. How many.", "**Notes**", "A `code` and 2 \\* 3.",
    ]  # fmt: skip
