"""How a model directory's texts become tokens: the longest input, the padding side, lower case."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

from lightmine.errors import BundleError
from lightmine.loading.bundle import TOKENIZER
from lightmine.loading.layout import SENTENCE_SETTINGS, transformer_file, transformer_settings

# These models count positions from the padding index on: their tables have fewer positions than rows.
OFFSET_POSITIONS = {
    "camembert", "data2vec-text", "longformer", "luke", "mpnet", "roberta", "roberta-prelayernorm",
    "xlm-roberta", "xlm-roberta-xl", "xmod",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class TokenizerSettings:
    """The longest input in tokens, the side that padding is on, and whether texts are made lower case."""

    max_tokens: int
    padding_side: str
    lower_case: bool


def read_tokenizer_settings(folder: Path, inner: str, config: dict[str, Any]) -> TokenizerSettings:
    """Settings of the tokenizer from all files that may state them.

    Raises
    ------
    BundleError
        A setting cannot be honoured exactly, or no file states the longest input.
    """
    own: dict[str, Any] = {}
    for name in SENTENCE_SETTINGS:
        own = own or transformer_settings(folder, inner, name)
    tokenizer = transformer_settings(folder, inner, "tokenizer_config.json")
    for key in ("tokenizer_args", "processor_kwargs"):
        tokenizer = tokenizer | (own.get(key) or {})
    if own.get("max_seq_length") is not None:
        tokenizer = tokenizer | {"model_max_length": own["max_seq_length"]}
    _check_supported(folder, own, tokenizer, transformer_file(folder, inner, TOKENIZER))
    side = tokenizer.get("padding_side", "right")
    if side not in ("left", "right"):
        raise BundleError(f"{folder}: padding_side must be left or right, not {side!r}")
    max_tokens = _max_tokens(folder, tokenizer.get("model_max_length"), config)
    return TokenizerSettings(max_tokens, side, bool(own.get("do_lower_case")))


def _check_supported(folder: Path, own: dict[str, Any], tokenizer: dict[str, Any], file: Path) -> None:
    text = (own.get("modality_config") or {}).get("text")
    method = text.get("method") if isinstance(text, dict) else None
    task = own.get("transformer_task", "feature-extraction")
    refusals = {
        "truncation on the left": tokenizer.get("truncation_side", "right") != "right",
        "processing_kwargs of its own": bool(own.get("processing_kwargs")),
        "no input of plain text": bool(own.get("modality_config")) and method != "forward",
        f"the task {task}": task != "feature-extraction",
        "token types other than 0": _has_token_types(file),
    }
    for what, present in refusals.items():
        if present:
            raise BundleError(f"{folder}: cannot be honoured exactly: it has {what}")


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


def _has_token_types(tokenizer: Path) -> bool:
    """Whether the tokens of a single sentence have types other than 0, as in XLNet."""
    # The file can have megabytes of vocabulary. Types are in the templates of the post-processor.
    try:
        text = tokenizer.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False  # the tokenizer is read later, with a better message
    single = re.search(r'"single"\s*:\s*\[(.*?)"pair"', text[text.find('"post_processor"') :], re.DOTALL)
    return bool(single and re.search(r'"type_id"\s*:\s*[1-9]', single.group(1)))
