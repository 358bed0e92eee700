"""Exact paraphrase and bitext mining without PyTorch."""

from lightmine.bitext import mine_bitext, score_bitext
from lightmine.encoding.encoder import Encoder
from lightmine.engine.matrix import unit_rows
from lightmine.engine.neighbors import Neighbors, neighbors
from lightmine.engine.topk import Pairs
from lightmine.errors import LightmineError
from lightmine.paraphrase import mine_paraphrases
from lightmine.retrieval import Bitext, retrieve

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
    "retrieve",
    "score_bitext",
    "unit_rows",
]
