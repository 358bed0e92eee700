"""What a vector depends on besides its text, as stored embeddings record it."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from lightmine.encoder.options import EncodeOptions
from lightmine.loading.bundle import Manifest


def vector_identity(
    options: EncodeOptions, manifest: Manifest, *, fingerprint: str, provider: str
) -> dict[str, Any]:
    """The model's fingerprint, the provider, and every option that changes vectors; only JSON types."""
    batches = "any"
    if manifest.batch != "any":
        batches = "alone" if options.alone else f"{options.batch_tokens} tokens"
    ranges = None
    if options.ranges is not None:
        values = np.ascontiguousarray(options.ranges, np.float32)
        ranges = hashlib.sha256(values.tobytes()).hexdigest()
    return {
        "model": fingerprint,
        "provider": provider,
        "prompt": options.prompt,
        "dimension": options.dimension,
        "max_tokens": options.max_tokens,
        "normalize": options.normalize,
        "precision": options.precision,
        "ranges": ranges,
        "batches": batches,
    }
