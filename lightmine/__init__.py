"""Exact paraphrase and bitext mining without PyTorch."""

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
