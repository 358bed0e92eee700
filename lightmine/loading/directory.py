"""A directory that carries an ONNX graph: what its files say, and what is to be done after the graph.

Whatever would have to be guessed is refused, by its name. `layout` draws the files.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from lightmine.errors import ArgumentError, BundleError, one_line
from lightmine.loading.bundle import TOKENIZER, Manifest, check_values
from lightmine.loading.layout import (
    CARD,
    MODULES,
    SENTENCE_SETTINGS,
    ModuleEntry,
    body_file,
    body_settings,
    choose_graph,
    graph_names,
    read_module_list,
    read_settings,
)
from lightmine.loading.module_reader import read_modules, read_pooling
from lightmine.loading.modules import SENTENCE, TOKENS, Module, Normalize, Pooling, PostProcessing, Truncate
from lightmine.loading.resolved_model import ResolvedModel
from lightmine.untrusted.model_paths import own_file
from lightmine.untrusted.onnx_header import (
    BATCH_SCALED,
    FLOAT,
    FLOAT16,
    INT32,
    INT64,
    Graph,
    Value,
    check_weights,
    read_graph,
)

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
TOKEN_OUTPUTS = (TOKENS, "last_hidden_state")
# Where signed 8-bit weights times unsigned 8-bit values do not overflow; elsewhere on x86 they do.
WIDE_INT8 = ("vnni", "amx", "arm64")
# These count positions from the padding index on, so their tables have fewer places than rows.
OFFSET_POSITIONS = {
    "camembert", "data2vec-text", "longformer", "luke", "mpnet", "roberta", "roberta-prelayernorm",
    "xlm-roberta", "xlm-roberta-xl", "xmod",
}  # fmt: skip


def open_directory(
    folder: Path, *, name: str, revision: str | None, file: str | None, pooling: str | None
) -> ResolvedModel:
    """Read everything that the runtime must know of a directory's model.

    Raises
    ------
    BundleError
        A file is missing or broken, or something of the model would not be honoured exactly.
    """
    module_list = read_module_list(folder)
    body = module_list[0].path if module_list else ""
    graph_name = choose_graph(graph_names(folder), folder=str(folder), file=file, body=body)
    graph = read_graph(own_file(folder, graph_name))
    config = body_settings(folder, body, "config.json", needed=True)
    _check_inputs(folder / graph_name, graph)
    check_weights(folder / graph_name, graph)
    chain = _chain(folder, module_list, pooling)
    settings = read_settings(folder, "config_sentence_transformers.json")
    if isinstance(settings.get("truncate_dim"), int):
        if settings["truncate_dim"] < 1:
            raise BundleError(f"{folder}: truncate_dim must be at least 1, not {settings['truncate_dim']}")
        chain = (*chain, Truncate(settings["truncate_dim"]))
    post_processing = _post_processing(folder / graph_name, graph, config, chain)
    tokenizing = _tokenizing(folder, body, config)
    tokenizer = body_file(folder, body, TOKENIZER)
    if not tokenizer.is_file():
        raise BundleError(
            f"{folder}: has no {TOKENIZER}, the only kind that is read here; save a fast tokenizer with it"
        )
    manifest = Manifest(
        name=one_line(name.split("/")[-1]),
        source=name,
        revision=revision,
        licence=_licence(folder),
        dimension=post_processing.dimension,
        max_tokens=tokenizing["max_tokens"],
        # Some write -1 where there is none; padding is masked, so any token will do.
        pad_token_id=max(padding, 0) if isinstance(padding := config.get("pad_token_id"), int) else 0,
        padding_side=tokenizing["padding_side"],
        pooling="+".join(_modes(post_processing)) or "in the graph",
        normalize=any(isinstance(module, Normalize) for module in post_processing.modules),
        include_prompt=all(module.include_prompt for module in chain if isinstance(module, Pooling)),
        similarity=settings.get("similarity_fn_name") or "cosine",
        prompts=_prompts(folder, settings),
        default_prompt=settings.get("default_prompt_name"),
        inputs=tuple(value.name for value in graph.inputs),
        output=post_processing.output,
        precision=_precision(graph, post_processing),
        recipe=f"{graph_name}, as it came",
        batch="independent" if graph.operators & BATCH_SCALED else "any",
        cpus=WIDE_INT8 if graph.wide_int8 else (),
    )
    stated = vars(manifest) if manifest.dimension else vars(manifest) | {"dimension": 1}
    check_values(stated, folder)
    return ResolvedModel(
        folder=folder,
        manifest=manifest,
        graph=folder / graph_name,
        tokenizer=tokenizer,
        post_processing=post_processing,
        lower_case=tokenizing["lower_case"],
    )


def _check_inputs(path: Path, graph: Graph) -> None:
    for value in graph.inputs:
        if value.name not in INPUTS:
            raise BundleError(
                f"{path}: needs the input {value.name}, which is none of {', '.join(INPUTS)}; export it as "
                "feature extraction without a cache"
            )
        if value.element not in (INT32, INT64):
            raise BundleError(f"{path}: its input {value.name} takes no whole numbers")
    for name in INPUTS[:2]:
        if name not in [value.name for value in graph.inputs]:
            raise BundleError(f"{path}: has no input {name}, without which sentences cannot be batched")


def _chain(folder: Path, module_list: list[ModuleEntry], pooling: str | None) -> tuple[Module, ...]:
    if not module_list:
        return (read_pooling(pooling),) if pooling else ()
    if pooling:
        raise ArgumentError(f"{folder}: {MODULES} says how to pool; drop pooling={pooling!r}")
    return read_modules(folder, module_list[1:])


def _post_processing(
    path: Path, graph: Graph, config: dict[str, Any], chain: tuple[Module, ...]
) -> PostProcessing:
    """The output to read and the modules to run after it.

    Token vectors are preferred where it is known what to do with them: whatever else the graph
    computes, its exporter may have pooled in its own way.
    """
    outputs = {value.name: value for value in graph.outputs}
    tokens = next((outputs[name] for name in TOKEN_OUTPUTS if name in outputs), None)
    pools = any(isinstance(module, Pooling) for module in chain)
    if tokens and pools:
        _check_output(path, tokens, rank=3)
        width = _width(tokens) or _hidden_size(path, config)
        return PostProcessing(tokens.name, TOKENS, chain, _through(chain, {TOKENS: width}))
    if SENTENCE in outputs:
        return _whole(path, outputs[SENTENCE], config, chain)
    if tokens:
        raise BundleError(
            f"{path}: gives one vector a token and nothing beside it says how to pool them; add the model's "
            f"{MODULES} and 1_Pooling, or load it in Python with pooling='mean' or whatever is right"
        )
    found = ", ".join(outputs) or "none"
    raise BundleError(
        f"{path}: its outputs are {found}; one of {', '.join((*TOKEN_OUTPUTS, SENTENCE))} is needed"
    )


def _whole(path: Path, output: Value, config: dict[str, Any], chain: tuple[Module, ...]) -> PostProcessing:
    """A graph that ends with a vector a sentence: its exporter has put all modules in it."""
    _check_output(path, output, rank=2)
    inside = tuple(module for module in chain if not isinstance(module, Truncate))
    after = chain[len(inside) :]
    stated = expected = _width(output)
    if inside:
        expected = _through(inside, {TOKENS: _hidden_size(path, config)})
    if stated and stated != expected:
        raise BundleError(
            f"{path}: {output.name} has {stated} dimensions, and the model's modules give {expected}"
        )
    return PostProcessing(output.name, SENTENCE, after, _through(after, {SENTENCE: expected or 0}))


def _through(modules: tuple[Module, ...], widths: dict[str, int]) -> int:
    """The dimension after some modules."""
    for module in modules:
        widths = module.width(widths)
    return widths[SENTENCE]


def _check_output(path: Path, value: Value, *, rank: int) -> None:
    if value.shape is not None and len(value.shape) != rank:
        raise BundleError(f"{path}: its output {value.name} has {len(value.shape)} axes, not {rank}")
    if value.element not in (FLOAT, FLOAT16):
        raise BundleError(f"{path}: its output {value.name} is neither float32 nor float16")


def _width(value: Value) -> int | None:
    return value.shape[-1] if value.shape else None


def _hidden_size(path: Path, config: dict[str, Any]) -> int:
    for name in ("hidden_size", "dim", "d_model", "n_embd"):
        if isinstance(config.get(name), int):
            return int(config[name])
    raise BundleError(f"{path}: neither it nor config.json says how many dimensions its vectors have")


def _tokenizing(folder: Path, body: str, config: dict[str, Any]) -> dict[str, Any]:
    """How texts become tokens: the longest input, the padding side, lower case."""
    own: dict[str, Any] = {}
    for name in SENTENCE_SETTINGS:
        own = own or body_settings(folder, body, name)
    tokenizer = body_settings(folder, body, "tokenizer_config.json")
    for key in ("tokenizer_args", "processor_kwargs"):
        tokenizer = tokenizer | (own.get(key) or {})
    if own.get("max_seq_length") is not None:
        tokenizer = tokenizer | {"model_max_length": own["max_seq_length"]}
    text = (own.get("modality_config") or {}).get("text")
    method = text.get("method") if isinstance(text, dict) else None
    refusals = {
        "truncation on the left": tokenizer.get("truncation_side", "right") != "right",
        "processing_kwargs of its own": bool(own.get("processing_kwargs")),
        "no input of plain text": bool(own.get("modality_config")) and method != "forward",
        f"the task {own.get('transformer_task')}": own.get("transformer_task", "feature-extraction")
        != "feature-extraction",
        "token types other than 0": _typed(body_file(folder, body, TOKENIZER)),
    }
    for what, present in refusals.items():
        if present:
            raise BundleError(f"{folder}: cannot be honoured exactly: it has {what}")
    side = tokenizer.get("padding_side", "right")
    if side not in ("left", "right"):
        raise BundleError(f"{folder}: padding_side must be left or right, not {side!r}")
    return {
        "max_tokens": _max_tokens(folder, tokenizer.get("model_max_length"), config),
        "padding_side": side,
        "lower_case": bool(own.get("do_lower_case")),
    }


def _max_tokens(folder: Path, stated: Any, config: dict[str, Any]) -> int:
    """The longest input in tokens, within the model's table of positions."""
    limits = [stated] if isinstance(stated, int | float) and 1 <= stated < 10**6 else []
    table = config.get("max_position_embeddings")
    if isinstance(table, int) and table > 0:
        padding = config.get("pad_token_id")
        offset = 1 + (padding if isinstance(padding, int) else 1)
        limits.append(table - (offset if config.get("model_type") in OFFSET_POSITIONS else 0))
    if not limits:
        raise BundleError(f"{folder}: states no longest input; set max_seq_length in {SENTENCE_SETTINGS[0]}")
    return int(min(limits))


def _typed(tokenizer: Path) -> bool:
    """Whether a single sentence's tokens have types other than 0, as in XLNet."""
    # The whole file can hold megabytes of vocabulary; types stand in the post-processor's templates.
    try:
        text = tokenizer.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False  # said better by whoever reads it next
    single = re.search(r'"single"\s*:\s*\[(.*?)"pair"', text[text.find('"post_processor"') :], re.DOTALL)
    return bool(single and re.search(r'"type_id"\s*:\s*[1-9]', single.group(1)))


def _prompts(folder: Path, settings: dict[str, Any]) -> dict[str, str]:
    prompts = settings.get("prompts") or {}
    default = settings.get("default_prompt_name")
    if not isinstance(prompts, dict) or not all(isinstance(prompt, str) for prompt in prompts.values()):
        raise BundleError(f"{folder}: prompts must be texts by name, not {prompts!r}")
    if default is not None and default not in prompts:
        raise BundleError(f"{folder}: the default prompt {default!r} is none of {sorted(prompts)}")
    return dict(prompts)


def _modes(post_processing: PostProcessing) -> tuple[str, ...]:
    return next((module.modes for module in post_processing.modules if isinstance(module, Pooling)), ())


def _precision(graph: Graph, post_processing: PostProcessing) -> str:
    if graph.operators & (BATCH_SCALED | {"QLinearMatMul", "MatMulInteger", "DequantizeLinear"}):
        return "int8"
    half = any(value.name == post_processing.output and value.element == FLOAT16 for value in graph.outputs)
    return "fp16" if half else "fp32"


def _licence(folder: Path) -> str:
    """What the card's front matter says; enough of YAML for one word after a colon."""
    try:
        text = (folder / CARD).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "unknown"
    front = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
    found = re.search(r"^license:[ \t]*['\"]?([\w.+-]+)", front.group(1), re.MULTILINE) if front else None
    return found.group(1) if found else "unknown"
