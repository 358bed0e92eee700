"""The walls of the house: who may import whom, and what is public."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lightmine

PACKAGE = Path(lightmine.__file__).parent

# What each folder or module of the package may import of the others, besides `errors` and itself.
# The text side (io, text, untrusted, loading, encoder) and the engine do not know each other.
BASE = {"_validation", "system", "progress", "results", "summation"}
MAY_IMPORT = {
    "errors": set(),
    "_validation": set(),
    "progress": {"_validation"},
    "results": set(),
    "summation": set(),
    "system": set(),
    "untrusted": set(),
    "io": {*BASE},
    "text": {*BASE, "io"},
    "loading": {*BASE, "untrusted"},
    "encoder": {*BASE, "untrusted", "loading"},
    "store": {*BASE, "encoder"},
    "engine": {*BASE, "untrusted"},
    "search": {*BASE, "engine"},
    "paraphrase": {*BASE, "engine"},
    "bitext": {*BASE, "engine", "search", "untrusted", "io", "text"},
    "calibration": {*BASE, "engine", "search", "bitext"},
    "evaluation": {*BASE, "engine", "search"},
    "doctor": {*BASE, "engine", "search", "encoder"},
    "lightmine": {"encoder", "engine", "search", "paraphrase", "bitext"},
}
# The exporter reads models as the encoder does, and measures what it has written.
MAY_IMPORT["export"] = {*BASE, "untrusted", "loading", "encoder", "evaluation"}
# The command line joins the two sides.
MAY_IMPORT["cli"] = set(MAY_IMPORT)
MAY_IMPORT["__main__"] = {"cli"}
# Whatever turns a file into code, and its friends.
UNPICKLING = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
FORBIDDEN = {
    *UNPICKLING,
    "torch",
    "transformers",
    "optimum",
    "sentence_transformers",
    "onnx",
    "sklearn",
    "sentencepiece",
}
# What the exporter alone may import, and only the command of its name may import the exporter.
EXPORTER = {
    "torch", "transformers", "optimum", "sentence_transformers", "onnx",
    "onnxruntime", "threadpoolctl", "tokenizers", "huggingface_hub", "sentencepiece",
}  # fmt: skip
# Heavy dependencies and the only files that may import them.
ONLY_IN = {
    "onnxruntime": {"lightmine.encoder.onnx_runtime"},
    "openvino": {"lightmine.encoder.openvino_provider"},
    "threadpoolctl": {"lightmine.engine.pool"},
    "tokenizers": {"lightmine.encoder.tokenizer"},
    "huggingface_hub": {"lightmine.loading.hub"},
    "click": {"lightmine.cli", "lightmine.cli.evaluate"},
    "tqdm": {"lightmine.progress"},
    "scipy": {"lightmine.bitext.assignment"},
    "matplotlib": {"lightmine.cli._plot"},
    "pyarrow": {"lightmine.results", "lightmine.io.parquet"},
    "zstandard": {"lightmine.io.compression"},
    "fsspec": {"lightmine.io.sources"},
}


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        yield name, path


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module


def folder_of(name):
    """The folder or module right under the package that a dotted name belongs to."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "lightmine"


def test_imports_point_one_way():
    for name, path in modules():
        folder = folder_of(name)
        assert folder in MAY_IMPORT, f"{name} has no place in the architecture"
        for imported in imports(path):
            if imported.split(".")[0] == "lightmine":
                other = folder_of(imported)
                allowed = {folder, "errors", *MAY_IMPORT[folder]}
                assert other in allowed, f"{name} imports {imported}"


def test_no_two_folders_import_each_other():
    reached = {}

    def visit(folder, above):
        assert folder not in above, f"{' -> '.join([*above, folder])}"
        if folder not in reached:
            reached[folder] = True
            for other in MAY_IMPORT[folder] - {folder}:
                visit(other, [*above, folder])

    visit("lightmine", [])
    for folder in set(MAY_IMPORT) - {"cli"}:
        visit(folder, [])


def test_heavy_dependencies_stay_in_their_files_and_torch_out_of_the_house():
    for name, path in modules():
        for imported in imports(path):
            top = imported.split(".")[0]
            if folder_of(name) == "export" and top in EXPORTER:
                continue
            assert top not in FORBIDDEN, f"{name} imports {imported}"
            allowed = ONLY_IN.get(top)
            assert allowed is None or name in allowed or name.rsplit(".", 1)[0] in allowed, (
                f"{name}: {imported}"
            )


def test_only_the_command_of_its_name_imports_the_exporter_and_only_when_it_runs():
    importers = {
        name
        for name, path in modules()
        for imported in imports(path)
        if imported.startswith("lightmine.export") and folder_of(name) != "export"
    }
    assert importers == {"lightmine.cli.export"}
    code = """
import sys
import lightmine.cli.export, lightmine.doctor, lightmine.evaluation
loaded = [name for name in sys.modules if name.startswith("lightmine.export")]
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_help_of_the_exporter_needs_imports_no_torch_and_no_onnx():
    # The command that the module runs, its options, and the error that names what is missing.
    code = """
import sys
import lightmine.export.command, lightmine.export.verify
loaded = {"torch", "transformers", "sentence_transformers", "onnx", "optimum"} & set(sys.modules)
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nothing_is_unpickled_or_run_out_of_a_file():
    for name, path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            assert called not in {"eval", "exec", "compile", "__import__"}, f"{name}: {called}"
            # Where NumPy reads or writes whole files, it is told so each time, whatever its default is.
            allowed = {word.arg: ast.unparse(word.value) for word in node.keywords}.get("allow_pickle")
            if called in {"np.load", "np.lib.format.read_array", "np.lib.format.open_memmap", "np.savez",
                          "np.save", "np.savez_compressed", "np.lib.format.write_array"}:  # fmt: skip
                assert allowed == "False", f"{name}: {called} without allow_pickle=False"
            assert allowed in (None, "False"), f"{name}: {called}"


def test_importing_lightmine_loads_no_runtime_and_changes_nothing():
    code = """
import os, sys, logging
before = dict(os.environ), len(logging.root.handlers)
import lightmine
heavy = {"numpy", "onnxruntime", "torch", "transformers", "huggingface_hub", "click", "tqdm"}
loaded = heavy & set(sys.modules)
assert not loaded, loaded
assert before == (dict(os.environ), len(logging.root.handlers))
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_mining_and_encoding_load_nothing_of_torch():
    code = """
import sys
import lightmine
x = lightmine.Encoder.load().encode(["one", "two"])
lightmine.mine_paraphrases(x)
lightmine.mine_bitext(x, x)
loaded = FORBIDDEN & set(sys.modules)
assert not loaded, loaded
"""
    forbidden = f"FORBIDDEN = {FORBIDDEN - UNPICKLING | {'huggingface_hub', 'scipy', 'matplotlib'}}"
    subprocess.run([sys.executable, "-c", forbidden + code], check=True)


PUBLIC = {
    "lightmine": [
        "Bitext", "Corpus", "Encoder", "LightmineError", "Neighbors", "Pairs", "__version__",
        "mine_bitext", "mine_paraphrases", "neighbors", "retrieve", "score_bitext", "unit_rows",
    ],
    "lightmine.store": ["Cache", "Embeddings", "open_embeddings", "write_embeddings"],
    "lightmine.evaluation": [
        "Correlation", "MiningQuality", "RetrievalAccuracy", "average_ranks", "bitext_mining",
        "paraphrase_mining", "retrieval_accuracy", "similarity_correlation", "transitive_closure",
    ],
    "lightmine.errors": [
        "ArgumentError", "BudgetError", "BundleError", "LightmineError", "MatrixError", "MissingExtraError",
        "OutputError", "RowIndexError", "StoreError", "TextError",
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLIC)
def test_the_public_names_are_these(name):
    module = importlib.import_module(name)
    assert sorted(module.__all__) == PUBLIC[name]
    for public in module.__all__:
        assert public.startswith("__") or getattr(module, public).__doc__


def test_the_public_modules_are_named():
    named = re.search(r"The public modules are (.*?);", lightmine.__doc__, re.DOTALL)[1]
    assert re.findall(r"`([\w.]+)`", named) == list(PUBLIC)
    assert "internal" in lightmine.__doc__


def test_files_are_of_one_idea():
    for name, path in modules():
        assert len(path.read_text().splitlines()) <= 400, f"{name} has grown past one idea"


def test_every_error_is_in_the_tree_and_drawn_in_it():
    from lightmine import errors

    for name, thing in vars(errors).items():
        if isinstance(thing, type) and thing.__module__ == errors.__name__:
            assert issubclass(thing, lightmine.LightmineError)
            assert name in errors.__doc__
