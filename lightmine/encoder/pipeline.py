"""From sentences to vectors: windows are tokenized, cut into batches, and run by a pool of workers."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightmine.encoder.batching import Tokens, batches, pad
from lightmine.encoder.embedding_quantization import quantize
from lightmine.encoder.options import EncodeOptions
from lightmine.encoder.runtime import Runtime
from lightmine.encoder.sentences import check_sentences
from lightmine.errors import TextError
from lightmine.loading.bundle import Manifest
from lightmine.loading.modules import PostProcessing
from lightmine.summation import sum_rows
from lightmine.system.memory import mmap_zeros

# Called with the number of sentences that are done.
Done = Callable[[int], object]


@dataclasses.dataclass
class Counts:
    """How many sentences are done, how many of them were cut, and which have no tokens, by their place."""

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
    """Encodes windows of sentences; while one is run the next is read and tokenized."""

    def __init__(
        self, work: EncodeOptions, manifest: Manifest, runtime: Runtime, post_processing: PostProcessing
    ) -> None:
        self.work, self.manifest = work, manifest
        self._runtime, self._post_processing = runtime, post_processing

    def blocks(self, windows: Iterable[list[str]], counts: Counts, progress: Done) -> Iterator[NDArray[Any]]:
        """The vectors of each window; `counts` is that of all that were given back."""
        pool = ThreadPoolExecutor(self.work.workers)
        waiting: deque[_Window] = deque()
        started = 0
        try:
            for window in windows:
                check_sentences(window, start=started)
                waiting.append(self._start(window, started, pool))
                started += len(window)
                # No more than one window is read ahead.
                if len(waiting) > 1:
                    yield self._finish(waiting.popleft(), counts, progress)
            while waiting:
                yield self._finish(waiting.popleft(), counts, progress)
        finally:
            # After an error, or where the caller stops early, no batch runs in vain.
            pool.shutdown(cancel_futures=True)

    def _start(self, window: list[str], start: int, pool: ThreadPoolExecutor) -> _Window:
        """Tokenize a window and hand its batches to the workers."""
        work = self.work
        tokens, cut = work.tokenizer.ids([work.prompt + sentence for sentence in window])
        empty = np.flatnonzero(tokens.lengths == 0)
        if len(empty) and work.no_tokens == "error":
            raise TextError(f"sentences[{start + empty[0]}] is empty: it has no tokens to encode; drop it")
        vectors = mmap_zeros(len(window), work.dimension)
        futures = [
            pool.submit(self._encode_batch, tokens, places, vectors)
            for places in batches(tokens.lengths, batch_tokens=work.batch_tokens)
        ]
        return _Window(start, vectors, futures, cut)

    def _finish(self, window: _Window, counts: Counts, progress: Done) -> NDArray[Any]:
        """Wait for a window's batches; its vectors in the precision that was asked for."""
        for future in as_completed(window.batches):
            counts.done += future.result()
            progress(counts.done)
        counts.truncated += window.truncated
        # Of sentences without tokens, or of tokens that the model gives no weight at all.
        empty = np.flatnonzero(~window.vectors.any(axis=1))
        if len(empty) and self.work.no_tokens == "error" and self.work.normalize:
            raise TextError(
                f"sentences[{window.start + empty[0]}]: the model gives it a vector of zeros, which has no "
                "direction; drop it"
            )
        counts.without_tokens += (window.start + empty).tolist()
        found = quantize(window.vectors, self.work.precision, self.work.ranges)
        found[empty] = 0
        return found

    def _encode_batch(self, tokens: Tokens, places: NDArray[np.intp], vectors: NDArray[np.float32]) -> int:
        """Fill the rows of some sentences; those without tokens stay zeros."""
        work = self.work
        full = places[tokens.lengths[places] > 0]
        for part in full[:, None] if work.alone else [full] if len(full) else []:
            ids, mask = pad(
                tokens, part, pad_token_id=self.manifest.pad_token_id, side=self.manifest.padding_side
            )
            found = self._post_processing(self._runtime.run(ids, mask, work.skip), mask, work.skip)
            rows = found[:, : work.dimension].astype(np.float64)
            if work.normalize:
                # Even if the graph does: in float32 it leaves norms off by some 1e-7, and scores over 1.
                norms = np.sqrt(sum_rows(rows * rows))
                rows /= np.where(norms == 0, 1, norms)[:, None]
            vectors[part] = rows
        return len(places)
