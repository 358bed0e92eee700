"""The quality of embeddings and of mined pairs: retrieval, similarity, bitext mining, paraphrase mining.

Every figure is a fraction between 0 and 1 (a correlation between -1 and 1). The functions say what they do
with ties.
"""

from lightmine.evaluation.embeddings import (
    Correlation,
    RetrievalAccuracy,
    average_ranks,
    retrieval_accuracy,
    similarity_correlation,
)
from lightmine.evaluation.pairs import (
    MiningQuality,
    bitext_mining,
    paraphrase_mining,
    transitive_closure,
)

__all__ = [
    "Correlation",
    "MiningQuality",
    "RetrievalAccuracy",
    "average_ranks",
    "bitext_mining",
    "paraphrase_mining",
    "retrieval_accuracy",
    "similarity_correlation",
    "transitive_closure",
]
