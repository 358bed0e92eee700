"""Open a model directory with an ONNX graph, as sentence-transformers and optimum write it.

Nothing is guessed: what the files do not say, or what cannot be honoured exactly, is refused by name.
`layout` lists the files.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from lightmine.errors import ArgumentError, BundleError, one_line
from lightmine.loading.bundle import TOKENIZER, Manifest, check_values
from lightmine.loading.graph_output import check_inputs, choose_output
from lightmine.loading.layout import (
    CARD,
    MODULES,
    ModuleEntry,
    choose_graph,
    graph_names,
    read_module_list,
    read_settings,
    transformer_file,
    transformer_settings,
)
from lightmine.loading.module_reader import read_modules, read_pooling
from lightmine.loading.modules import Module, Normalize, Pooling, PostProcessing, Truncate
from lightmine.loading.resolved_model import ResolvedModel
from lightmine.loading.tokenizer_settings import read_tokenizer_settings
from lightmine.untrusted.model_paths import own_file
from lightmine.untrusted.onnx_header import BATCH_SCALED, FLOAT16, Graph, check_weights, read_graph

# On these targets the product of signed and unsigned 8-bit values does not overflow; on other x86 it does.
WIDE_INT8 = ("vnni", "amx", "arm64")
INT8_OPERATORS = BATCH_SCALED | {"QLinearMatMul", "MatMulInteger", "DequantizeLinear"}


def open_directory(
    folder: Path, *, name: str, revision: str | None, file: str | None, pooling: str | None
) -> ResolvedModel:
    """Read everything that the runtime must know about a directory's model.

    Raises
    ------
    BundleError
        A file is missing or broken, or something of the model cannot be honoured exactly.
    """
    module_list = read_module_list(folder)
    inner = module_list[0].path if module_list else ""
    graph_name = choose_graph(graph_names(folder), folder=str(folder), file=file, inner=inner)
    graph = read_graph(own_file(folder, graph_name))
    config = transformer_settings(folder, inner, "config.json", needed=True)
    check_inputs(folder / graph_name, graph)
    check_weights(folder / graph_name, graph)
    settings = read_settings(folder, "config_sentence_transformers.json")
    modules = (*_modules(folder, module_list, pooling), *_truncation(folder, settings))
    post_processing = choose_output(folder / graph_name, graph, config, modules)
    tokenizing = read_tokenizer_settings(folder, inner, config)
    tokenizer = transformer_file(folder, inner, TOKENIZER)
    if not tokenizer.is_file():
        raise BundleError(f"{folder}: has no {TOKENIZER}, the only format that is read; save a fast one")
    manifest = Manifest(
        name=one_line(name.split("/")[-1]),
        source=name,
        revision=revision,
        licence=_licence(folder),
        max_tokens=tokenizing.max_tokens,
        # Some models state -1 for none. Padding is masked, so any token is right.
        pad_token_id=max(padding, 0) if isinstance(padding := config.get("pad_token_id"), int) else 0,
        padding_side=tokenizing.padding_side,
        include_prompt=all(module.include_prompt for module in modules if isinstance(module, Pooling)),
        recipe=f"{graph_name}, as it came",
        **_graph_fields(graph, post_processing),
        **_prompt_fields(folder, settings),
    )
    check_values(vars(manifest) if manifest.dimension else vars(manifest) | {"dimension": 1}, folder)
    return ResolvedModel(
        folder=folder,
        manifest=manifest,
        graph=folder / graph_name,
        tokenizer=tokenizer,
        post_processing=post_processing,
        lower_case=tokenizing.lower_case,
    )


def _modules(folder: Path, module_list: list[ModuleEntry], pooling: str | None) -> tuple[Module, ...]:
    if not module_list:
        return (read_pooling(pooling),) if pooling else ()
    if pooling:
        raise ArgumentError(f"{folder}: {MODULES} says how to pool; drop pooling={pooling!r}")
    return read_modules(folder, module_list[1:])


def _truncation(folder: Path, settings: dict[str, Any]) -> tuple[Module, ...]:
    dimension = settings.get("truncate_dim")
    if not isinstance(dimension, int):
        return ()
    if dimension < 1:
        raise BundleError(f"{folder}: truncate_dim must be at least 1, not {dimension}")
    return (Truncate(dimension),)


def _graph_fields(graph: Graph, post_processing: PostProcessing) -> dict[str, Any]:
    """The manifest's fields that follow from the graph and the modules after it."""
    modules = post_processing.modules
    modes: tuple[str, ...] = next((module.modes for module in modules if isinstance(module, Pooling)), ())
    return {
        "dimension": post_processing.dimension,
        "pooling": "+".join(modes) or "in the graph",
        "normalize": any(isinstance(module, Normalize) for module in modules),
        "inputs": tuple(value.name for value in graph.inputs),
        "output": post_processing.output,
        "precision": _precision(graph, post_processing.output),
        "batch": "independent" if graph.operators & BATCH_SCALED else "any",
        "cpus": WIDE_INT8 if graph.wide_int8 else (),
    }


def _precision(graph: Graph, output: str) -> str:
    if graph.operators & INT8_OPERATORS:
        return "int8"
    half = any(value.name == output and value.element == FLOAT16 for value in graph.outputs)
    return "fp16" if half else "fp32"


def _prompt_fields(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """The manifest's fields that `config_sentence_transformers.json` states."""
    prompts = settings.get("prompts") or {}
    default = settings.get("default_prompt_name")
    if not isinstance(prompts, dict) or not all(isinstance(prompt, str) for prompt in prompts.values()):
        raise BundleError(f"{folder}: prompts must be texts by name, not {prompts!r}")
    if default is not None and default not in prompts:
        raise BundleError(f"{folder}: the default prompt {default!r} is none of {sorted(prompts)}")
    return {
        "prompts": dict(prompts),
        "default_prompt": default,
        "similarity": settings.get("similarity_fn_name") or "cosine",
    }


def _licence(folder: Path) -> str:
    """The licence that the model card's front matter states; only the YAML of one word is read."""
    try:
        text = (folder / CARD).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "unknown"
    front = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
    found = re.search(r"^license:[ \t]*['\"]?([\w.+-]+)", front.group(1), re.MULTILINE) if front else None
    return found.group(1) if found else "unknown"
