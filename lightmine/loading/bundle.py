"""A bundle: a directory with one sentence encoder and its manifest.

::

    lightmine.json    the manifest
    model.onnx        token ids and mask in, ``sentence_embedding`` out
    model.onnx.data   external weights, only of graphs over 2 GB
    tokenizer.json    the tokenizer, as the tokenizers library reads it
    vocab.txt         the tokens of a WordPiece tokenizer, if tokenizer.json has none

The exporter writes bundles, the runtime opens them, and both use this file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import mmap
import re
from pathlib import Path
from typing import Any, Literal, get_args

from lightmine.errors import ArgumentError, BundleError
from lightmine.untrusted.model_paths import own_file, read_json

MANIFEST = "lightmine.json"
MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"
# The tokens of a WordPiece tokenizer, one per line: read in half the time that tokenizer.json takes.
VOCABULARY = "vocab.txt"
FORMAT_VERSION = 1
DEFAULT = "static-multilingual"
PaddingSide = Literal["right", "left"]
# See `Manifest.batch`.
Batch = Literal["any", "independent", "dependent"]
Verify = Literal["full", "size"]
VERIFY: tuple[Verify, ...] = get_args(Verify)
CHOICES: dict[str, tuple[str, ...]] = {"padding_side": get_args(PaddingSide), "batch": get_args(Batch)}
# The smallest and the largest value of each number; larger ones would only exhaust the memory.
RANGES = {
    "dimension": (1, 65_536),
    "max_tokens": (1, 1_000_000),
    "pad_token_id": (0, 2**31 - 1),
    "batch_tokens": (0, 10_000_000),
}
HASH = re.compile(r"[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """The content of `lightmine.json`; fields that this version does not know are kept in `extra`.

    ``normalize`` tells whether the graph's output has unit rows, and ``include_prompt`` whether pooling
    includes the prompt's tokens. ``batch`` tells whether a vector depends on the other sentences of its
    batch: ``any`` means that it does not, in any batch; ``independent`` that it would, so that each sentence
    is run alone; ``dependent`` that it does. ``batch_tokens`` is the fastest batch size as measured, 0 for
    the provider's default. ``thresholds`` are recommended by the model's maker: ``paraphrase`` is a cosine,
    ``bitext`` a ratio margin of four neighbours. ``cpus`` names the targets that the graph is correct on
    (avx2, avx512, vnni, amx, arm64); none means every processor.
    ``files`` has the SHA-256 of every file and ``sizes`` its bytes, ``parity`` the exporter's measurements
    against the source model, ``versions`` the packages that made the bundle.
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
    include_prompt: bool = True
    similarity: str = "cosine"
    prompts: dict[str, str] = dataclasses.field(default_factory=dict)
    default_prompt: str | None = None
    inputs: tuple[str, ...] = ("input_ids", "attention_mask")
    output: str = "sentence_embedding"
    precision: str = "fp32"
    recipe: str = ""
    batch: str = "any"
    batch_tokens: int = 0
    cpus: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    thresholds: dict[str, float] = dataclasses.field(default_factory=dict)
    parity: dict[str, Any] = dataclasses.field(default_factory=dict)
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    files: dict[str, str] = dataclasses.field(default_factory=dict)
    sizes: dict[str, int] = dataclasses.field(default_factory=dict)
    format_version: int = FORMAT_VERSION
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Hash every model file in `folder`, write the manifest into it, and return it with the hashes."""
    names = [MODEL, MODEL + ".data", TOKENIZER, VOCABULARY]
    names = [name for name in names if (folder / name).exists()]
    files = {name: sha256(folder / name) for name in names}
    sizes = {name: (folder / name).stat().st_size for name in names}
    manifest = dataclasses.replace(manifest, files=files, sizes=sizes)
    (folder / MANIFEST).write_text(manifest_json(manifest), encoding="utf-8")
    return manifest


def manifest_json(manifest: Manifest) -> str:
    """The text of a manifest's file."""
    fields = dataclasses.asdict(manifest)
    fields |= fields.pop("extra")
    return json.dumps(fields, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def sha256(path: Path, *, mapped: bool = False) -> str:
    """The SHA-256 of a file, as 64 hexadecimal digits.

    With `mapped` the file is hashed in one call without the interpreter's lock, which another thread may
    hold for long (the tokenizers library does). If the file is truncated meanwhile, the process ends.
    """
    with path.open("rb") as file:
        if not mapped or not path.stat().st_size:
            return hashlib.file_digest(file, "sha256").hexdigest()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            return hashlib.sha256(whole).hexdigest()


def models_folder() -> Path:
    """The folder of the packaged models: inside the package in a wheel, next to it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "models"
    return inside if inside.is_dir() else package.parent / "models"


def default_model() -> Path:
    """The folder of the model that is used if none is named."""
    folder = models_folder() / DEFAULT
    if not (folder / MANIFEST).is_file():
        raise BundleError(f"the default model is not in {folder}; name another, or install lightmine again")
    return folder


def read_manifest(folder: Path) -> Manifest:
    """Read and check a bundle's manifest.

    Raises
    ------
    BundleError
        No such folder, no manifest, or one that this version does not support.
    """
    if not folder.is_dir():
        packaged = ", ".join(sorted(path.parent.name for path in models_folder().glob(f"*/{MANIFEST}")))
        raise BundleError(f"{folder}: no such model; give the folder of a bundle, or one of {packaged}")
    try:
        fields = read_json(folder / MANIFEST)
    except FileNotFoundError:
        raise BundleError(
            f"{folder}: not a bundle, it has no {MANIFEST}; make one with: lightmine export MODEL OUT"
        ) from None
    return parse_manifest(fields, folder / MANIFEST)


def parse_manifest(fields: Any, path: Path) -> Manifest:
    """Check the types of a manifest's fields; fields that this version does not know go to `extra`."""
    if not isinstance(fields, dict):
        raise BundleError(f"{path}: a JSON object is needed")
    version = fields.get("format_version")
    if version != FORMAT_VERSION:
        raise BundleError(
            f"{path}: format version {version!r}, this lightmine reads {FORMAT_VERSION}; upgrade one of them"
        )
    known = {field.name: field for field in dataclasses.fields(Manifest) if field.name != "extra"}
    values = {name: _checked(fields[name], known[name], path) for name in known if name in fields}
    for name, field in known.items():
        optional = (field.default, field.default_factory) != (dataclasses.MISSING, dataclasses.MISSING)
        if name not in fields and not optional:
            raise BundleError(f"{path}: {name} is missing")
    check_values(values, path)
    extra = {name: value for name, value in fields.items() if name not in known}
    return Manifest(**values, extra=extra)


def check_values(values: dict[str, Any], path: Path) -> None:
    """Refuse values that have the right type but are not valid.

    Raises
    ------
    BundleError
        The message names the value.
    """
    for name, (least, most) in RANGES.items():
        if not least <= values.get(name, least) <= most:
            raise BundleError(f"{path}: {name} must be from {least} to {most:,}, not {values[name]}")
    for name, choices in CHOICES.items():
        if values.get(name, choices[0]) not in choices:
            raise BundleError(
                f"{path}: {name} must be {' or '.join(choices)}, not {values[name]!r}; export the model again"
            )
    if (default := values.get("default_prompt")) and default not in values.get("prompts", {}):
        raise BundleError(f"{path}: the default prompt {default!r} is none of its prompts")
    for name, digest in values.get("files", {}).items():
        if not HASH.fullmatch(digest):
            raise BundleError(f"{path}: files: {name!r} has no SHA-256 of 64 hexadecimal digits")


def _checked(value: Any, field: dataclasses.Field[Any], path: Path) -> Any:
    if not _has_type(value, str(field.type)):
        raise BundleError(f"{path}: {field.name} must be {field.type}, not {value!r}")
    texts = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    # They are shown on terminals, in messages of one line.
    if not all(text.isprintable() for text in texts):
        raise BundleError(f"{path}: {field.name} has characters that cannot be shown: {value!r}")
    return tuple(value) if isinstance(value, list) else value


def _has_type(value: Any, kind: str) -> bool:
    """Whether a JSON value has the type that a field of `Manifest` is annotated with."""
    if kind.endswith("| None"):
        return value is None or _has_type(value, kind.removesuffix(" | None"))
    if kind == "tuple[str, ...]":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if kind == "dict[str, str]":
        return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
    if kind == "dict[str, int]":
        return isinstance(value, dict) and all(type(item) is int for item in value.values())
    if kind == "dict[str, float]":
        return isinstance(value, dict) and all(
            type(item) in (int, float) and math.isfinite(item) for item in value.values()
        )
    types: dict[str, type] = {"str": str, "int": int, "bool": bool, "dict[str, Any]": dict}
    return isinstance(value, types[kind]) and isinstance(value, bool) == (kind == "bool")


def verify_files(folder: Path, manifest: Manifest, *, verify: Verify = "full", mapped: bool = False) -> None:
    """Check that every file of the bundle exists, is inside its folder, and is as the manifest says.

    Parameters
    ----------
    verify : {"full", "size"}
        ``full`` checks the SHA-256 of every file, which takes about 13 ms for 10 MB. ``size`` checks the
        size, which only finds incomplete copies; files without a stated size are hashed.
    mapped : bool
        Hash each file in one call: see `sha256`.

    Raises
    ------
    BundleError
        A file is missing, altered, or outside the folder, or has a name that is not allowed.
    ArgumentError
        An unknown `verify`.
    """
    if verify not in VERIFY:
        raise ArgumentError(f"verify must be {' or '.join(VERIFY)}, not {verify!r}")
    for name in {MODEL, TOKENIZER} - set(manifest.files):
        raise BundleError(f"{folder / MANIFEST}: names no {name}; export the model again")
    for name, expected in manifest.files.items():
        if Path(name).name != name:
            raise BundleError(f"{folder / MANIFEST}: {name!r} is not a plain file name")
        _verify_file(own_file(folder, name), expected, manifest.sizes.get(name), verify, mapped)


def _verify_file(path: Path, digest: str, size: int | None, verify: Verify, mapped: bool) -> None:
    try:
        found = path.stat().st_size
        if size is not None and found != size:
            raise BundleError(
                f"{path}: altered, it has {found:,} bytes where the manifest says {size:,}; "
                "copy the bundle again"
            )
        if verify == "size" and size is not None:
            return
        hashed = sha256(path, mapped=mapped)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from None
    if hashed != digest:
        raise BundleError(
            f"{path}: altered, its SHA-256 is {hashed[:12]}… where the manifest says "
            f"{digest[:12]}…; copy the bundle again"
        )
