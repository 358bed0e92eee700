"""A bundle: a directory holding one sentence encoder and the whole truth about it.

::

    lightmine.json    the manifest
    model.onnx        token ids and mask in, ``sentence_embedding`` out
    model.onnx.data   external weights, only where the graph is over 2 GB
    tokenizer.json    what `tokenizers` reads

The exporter writes bundles, the runtime opens them, and both use this file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from lightmine.errors import BundleError

MANIFEST = "lightmine.json"
MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"
FORMAT_VERSION = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """What `lightmine.json` says; fields that this version does not know are kept in `extra`.

    ``normalize`` tells whether the graph's output has unit rows. ``batch_dependent`` tells whether
    a sentence's vector changes with the sentences encoded beside it. ``parity`` holds what the
    exporter measured against the source model, ``versions`` the packages that made the bundle.
    """

    name: str
    source: str
    revision: str | None
    licence: str
    dimension: int
    max_tokens: int
    pad_token_id: int = 0
    padding_side: str = "right"
    pooling: str = "mean"
    normalize: bool = True
    similarity: str = "cosine"
    prompts: dict[str, str] = dataclasses.field(default_factory=dict)
    default_prompt: str | None = None
    inputs: tuple[str, ...] = ("input_ids", "attention_mask")
    output: str = "sentence_embedding"
    precision: str = "fp32"
    recipe: str = ""
    batch_dependent: bool = False
    suits: tuple[str, ...] = ("any",)
    languages: tuple[str, ...] = ()
    parity: dict[str, Any] = dataclasses.field(default_factory=dict)
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    files: dict[str, str] = dataclasses.field(default_factory=dict)
    format_version: int = FORMAT_VERSION
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Hash every model file in `folder`, write the manifest beside them, return it with the hashes."""
    names = [MODEL, MODEL + ".data", TOKENIZER]
    files = {name: sha256(folder / name) for name in names if (folder / name).exists()}
    manifest = dataclasses.replace(manifest, files=files)
    fields = dataclasses.asdict(manifest)
    fields |= fields.pop("extra")
    text = json.dumps(fields, indent=2, ensure_ascii=False, sort_keys=True)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return manifest


def sha256(path: Path) -> str:
    """The SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
