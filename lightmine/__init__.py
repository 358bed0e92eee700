"""Exact paraphrase and bitext mining without PyTorch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightmine.bitext import Bitext, mine_bitext
    from lightmine.encoding.encoder import Encoder
    from lightmine.engine.matrix import unit_rows
    from lightmine.engine.neighbors import Neighbors, neighbors
    from lightmine.engine.topk import Pairs
    from lightmine.errors import LightmineError
    from lightmine.paraphrase import mine_paraphrases

__version__ = "0.1.0"

__all__ = [
    "Bitext",
    "Encoder",
    "LightmineError",
    "Neighbors",
    "Pairs",
    "__version__",
    "mine_bitext",
    "mine_paraphrases",
    "neighbors",
    "unit_rows",
]

# Fetched when first asked for: a process that only encodes loads nothing of the engine, and one that
# only asks for the version loads nothing at all.
_HOMES = {
    "Bitext": "lightmine.bitext",
    "Encoder": "lightmine.encoding.encoder",
    "LightmineError": "lightmine.errors",
    "Neighbors": "lightmine.engine.neighbors",
    "Pairs": "lightmine.engine.topk",
    "mine_bitext": "lightmine.bitext",
    "mine_paraphrases": "lightmine.paraphrase",
    "neighbors": "lightmine.engine.neighbors",
    "unit_rows": "lightmine.engine.matrix",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
