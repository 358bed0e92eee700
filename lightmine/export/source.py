"""The source model: where it is, what its card states, and whether it can be exported exactly.

A sentence-transformers model is a folder with `modules.json`, a list of modules that run one after
another. What can be refused is refused from the files, before the weights are read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightmine.errors import BundleError, error_line

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# Each of these is run by sentence-transformers' own code inside the traced graph.
KNOWN_MODULES = ("Transformer", "StaticEmbedding", "Pooling", "Dense", "LayerNorm", "Dropout", "Normalize")
# Static embeddings have no maximum length; a bundle must have one.
STATIC_TOKENS = 4096
# Not downloaded: weights for other frameworks, and graphs.
OTHER_WEIGHTS = ("onnx/*", "openvino/*", "*.onnx", "*.h5", "*.msgpack", "*.ot", "*.tflite", "coreml/*")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceModel:
    """A model's folder and its origin.

    ``name`` is never a local path: it is the id on the hub, the id that the model's card loads it by, or
    the folder's name.
    """

    folder: Path
    name: str
    revision: str | None
    licence: str | None
    languages: tuple[str, ...]


def find_source(model: str | os.PathLike[str], *, revision: str | None = None) -> SourceModel:
    """Find a model in a local folder or on the hub, read its card and check its modules."""
    text = os.fspath(model)
    folder = Path(text)
    if folder.exists():
        if revision is not None:
            raise BundleError(f"--revision {revision} is for hub models, but {text} is a local path")
        source = _describe(folder.resolve(), hub_id=None, revision=None)
    elif re.fullmatch(r"[\w.-]+(/[\w.-]+)?", text) and not text.startswith("."):
        folder = _download(text, revision)
        # The name of a snapshot's folder is its commit.
        source = _describe(folder, hub_id=text, revision=folder.name)
    else:
        raise BundleError(f"{text} does not exist, and is not a hub model's id either (owner/name)")
    _check_modules(source)
    return source


def load_model(source: SourceModel) -> SentenceTransformer:
    """Load the model in float32 on the CPU, its attention in the form that can be traced and fused."""
    import torch
    from sentence_transformers import SentenceTransformer

    try:
        with _no_progress_bars():
            model = SentenceTransformer(
                str(source.folder),
                device="cpu",
                local_files_only=True,
                # transformers loads half-precision checkpoints as such unless told otherwise.
                model_kwargs={"attn_implementation": "eager", "dtype": torch.float32},
            )
    except Exception as error:  # the libraries raise many kinds for a broken folder
        raise BundleError(f"{source.name} cannot be loaded: {error_line(error, 0)}") from error
    _check_loaded(source, model)
    limit = token_limit(model)
    if type(model[0]).__name__ != "StaticEmbedding":
        model.max_seq_length = limit
    return model.float().eval()


@contextlib.contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Switch off the progress bar that transformers shows while loading, in pipes too."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def token_limit(model: SentenceTransformer) -> int:
    """The model's maximum length in tokens, special tokens included, within its position table."""
    import torch

    if type(model[0]).__name__ == "StaticEmbedding":
        return STATIC_TOKENS
    limits: list[int] = []
    for module in model.modules():
        table = getattr(module, "position_embeddings", None)
        if isinstance(table, torch.nn.Embedding):
            # RoBERTa and models like it count positions from the padding index.
            padding = getattr(module, "padding_idx", None)
            limits.append(table.num_embeddings - (padding + 1 if isinstance(padding, int) else 0))
    config = model.transformers_model.config.get_text_config()
    if not limits and getattr(config, "max_position_embeddings", -1) > 0:
        limits.append(config.max_position_embeddings)
    if model.max_seq_length:
        limits.append(model.max_seq_length)
    # Tokenizers that set no limit report 10^30.
    if not limits or min(limits) > 10**6:
        raise BundleError(
            "the model states no maximum length: set max_seq_length in sentence_bert_config.json"
        )
    return min(limits)


def encode_source(model: SentenceTransformer, sentences: Sequence[str]) -> np.ndarray:
    """The source model's vectors."""
    return np.asarray(model.encode(list(sentences), show_progress_bar=False))


def _download(model: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model, revision=revision, ignore_patterns=list(OTHER_WEIGHTS)))
    except Exception as error:  # network, permission, unknown name: the hub's line says which
        at = f" at revision {revision}" if revision else ""
        message = f"{model}{at} is not a local folder, and the hub does not give it: {error_line(error, 0)}"
        raise BundleError(message) from error


def _describe(folder: Path, *, hub_id: str | None, revision: str | None) -> SourceModel:
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    front_matter = _front_matter(card) if text else {}
    licence = front_matter.get("license")
    if licence == "other":
        licence = front_matter.get("license_name", licence)
    languages = front_matter.get("language") or ()
    used_as = re.search(r"""SentenceTransformer\(\s*["']([\w.-]+/[\w.-]+)["']""", text)
    return SourceModel(
        folder=folder,
        name=hub_id or (used_as.group(1) if used_as else folder.name),
        revision=revision,
        licence=str(licence) if licence else None,
        languages=(languages,) if isinstance(languages, str) else tuple(map(str, languages)),
    )


def _front_matter(card: Path) -> dict[str, Any]:
    from huggingface_hub.repocard import metadata_load

    try:
        return metadata_load(card) or {}
    except Exception as error:  # a YAML error, or front matter that is no mapping
        raise BundleError(
            f"the front matter of {card.name} cannot be read: {error_line(error, 0)}"
        ) from error


def _check_modules(source: SourceModel) -> None:
    """Refuse, from `modules.json` and the modules' settings, what cannot be exported exactly."""
    for entry in _read_json(source, "modules.json"):
        kind = str(entry.get("type"))
        if not kind.startswith("sentence_transformers.") or kind.split(".")[-1] not in KNOWN_MODULES:
            known = ", ".join(KNOWN_MODULES)
            raise BundleError(f"module {kind} of {source.name} cannot be exported; known modules: {known}")
        if kind.endswith(".Dense"):
            settings = _read_json(source, f"{entry['path']}/config.json")
            # sentence-transformers replaces an activation that it does not trust by Tanh.
            activation = settings.get("activation_function", "torch.")
            if not activation.startswith("torch."):
                raise BundleError(
                    f"activation {activation} in {entry['path']} of {source.name} is not torch's"
                )


def _read_json(source: SourceModel, name: str) -> Any:
    try:
        return json.loads((source.folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        message = f"{source.name} has no {name}: not a sentence-transformers model"
        raise BundleError(message) from error
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{name} of {source.name} cannot be read: {error_line(error, 0)}") from error


def _check_loaded(source: SourceModel, model: SentenceTransformer) -> None:
    """Refuse settings that change what a text becomes before or after the modules."""
    first, tokenizer = model[0], model.tokenizer
    static = type(first).__name__ == "StaticEmbedding"
    refusals = {
        "inputs other than plain text": not static and set(getattr(first, "modality_config", {})) != {"text"},
        "its own processing_kwargs": bool(getattr(first, "processing_kwargs", None)),
        "no padding token": not static and getattr(tokenizer, "pad_token_id", None) is None,
        "truncation on the left": getattr(tokenizer, "truncation_side", "right") != "right",
    }
    for what, present in refusals.items():
        if present:
            raise BundleError(f"{source.name} cannot be exported exactly: it has {what}")
