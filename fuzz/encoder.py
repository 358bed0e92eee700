"""In an encoder's place, for targets whose subject is what becomes of vectors: it makes them of checksums."""

import itertools
import types
import zlib

import numpy as np

WINDOW = 2


class Checksums:
    """As much of `lightmine.Encoder` as the store asks for."""

    manifest = types.SimpleNamespace(name="checksums")
    truncated = 0
    without_tokens = ()

    def identity(self, **options):
        return {"model": "0" * 64, "precision": "float32", "dimension": 2, "prompt": None}

    def encode(self, texts, **options):
        rows = [(len(text), zlib.crc32(text.encode())) for text in texts]
        return np.array(rows, np.float32).reshape(-1, 2)

    def windows(self, texts):
        texts = iter(texts)
        return iter(lambda: list(itertools.islice(texts, WINDOW)), [])

    def stream(self, texts, *, progress=None, **options):
        for window in self.windows(texts):
            yield self.encode(window)
