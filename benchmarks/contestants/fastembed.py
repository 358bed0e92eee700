"""fastembed, from a folder that holds sentence-transformers' own ONNX export."""

import importlib.metadata

import fastembed
import numpy as np

VERSION = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("fastembed", "onnxruntime"))


def encode(*, texts, model):
    encoder = fastembed.TextEmbedding(
        "sentence-transformers/all-MiniLM-L6-v2",
        specific_model_path=model,
        providers=["CPUExecutionProvider"],
    )
    return lambda: {"vectors": np.stack(list(encoder.embed(texts)))}
