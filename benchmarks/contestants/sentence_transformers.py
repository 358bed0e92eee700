"""sentence-transformers: PyTorch in float32 on the processor."""

import numpy as np
import sentence_transformers
import torch

VERSION = f"sentence-transformers {sentence_transformers.__version__}, torch {torch.__version__}"


def encode(*, texts, model):
    encoder = sentence_transformers.SentenceTransformer(model, device="cpu")
    return lambda: {"vectors": encoder.encode(texts, normalize_embeddings=True, show_progress_bar=False)}


def paraphrase(*, x, threshold=None, **options):
    if threshold is not None:
        return None
    vectors = torch.from_numpy(x)

    def work():
        pairs = sentence_transformers.util.paraphrase_mining_embeddings(vectors, **options)
        score, left, right = (np.array(column) for column in zip(*pairs, strict=True))
        return {"left": left, "right": right, "score": score.astype(np.float32)}

    return work
