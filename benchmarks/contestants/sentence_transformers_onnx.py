"""sentence-transformers with its ONNX backend, which needs optimum and an environment of its own.

python -m benchmarks.contestants.sentence_transformers_onnx MODEL OUT   # export, once
"""

import importlib.metadata
import sys

import sentence_transformers

BACKEND = "onnx"
VERSION = ", ".join(
    f"{name} {importlib.metadata.version(name)}"
    for name in ("sentence-transformers", "optimum-onnx", "onnxruntime")
)


def load(model):
    return sentence_transformers.SentenceTransformer(str(model), backend=BACKEND, device="cpu")


def encode(*, texts, model):
    encoder = load(model)
    return lambda: {"vectors": encoder.encode(texts, normalize_embeddings=True, show_progress_bar=False)}


if __name__ == "__main__":
    load(sys.argv[1]).save_pretrained(sys.argv[2], create_model_card=False)
