"""A matrix of embeddings that is searched many times: checked once, and compressed once."""

from __future__ import annotations

import threading

from numpy.typing import ArrayLike

from lightmine.engine import native, pool
from lightmine.engine.matrix import FloatMatrix, unit_rows
from lightmine.engine.quantization import CompressedRows, choose_params, compress_rows
from lightmine.engine.tuning import DEFAULT_TUNING, Tuning
from lightmine.system.threads import default_threads


class Corpus:
    """Embeddings that `neighbors` compares with many times, checked and compressed once.

    The answers are those of the same embeddings as an array, to the byte.

    Parameters
    ----------
    embeddings : array of shape (m, d)
        See `unit_rows` for what is accepted. Float32 unit rows are used as they are, without a copy, and are
        not to be changed afterwards. The compressed copy takes some d + 12 bytes for each row, as long as the
        corpus lives.

    Raises
    ------
    MatrixError

    Attributes
    ----------
    rows : float32 array of shape (m, d), unit rows

    Examples
    --------
    >>> from lightmine import Corpus, neighbors
    >>> corpus = Corpus([[1.0, 0.0], [0.0, 1.0], [3.0, 4.0]])
    >>> len(corpus), neighbors([[0.0, 2.0]], corpus, k=2).index
    (3, array([[1, 2]]))
    """

    def __init__(self, embeddings: ArrayLike) -> None:
        self.rows: FloatMatrix = unit_rows(embeddings)
        self._lock = threading.Lock()
        self._compressed: dict[str, CompressedRows] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"Corpus({len(self.rows):,} rows of {self.rows.shape[1]} dimensions)"

    def compressed(self, kernel: native.Kernel, tuning: Tuning = DEFAULT_TUNING) -> CompressedRows:
        """The rows as a variant of the kernel reads them; made at the first call."""
        with self._lock:
            if kernel.name not in self._compressed:
                sample = self.rows[:: -(-len(self.rows) // tuning.sample_rows)]
                with pool.one_blas_thread:
                    params = choose_params(sample, kernel.qmax, tuning=tuning)
                    self._compressed[kernel.name] = compress_rows(
                        self.rows, params, kernel, workers=default_threads(), tuning=tuning
                    )
            return self._compressed[kernel.name]
