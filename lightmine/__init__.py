"""Exact paraphrase and bitext mining without PyTorch.

The public modules are `lightmine`, `lightmine.store`, `lightmine.evaluation` and `lightmine.errors`; the
public names of each are in its `__all__`. All other modules are internal and can change in any version.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightmine.bitext.mining import mine_bitext, score_bitext
    from lightmine.bitext.pairing import Bitext, retrieve
    from lightmine.encoder.encoder import Encoder
    from lightmine.engine.corpus import Corpus
    from lightmine.engine.matrix import unit_rows
    from lightmine.engine.spec import Pairs
    from lightmine.errors import LightmineError
    from lightmine.paraphrase import mine_paraphrases
    from lightmine.search import Neighbors, neighbors

__version__ = "0.1.0"

__all__ = [
    "Bitext",
    "Corpus",
    "Encoder",
    "LightmineError",
    "Neighbors",
    "Pairs",
    "__version__",
    "mine_bitext",
    "mine_paraphrases",
    "neighbors",
    "retrieve",
    "score_bitext",
    "unit_rows",
]

# Names are imported when they are first used: a process that only encodes does not load the engine, and one
# that asks for the version loads nothing else.
_HOMES = {
    "Bitext": "lightmine.bitext.pairing",
    "Corpus": "lightmine.engine.corpus",
    "Encoder": "lightmine.encoder.encoder",
    "LightmineError": "lightmine.errors",
    "Neighbors": "lightmine.search",
    "Pairs": "lightmine.engine.spec",
    "mine_bitext": "lightmine.bitext.mining",
    "mine_paraphrases": "lightmine.paraphrase",
    "neighbors": "lightmine.search",
    "retrieve": "lightmine.bitext.pairing",
    "score_bitext": "lightmine.bitext.mining",
    "unit_rows": "lightmine.engine.matrix",
}


# A type checker sees the imports above, and reports any other name as an error.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
