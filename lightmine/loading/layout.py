"""Which files a model's directory has, as sentence-transformers and optimum write it.

::

    modules.json                      the modules in their order; absent in optimum's own exports
    onnx/model.onnx or model.onnx     the graph, also model_O4.onnx, model_qint8_avx512.onnx and others
    tokenizer.json, config.json, tokenizer_config.json, sentence_bert_config.json
    1_Pooling/config.json, 2_Dense/config.json, 2_Dense/model.safetensors ...

The oldest versions have the transformer's files in ``0_Transformer``. Functions here call that folder
``inner``; it is empty if the transformer's files are in the root.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lightmine.errors import BundleError
from lightmine.loading.bundle import TOKENIZER
from lightmine.untrusted.model_paths import check_inside, is_inside, read_json

MODULES = "modules.json"
CARD = "README.md"
# Settings of the transformer; the name of the file depends on the class, and a model has at most one of them.
SENTENCE_SETTINGS = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
# Files of the transformer, in its own folder or in the root.
TRANSFORMER_FILES = ("config.json", TOKENIZER, "tokenizer_config.json", *SENTENCE_SETTINGS)
ROOT_FILES = (MODULES, "config_sentence_transformers.json", CARD)
CONFIG, WEIGHTS = "config.json", "model.safetensors"
# Files of the other modules, by kind; a kind that is not listed has its settings alone.
MODULE_FILES = {"Dense": (CONFIG, WEIGHTS), "LayerNorm": (CONFIG, WEIGHTS)}
# Where to look for a graph in the transformer's folder: the folders, then the name if none is given.
GRAPH_FOLDERS = ("", "onnx/")
GRAPH = "model.onnx"
# As deep as any layout goes: 0_Transformer/onnx/model.onnx.
PATTERNS = ("*", "*/*", "*/*/*")
# Types of the settings that are used, besides null. Other settings are checked by the code that reads them.
KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("modality_config", "tokenizer_args", "processor_kwargs", "prompts"), (dict,)),
    **dict.fromkeys(("text", "processing_kwargs"), (dict, str, list)),
    **dict.fromkeys(
        ("default_prompt_name", "similarity_fn_name", "activation_function", "module_input_name",
         "module_output_name", "padding_side", "truncation_side", "model_type", "transformer_task"), (str,),
    ),
    "max_seq_length": (int,),
    "pooling_mode": (str, list),
}  # fmt: skip
JSON_KINDS = {dict: "an object", list: "a list", str: "a text", int: "a whole number"}


@dataclasses.dataclass(frozen=True)
class ModuleEntry:
    """An entry of `modules.json`: a Python class, and the folder of its settings."""

    type: str
    path: str

    @property
    def kind(self) -> str:
        """The class's name, without its module for those of sentence-transformers, which has moved them."""
        return self.type.split(".")[-1] if self.type.startswith("sentence_transformers.") else self.type


def holds_graphs(folder: Path) -> bool:
    """Whether a folder is a model directory, complete or not."""
    usual = (name for pattern in ("*.onnx", "onnx/*.onnx") for name in folder.glob(pattern))
    return (folder / MODULES).is_file() or next(usual, None) is not None


def graph_names(folder: Path) -> list[str]:
    """Every ONNX file of a folder, by its path in the folder."""
    return [name for name in model_files(folder) if name.endswith(".onnx")]


def model_files(folder: Path) -> list[str]:
    """All files of a model's folder, by their paths in the folder."""
    found = (path for pattern in PATTERNS for path in folder.glob(pattern) if os.path.isfile(path))
    return sorted(path.relative_to(folder).as_posix() for path in found)


def needed_files(module_list: list[ModuleEntry]) -> set[str]:
    """Every file besides the graph that a model may have, given its modules, the transformer first."""
    inner = module_list[0].path if module_list else ""
    files = {*ROOT_FILES, *TRANSFORMER_FILES, *(f"{inner}/{name}" for name in TRANSFORMER_FILES if inner)}
    for module in module_list[1:]:
        files |= {f"{module.path}/{name}" for name in MODULE_FILES.get(module.kind, (CONFIG,))}
    return files


def read_module_list(folder: Path) -> list[ModuleEntry]:
    """The entries of `modules.json`, of which the first is a Transformer; none if there is no such file."""
    listed: list[Any] = read_settings(folder, MODULES, kind=list)
    module_list = []
    for entry in listed:
        if not isinstance(entry, dict) or not isinstance(entry.get("type"), str):
            raise BundleError(f"{folder / MODULES}: an entry without a type: {entry!r}")
        if not isinstance(entry.get("path") or "", str):
            raise BundleError(f"{folder / MODULES}: a path that is no text: {entry['path']!r}")
        module_list.append(ModuleEntry(entry["type"], entry.get("path") or ""))
        if not is_inside(module_list[-1].path):
            raise BundleError(f"{folder / MODULES}: the path {module_list[-1].path!r} leads out of the model")
        check_inside(folder, module_list[-1].path)
    if module_list and module_list[0].kind != "Transformer":
        raise BundleError(
            f"{folder}: its first module is {module_list[0].type}, and only a Transformer has an ONNX graph"
        )
    return module_list


def choose_graph(names: Iterable[str], *, folder: str, file: str | None, inner: str = "") -> str:
    """Which of a model's ONNX files to run: the given one, the usual one, or the only one.

    Examples
    --------
    >>> names = ["onnx/model.onnx", "onnx/model_O4.onnx"]
    >>> choose_graph(names, folder="x", file=None), choose_graph(names, folder="x", file="model_O4.onnx")
    ('onnx/model.onnx', 'onnx/model_O4.onnx')
    """
    names = sorted(name for name in names if name.endswith(".onnx"))
    if not names:
        raise BundleError(f"{folder}: carries no ONNX graph; make a bundle of it with: lightmine export")
    roots = ["", *([inner + "/"] if inner else [])]
    candidates = [root + part + (file or GRAPH) for root in roots for part in GRAPH_FOLDERS]
    if file is None and len(names) == 1:
        candidates += names
    for name in candidates:
        if name in names:
            return name
    what = f"has no ONNX file {file}" if file else "has several ONNX files and none is the usual one"
    raise BundleError(f"{folder}: {what}; name one of these with file: {', '.join(names)}")


def transformer_file(folder: Path, inner: str, name: str) -> Path:
    """A file of the transformer: in its own folder, or in the root."""
    own = folder / inner / name
    return own if own.is_file() else folder / name


def transformer_settings(folder: Path, inner: str, name: str, *, needed: bool = False) -> dict[str, Any]:
    """A JSON file of the transformer's settings."""
    settings: dict[str, Any] = read_settings(
        transformer_file(folder, inner, name).parent, name, needed=needed
    )
    return settings


def read_settings(folder: Path, name: str, *, kind: type = dict, needed: bool = False) -> Any:
    """A JSON file of settings; empty if there is none and none is needed."""
    try:
        check_inside(folder, name)
        found = read_json(folder / name)
    except FileNotFoundError:
        if needed:
            raise BundleError(f"{folder}: has no {name}; copy or fetch the whole model again") from None
        return kind()
    if not isinstance(found, kind):
        raise BundleError(f"{folder / name}: a JSON {'object' if kind is dict else 'list'} is needed")
    stated: dict[str, Any] = found if isinstance(found, dict) else {}
    for key in KINDS.keys() & stated:
        if stated[key] is not None and not isinstance(stated[key], KINDS[key]):
            kinds = " or ".join(JSON_KINDS[each] for each in KINDS[key])
            raise BundleError(f"{folder / name}: {key} must be {kinds}, not {stated[key]!r}")
    return found
