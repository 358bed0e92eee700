"""sentence-transformers with its OpenVINO backend, which needs optimum-intel and an environment of its own.

python -m benchmarks.contestants.sentence_transformers_openvino MODEL OUT   # export, once
"""

import importlib.metadata
import sys

import sentence_transformers

VERSION = ", ".join(
    f"{name} {importlib.metadata.version(name)}"
    for name in ("sentence-transformers", "optimum-intel", "openvino")
)


def load(model):
    return sentence_transformers.SentenceTransformer(str(model), backend="openvino", device="cpu")


def encode(*, texts, model):
    encoder = load(model)
    return lambda: {"vectors": encoder.encode(texts, normalize_embeddings=True, show_progress_bar=False)}


if __name__ == "__main__":
    load(sys.argv[1]).save_pretrained(sys.argv[2], create_model_card=False)
