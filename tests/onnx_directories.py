"""Model directories that carry ONNX, made from sentence-transformers models as others make them."""

from __future__ import annotations

import contextlib
import json
import shutil
import warnings
from pathlib import Path

import torch

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def write_graph(model, path: Path, *, outputs=("last_hidden_state",), whole=False, ids=torch.int64):
    """Export the transformer of a model, or all of its modules, with outputs of these names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [name for name in INPUTS if name in model.tokenizer.model_input_names]
    example = model.tokenizer(["one", "a somewhat longer example"], padding=True, return_tensors="pt")

    class Graph(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.chain = torch.nn.ModuleList(model)

        def forward(self, *given):
            features = dict(zip(names, (value.long() for value in given), strict=True))
            for module in self.chain if whole else self.chain[:1]:
                features = module(features)
            kinds = {"sentence_embedding": "sentence_embedding"}
            return tuple(features[kinds.get(name, "token_embeddings")] for name in outputs)

    axes = {name: {0: "batch", 1: "tokens"} for name in names}
    axes |= {name: {0: "batch"} | ({} if "sentence" in name else {1: "tokens"}) for name in outputs}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Graph().eval(), tuple(example[name].to(ids) for name in names), str(path), input_names=names,
            output_names=list(outputs), dynamic_axes=axes, opset_version=17, dynamo=False,
        )  # fmt: skip
    return path


def edit(path: Path, **fields):
    """Change fields of a JSON file; ``...`` takes one away."""
    settings = json.loads(path.read_text()) if path.exists() else {}
    settings |= fields
    path.write_text(json.dumps({name: value for name, value in settings.items() if value is not ...}))


def make_old(folder: Path, *, modes, max_tokens: int):
    """The layout of 2021: booleans for pooling, class names of then, the longest input in its own file."""
    modules = json.loads((folder / "modules.json").read_text())
    for entry in modules:
        entry["type"] = "sentence_transformers.models." + entry["type"].split(".")[-1]
    (folder / "modules.json").write_text(json.dumps(modules))
    booleans = {
        "pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean", "pooling_mode_max_tokens": "max",
        "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    }  # fmt: skip
    settings = {name: mode in modes for name, mode in booleans.items()}
    (folder / "1_Pooling/config.json").write_text(json.dumps(settings | {"word_embedding_dimension": 32}))
    for path in folder.glob("sentence_*_config.json"):
        path.unlink()
    (folder / "sentence_bert_config.json").write_text(
        json.dumps({"max_seq_length": max_tokens, "do_lower_case": False})
    )
    edit(folder / "tokenizer_config.json", model_max_length=...)


def make_oldest(folder: Path, **options):
    """The layout of 2019: the transformer in a folder of its own."""
    make_old(folder, **options)
    body = folder / "0_Transformer"
    body.mkdir()
    keep = {"modules.json", "config_sentence_transformers.json", "README.md"}
    for path in [path for path in folder.iterdir() if path.is_file() and path.name not in keep]:
        path.rename(body / path.name)
    with contextlib.suppress(FileNotFoundError):
        shutil.move(folder / "onnx", body / "onnx")
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(modules))
