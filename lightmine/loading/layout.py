"""Where the files of a model's directory are, as sentence-transformers and optimum lay them out.

::

    modules.json                      the modules, one after another; absent in optimum's own exports
    onnx/model.onnx or model.onnx     the graph, also model_O4.onnx, model_qint8_avx512.onnx and others
    tokenizer.json, config.json, tokenizer_config.json, sentence_bert_config.json
    1_Pooling/config.json, 2_Dense/config.json, 2_Dense/model.safetensors ...

The oldest have the transformer and its files in ``0_Transformer``.
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
# Settings of the transformer by the name of its file, of which a model has at most one.
SENTENCE_SETTINGS = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
# Beside the transformer, or in the root.
BODY_FILES = ("config.json", TOKENIZER, "tokenizer_config.json", *SENTENCE_SETTINGS)
ROOT_FILES = (MODULES, "config_sentence_transformers.json", CARD)
# Settings that are used by name, and what else than null they can be; others are looked at where they count.
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
# Where a graph is looked for when none is named, as sentence-transformers does.
GRAPHS = ("model.onnx", "onnx/model.onnx")


@dataclasses.dataclass(frozen=True)
class ModuleEntry:
    """A line of `modules.json`: a Python class, and the folder of its settings."""

    type: str
    path: str

    @property
    def kind(self) -> str:
        """The class's last name where it is sentence-transformers' own; its place in there has changed."""
        return self.type.split(".")[-1] if self.type.startswith("sentence_transformers.") else self.type


def holds_graphs(folder: Path) -> bool:
    """Whether a folder is meant as a model directory, if not necessarily a whole one."""
    usual = (name for pattern in ("*.onnx", "onnx/*.onnx") for name in folder.glob(pattern))
    return (folder / MODULES).is_file() or next(usual, None) is not None


def graph_names(folder: Path) -> list[str]:
    """Every ONNX file of a folder, by its path within."""
    return [name for name in model_files(folder) if name.endswith(".onnx")]


def model_files(folder: Path) -> list[str]:
    """Files of a model's folder by their paths within, as deep as any layout goes: 0_Transformer/onnx."""
    deep = ("*", "*/*", "*/*/*")
    found = (path for pattern in deep for path in folder.glob(pattern) if os.path.isfile(path))
    return sorted(path.relative_to(folder).as_posix() for path in found)


def read_module_list(folder: Path) -> list[ModuleEntry]:
    """The modules of `modules.json`, its first a Transformer; none where there is no such file."""
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


def choose_graph(names: Iterable[str], *, folder: str, file: str | None, body: str = "") -> str:
    """Which of a model's ONNX files to run: the one asked for, the usual one, or the only one.

    Examples
    --------
    >>> names = ["onnx/model.onnx", "onnx/model_O4.onnx"]
    >>> choose_graph(names, folder="x", file=None), choose_graph(names, folder="x", file="model_O4.onnx")
    ('onnx/model.onnx', 'onnx/model_O4.onnx')
    """
    names = sorted(name for name in names if name.endswith(".onnx"))
    roots = ["", *([body + "/"] if body else [])]
    if not names:
        raise BundleError(f"{folder}: carries no ONNX graph; make a bundle of it with: lightmine export")
    if file is not None:
        wanted = [root + part + file for root in roots for part in ("", "onnx/")]
    else:
        wanted = [root + part for root in roots for part in GRAPHS]
        wanted += names if len(names) == 1 else []
    for name in wanted:
        if name in names:
            return name
    what = f"has no ONNX file {file}" if file else "has several ONNX files and none is the usual one"
    raise BundleError(f"{folder}: {what}; name one of these with file: {', '.join(names)}")


def body_file(folder: Path, body: str, name: str) -> Path:
    """A file of the transformer: in its own folder, or in the root."""
    beside = folder / body / name
    return beside if beside.is_file() else folder / name


def body_settings(folder: Path, body: str, name: str, *, needed: bool = False) -> dict[str, Any]:
    """The same, as settings."""
    settings: dict[str, Any] = read_settings(body_file(folder, body, name).parent, name, needed=needed)
    return settings


def read_settings(folder: Path, name: str, *, kind: type = dict, needed: bool = False) -> Any:
    """A JSON file of settings; empty where there is none and none is needed."""
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
