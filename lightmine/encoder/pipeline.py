"""From sentences to vectors: windows are tokenized, split into batches, and run by a pool of workers."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightmine.encoder.batching import Tokens, batches, pad
from lightmine.encoder.embedding_quantization import quantize
from lightmine.encoder.options import EncodeOptions
from lightmine.encoder.runtime import Runtime
from lightmine.encoder.sentences import check_filled, check_sentences
from lightmine.errors import TextError
from lightmine.loading.bundle import Manifest
from lightmine.loading.modules import PostProcessing
from lightmine.summation import sum_rows
from lightmine.system.memory import mmap_zeros

# Called with the number of sentences that are done.
Done = Callable[[int], object]


@dataclasses.dataclass
class Counts:
    """How many sentences are done, how many were truncated, and the positions of those without tokens."""

    done: int = 0
    truncated: int = 0
    without_tokens: list[int] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class _Window:
    """Sentences that are being encoded: their vectors, and the batches that fill them."""

    start: int
    vectors: NDArray[np.float32]
    batches: list[Future[int]]
    truncated: int


class Pipeline:
    """Encodes windows of sentences; while one is run, the next one is read and tokenized."""

    def __init__(
        self, options: EncodeOptions, manifest: Manifest, runtime: Runtime, post_processing: PostProcessing
    ) -> None:
        self.options, self.manifest = options, manifest
        self._runtime, self._post_processing = runtime, post_processing

    def blocks(self, windows: Iterable[list[str]], counts: Counts, progress: Done) -> Iterator[NDArray[Any]]:
        """The vectors of each window; `counts` has the counts of those that were yielded."""
        pool = ThreadPoolExecutor(self.options.workers)
        waiting: deque[_Window] = deque()
        started = 0
        try:
            for window in windows:
                check_sentences(window, start=started)
                waiting.append(self._start(window, started, pool))
                started += len(window)
                # At most one window is read ahead.
                if len(waiting) > 1:
                    yield self._finish(waiting.popleft(), counts, progress)
            while waiting:
                yield self._finish(waiting.popleft(), counts, progress)
        finally:
            # After an error, or if the caller stops early, the batches that wait are cancelled.
            pool.shutdown(cancel_futures=True)

    def _start(self, window: list[str], start: int, pool: ThreadPoolExecutor) -> _Window:
        """Tokenize a window and submit its batches to the workers."""
        options = self.options
        tokens, truncated = options.tokenizer.ids([options.prompt + sentence for sentence in window])
        empty = np.flatnonzero(tokens.lengths == 0)
        if len(empty) and options.no_tokens == "error":
            raise TextError(f"sentences[{start + empty[0]}] is empty: it has no tokens to encode; drop it")
        vectors = mmap_zeros(len(window), options.dimension)
        futures = [
            pool.submit(self._encode_batch, tokens, positions, vectors)
            for positions in batches(tokens.lengths, batch_tokens=options.batch_tokens)
        ]
        return _Window(start, vectors, futures, truncated)

    def _finish(self, window: _Window, counts: Counts, progress: Done) -> NDArray[Any]:
        """Wait for a window's batches; returns its vectors in the requested precision."""
        for future in as_completed(window.batches):
            counts.done += future.result()
            progress(counts.done)
        counts.truncated += window.truncated
        # Sentences without tokens, or whose tokens have zero weight in the model.
        empty = np.flatnonzero(~window.vectors.any(axis=1))
        if len(empty) and self.options.no_tokens == "error" and self.options.normalize:
            raise TextError(
                f"sentences[{window.start + empty[0]}]: the model gives it a vector of zeros, which has no "
                "direction; drop it"
            )
        counts.without_tokens += (window.start + empty).tolist()
        found = quantize(window.vectors, self.options.precision, self.options.ranges)
        found[empty] = 0
        return found

    def _encode_batch(self, tokens: Tokens, positions: NDArray[np.intp], vectors: NDArray[np.float32]) -> int:
        """Fill the rows of some sentences; those without tokens stay zeros."""
        options = self.options
        full = positions[tokens.lengths[positions] > 0]
        for part in full[:, None] if options.alone else [full] if len(full) else []:
            ids, mask = pad(
                tokens, part, pad_token_id=self.manifest.pad_token_id, side=self.manifest.padding_side
            )
            found = self._post_processing(self._runtime.run(ids, mask, options.skip), mask, options.skip)
            rows = found[:, : options.dimension].astype(np.float64)
            if options.normalize:
                # Also if the graph normalizes: its float32 norms differ from 1 by 1e-7, and scores exceed 1.
                norms = np.sqrt(sum_rows(rows * rows))
                rows /= np.where(norms == 0, 1, norms)[:, None]
            vectors[part] = rows
        return len(positions)


def join_blocks(sentences: Iterable[str], blocks: Iterator[NDArray[Any]]) -> NDArray[Any]:
    """All blocks as one array; the first has no rows, and tells the shape and the dtype.

    Raises
    ------
    TextError
        `sentences` has a length, and there is another number of rows.
    """
    empty = next(blocks)
    if not isinstance(sentences, Sized):
        return np.concatenate([empty, *blocks])
    vectors = np.empty((len(sentences), *empty.shape[1:]), empty.dtype)
    done = 0
    for block in blocks:
        check_filled(sentences, len(vectors), done + len(block), more_to_come=True)
        vectors[done : done + len(block)] = block
        done += len(block)
    check_filled(sentences, len(vectors), done)
    return vectors
