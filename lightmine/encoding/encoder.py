"""The encoder: sentences in, unit rows out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightmine.encoding.batching import batches, pad
from lightmine.encoding.bundle import Manifest
from lightmine.encoding.pooling import Head
from lightmine.encoding.runtime import Runtime
from lightmine.encoding.source import open_source
from lightmine.encoding.tokenizer import Tokenizer, check_sentences
from lightmine.errors import ArgumentError, TextError
from lightmine.threads import default_threads

Progress = Callable[[int, int], None]

# Sentences tokenised and sorted by length together: enough for batches without padding, few enough
# that their ids stay in some tens of megabytes.
WINDOW = 16_384
# Tokens in a batch: large enough to keep a core busy, small enough for its cache (measured: 256 to 512).
BATCH_TOKENS = 512


class Encoder:
    """A sentence encoder that runs without PyTorch.

    Attributes
    ----------
    manifest : Manifest
        What the bundle says about itself.
    truncated : int
        How many of the sentences of the last `encode` were cut at ``manifest.max_tokens``.

    Examples
    --------
    >>> encoder = Encoder.load()
    >>> x = encoder.encode(["The dog sleeps under the table.", "Der Hund schläft unter dem Tisch."])
    >>> x.shape, x.dtype
    ((2, 256), dtype('float32'))
    >>> bool(x[0] @ x[1] > 0.5)
    True
    """

    def __init__(self, manifest: Manifest, tokenizer: Tokenizer, runtime: Runtime, head: Head) -> None:
        self.manifest = manifest
        self.truncated = 0
        self._tokenizer = tokenizer
        self._runtime = runtime
        self._head = head

    @classmethod
    def load(
        cls,
        model: str | Path | None = None,
        *,
        revision: str | None = None,
        file: str | None = None,
        pooling: str | None = None,
    ) -> Encoder:
        """Open a model: a bundle, a directory that carries ONNX, or one from a hub.

        Parameters
        ----------
        model : path or str, optional
            A bundle's folder, every file of which is checked against its hash; a directory with an ONNX
            graph, as sentence-transformers or optimum writes it; or ``owner/name`` on a hub. Without it,
            the model that comes with lightmine.
        revision : str, optional
            A hub model's branch, tag or commit; ``owner/name@revision`` says the same.
        file : str, optional
            Which ONNX file, where a directory or hub model has several.
        pooling : str, optional
            For a directory that says nothing of pooling: ``"mean"``, ``"cls"``, ``"cls+max"`` ...

        Raises
        ------
        BundleError
            No such model, a file missing or altered, or something that cannot be honoured exactly.
        MissingExtraError
            A hub model, and huggingface_hub is not installed.
        """
        source = open_source(model, revision=revision, file=file, pooling=pooling)
        runtime = Runtime(source.graph, source.manifest)
        source = source.measured(runtime.run)
        manifest = source.manifest
        tokenizer = Tokenizer(source.tokenizer, max_tokens=manifest.max_tokens, lower_case=source.lower_case)
        return cls(manifest, tokenizer, runtime, source.head)

    def encode(
        self,
        sentences: Sequence[str],
        *,
        batch_tokens: int = BATCH_TOKENS,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> NDArray[np.float32]:
        """Encode sentences, each vector a function of its own sentence alone.

        Parameters
        ----------
        sentences : sequence of str
        batch_tokens : int
            Tokens, padding counted, that one run of the graph is given; changes time, not vectors.
        threads : int, optional
            Workers; by default one for each processor that the process may use.
        progress : callable, optional
            Called with the number of sentences done and the number in all.

        Returns
        -------
        float32 array of shape (n, dimension), C-contiguous, unit rows
            In the order of `sentences`.

        Raises
        ------
        TextError
            An item is not a string, or has no tokens at all (an empty string).
        ArgumentError
            `batch_tokens` or `threads` under 1.
        """
        check_sentences(sentences)
        workers = default_threads() if threads is None else threads
        if not all(isinstance(count, int) and count >= 1 for count in (batch_tokens, workers)):
            raise ArgumentError(
                "batch_tokens and threads must be whole numbers of at least 1, "
                f"not {batch_tokens!r} and {workers!r}"
            )
        prompt = self.manifest.prompts.get(self.manifest.default_prompt or "", "")
        vectors = np.empty((len(sentences), self.manifest.dimension), np.float32)
        self.truncated = done = 0
        with ThreadPoolExecutor(workers) as pool:
            running: set[Future[int]] = set()
            for start in range(0, len(sentences), WINDOW):
                window = [prompt + sentence for sentence in sentences[start : start + WINDOW]]
                ids, cut = self._tokenizer.ids(window)
                _check_tokens(ids, start)
                self.truncated += cut
                for batch in batches([len(row) for row in ids], batch_tokens=batch_tokens):
                    part = [ids[place] for place in batch]
                    running.add(pool.submit(self._encode_batch, part, vectors, start + batch))
                    # A short queue keeps the workers busy and the ids few.
                    for count in _finished(running, at_most=4 * workers):
                        done += count
                        if progress:
                            progress(done, len(sentences))
            for count in _finished(running, at_most=0):
                done += count
                if progress:
                    progress(done, len(sentences))
        return vectors

    def _encode_batch(
        self, ids: list[list[int]], vectors: NDArray[np.float32], places: NDArray[np.intp]
    ) -> int:
        manifest = self.manifest
        padded, mask = pad(ids, pad_token_id=manifest.pad_token_id, side=manifest.padding_side)
        # Even if the graph normalises: in float32 it leaves norms off by some 1e-7, and scores over 1.
        batch = self._head(self._runtime.run(padded, mask), mask).astype(np.float64)
        vectors[places] = batch / np.sqrt(np.einsum("ij,ij->i", batch, batch))[:, None]
        return len(ids)


def _finished(running: set[Future[int]], *, at_most: int) -> Iterator[int]:
    """Wait until at most so many are left; what the others returned."""
    while len(running) > at_most:
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        running -= done
        for future in done:
            yield future.result()


def _check_tokens(ids: list[list[int]], start: int) -> None:
    for place, row in enumerate(ids, start=start):
        if not row:
            raise TextError(f"sentences[{place}] is empty: it has no tokens to encode; drop it")
