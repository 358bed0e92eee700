"""The notebooks and the scripts of examples/python run, and print what they are committed with."""

import subprocess
import sys

import nbformat
import pytest

from tests.notebooks import FOLDER, NOTEBOOKS, executed

SCRIPTS = sorted(FOLDER.glob("*.py"))


def printed(notebook):
    """What each code cell shows: its texts, and the names of its errors."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return ["".join(_text(output) for output in cell.outputs) for cell in cells]


def _text(output):
    return output.get("text") or output.get("data", {}).get("text/plain") or output.get("ename")


@pytest.fixture
def own_folders(monkeypatch, tmp_path):
    """What Jupyter and IPython keep beside a run goes to a folder of the test."""
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))


def test_both_jobs_have_a_notebook_and_a_script():
    assert [path.stem for path in NOTEBOOKS] == ["bitext", "paraphrases"]
    assert [path.stem for path in SCRIPTS] == ["bitext", "paraphrases"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_prints_what_it_is_committed_with(path, own_folders):
    committed = nbformat.read(path, as_version=4)
    assert any("pairs" in text for text in printed(committed))
    assert printed(executed(path)) == printed(committed), "if this is meant, run make notebooks"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_whole_and_without_traces_of_a_machine(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.language_info == {"name": "python"}
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not any(cell.metadata for cell in notebook.cells)


def run(path, *arguments):
    done = subprocess.run(
        [sys.executable, str(path), *map(str, arguments)], capture_output=True, encoding="utf-8", check=False
    )
    assert done.stderr == ""
    return done.stdout


def test_the_paraphrase_script_shows_counts_the_threshold_and_the_best_pairs():
    lines = run(FOLDER / "paraphrases.py").splitlines()
    assert lines[0] == "50 sentences, vectors of 320 dimensions"
    assert [line.split() for line in lines[3:9]][:3] == [["0.9", "2"], ["0.8", "14"], ["0.7", "20"]]
    assert "the model recommends 0.797; the last pairs over it, and the first under it:" in lines
    best = lines[lines.index("the best pairs:") + 1]
    assert best.startswith("  0.927  How do I fix a flat bicycle tyre?  ")
    assert best.endswith("  How do I repair a flat tyre on my bicycle?")


def test_the_bitext_script_shows_what_has_no_translation_and_the_best_pairs():
    lines = run(FOLDER / "bitext.py").splitlines()
    assert lines[0] == "26 source and 27 target sentences"
    assert "   0.814   0.241  Have you ever seen such a beautiful sunset?" in lines
    assert "24 pairs reach both; the best eight:" in lines
    best = lines.index("24 pairs reach both; the best eight:") + 2
    assert lines[best : best + 2] == [
        "   2.743   0.896  The children are playing football in the garden.",
        "                  Die Kinder spielen im Garten Fußball.",
    ]


def test_the_scripts_take_files(tmp_path):
    (tmp_path / "a.txt").write_text("The cat sleeps.\nIt rains.\nA cat is sleeping.\n", encoding="utf-8")
    (tmp_path / "b.txt").write_text("Es regnet.\nDie Katze schläft.\n", encoding="utf-8")
    assert run(FOLDER / "paraphrases.py", tmp_path / "a.txt").startswith("3 sentences")
    assert run(FOLDER / "bitext.py", tmp_path / "a.txt", tmp_path / "b.txt").startswith(
        "3 source and 2 target"
    )
