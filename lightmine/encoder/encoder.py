"""The encoder: sentences in, vectors out, in the same order.

This file is long because every public method shows all its options; the work is in the other files.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightmine.encoder.batching import WINDOW, WINDOW_CHARACTERS, windows
from lightmine.encoder.embedding_quantization import Precision, quantize, ranges_of
from lightmine.encoder.identity import vector_identity
from lightmine.encoder.open_model import LoadOptions, open_model, reopening
from lightmine.encoder.options import EncodeOptions, NoTokens, RequestedOptions, complete_options
from lightmine.encoder.pipeline import Counts, Pipeline, join_blocks
from lightmine.encoder.providers import Provider
from lightmine.encoder.runtime import Runtime
from lightmine.encoder.sentences import check_container, check_sentences
from lightmine.encoder.tokenizer import Tokenizer
from lightmine.errors import BundleError
from lightmine.loading.bundle import Verify
from lightmine.loading.modules import SENTENCE
from lightmine.loading.resolved_model import ResolvedModel
from lightmine.progress import StreamProgress, open_progress


class Encoder:
    """A sentence encoder that runs without PyTorch.

    Attributes
    ----------
    manifest : Manifest
        What the model states about itself.
    provider : str
        What runs the graph: ``cpu``, ``openvino`` or ``cuda``.
    reason : str
        Why this provider, and why not another.
    dimension : int
        Dimensions of a vector.
    truncated : int
        How many sentences of this thread's last `encode` or `stream` were longer than the longest input.
    without_tokens : tuple of int
        The positions of those without tokens, which have rows of zeros with ``no_tokens="zeros"``.

    An encoder can be pickled. The copy opens the same model again, and refuses one that has changed.

    Examples
    --------
    >>> encoder = Encoder.load()
    >>> x = encoder.encode(["The dog sleeps under the table.", "Der Hund schläft unter dem Tisch."])
    >>> x.shape, x.dtype
    ((2, 320), dtype('float32'))
    >>> bool(x[0] @ x[1] > 0.5)
    True
    """

    def __init__(self, source: ResolvedModel, tokenizer: Tokenizer, runtime: Runtime) -> None:
        self.manifest = source.manifest
        self.provider, self.reason = runtime.provider, runtime.reason
        self._source = source
        self._tokenizer = tokenizer
        self._runtime = runtime
        self._last = threading.local()  # threads that share an encoder do not see each other's counts
        self._reopening: dict[str, Any] = {}

    @property
    def dimension(self) -> int:
        """See above."""
        return self.manifest.dimension

    @property
    def truncated(self) -> int:
        """See above."""
        return self._counts.truncated

    @property
    def without_tokens(self) -> tuple[int, ...]:
        """See above."""
        return tuple(self._counts.without_tokens)

    @property
    def _counts(self) -> Counts:
        return getattr(self._last, "counts", Counts())

    def __repr__(self) -> str:
        return (
            f"Encoder({self.manifest.name!r}, dimension={self.dimension}, "
            f"max_tokens={self.manifest.max_tokens}, provider={self.provider!r})"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self._reopening, self.fingerprint)

    @classmethod
    def load(
        cls,
        model: str | Path | None = None,
        *,
        revision: str | None = None,
        file: str | None = None,
        pooling: str | None = None,
        provider: Provider = "auto",
        threads: int | None = None,
        provider_options: Mapping[str, str] | None = None,
        verify: Verify = "full",
    ) -> Encoder:
        """Open a model: a bundle, a directory with an ONNX graph, or a model on a hub.

        Parameters
        ----------
        model : path or str, optional
            A bundle's folder, every file of which is checked against its hash; a directory with an ONNX
            graph, as sentence-transformers or optimum writes it; the name of a packaged model; or
            ``owner/name`` on a hub. By default the packaged model ``static-multilingual``.
        revision : str, optional
            A hub model's branch, tag or commit; ``owner/name@revision`` says the same.
        file : str, optional
            The ONNX file to run, if a directory or hub model has several.
        pooling : str, optional
            For a directory whose files state no pooling: ``"mean"``, ``"cls"``, ``"cls+max"`` ...
        provider : {"auto", "cpu", "openvino", "cuda"}
            ``cpu``; ``openvino`` (extra ``[openvino]``; in bf16 if the processor has it); ``cuda``
            (onnxruntime-gpu instead of onnxruntime); or ``auto``: CUDA if it runs the graph, else the
            CPU. `reason` says which one was taken and why.
        threads : int, optional
            Workers; by default the number that `lightmine.system.threads` finds.
        provider_options : mapping of str to str, optional
            For cpu entries of ONNX Runtime's session configuration, for openvino properties of its CPU
            device, for cuda options of its provider.
        verify : {"full", "size"}
            How a bundle's files are checked before they are read: ``full`` by SHA-256 (about 13 ms for
            10 MB), ``size`` by size, which finds only incomplete files.

        Raises
        ------
        BundleError
            No such model, a file missing or altered, something that cannot be honoured exactly, or a graph
            that the provider does not run completely.
        MissingExtraError
            The provider, or for a hub model huggingface_hub, is not installed.
        ArgumentError
            An unknown provider, `threads` under 1, or an option that this kind of model does not have.
        """
        options = LoadOptions(
            revision=revision, file=file, pooling=pooling, provider=provider, threads=threads,
            provider_options=provider_options, verify=verify,
        )  # fmt: skip
        source, tokenizer, runtime = open_model(model, options)
        encoder = cls(source, tokenizer, runtime)
        encoder._reopening = reopening(model, options, source)
        return encoder

    def encode(
        self,
        sentences: Iterable[str],
        *,
        prompt: str | None = None,
        prompt_name: str | None = None,
        truncate_dim: int | None = None,
        normalize: bool = True,
        max_tokens: int | None = None,
        precision: Precision = "float32",
        ranges: NDArray[np.float32] | None = None,
        fast: bool = False,
        batch_tokens: int | None = None,
        threads: int | None = None,
        no_tokens: NoTokens = "error",
        progress: StreamProgress | bool | None = None,
    ) -> NDArray[Any]:
        """Encode sentences. Each vector depends on its own sentence alone.

        Parameters
        ----------
        sentences : iterable of str
            A list, a Series, an array or a generator of strings; of a DataFrame one column,
            ``df["text"]``.
        prompt : str, optional
            Text before every sentence; by default the model's default prompt, ``""`` for none.
        prompt_name : str, optional
            The name of one of the manifest's prompts.
        truncate_dim : int, optional
            Keep only the first dimensions, for models that are trained for it (Matryoshka).
        normalize : bool
            Unit rows, after `truncate_dim`. If False, rows are as the graph gives them.
        max_tokens : int, optional
            Longest input, with special tokens and prompt; at most, and by default, the model's own.
        precision : {"float32", "float16", "int8", "binary"}
            See `lightmine.encoder.embedding_quantization`.
        ranges : float32 array of shape (2, dimension), optional
            The values that -128 and 127 stand for, from `calibrate`; required for int8.
        fast : bool
            Run in batches also a graph whose vectors then depend a little on the rest of the batch.
        batch_tokens : int, optional
            Tokens of a batch, with padding; it changes time, not vectors. By default the fastest measured.
        threads : int, optional
            Workers; by default those that the encoder was loaded for.
        no_tokens : {"error", "zeros"}
            For a sentence in which the tokenizer finds no token (an empty one, or one of characters that it
            drops): raise an error, or give it a row of zeros and list its position in `without_tokens`.
        progress : callable or bool, optional
            True shows a bar on stderr. A function is called with the number of sentences done, and the
            number in all (None if it is not known).

        Returns
        -------
        array of shape (n, dimension), C-contiguous
            In the order of `sentences`, with the dtype of `precision`; unit rows in float32.

        Raises
        ------
        TextError
            An item is not a string, or has no tokens (an empty string); or `sentences` is a table, a
            mapping or a set, or gives another number of items than its length.
        ArgumentError
            An option is out of range, or the model does not have it.
        """
        requested = RequestedOptions(
            prompt, prompt_name, truncate_dim, normalize, max_tokens, precision, ranges, fast,
            batch_tokens, threads, no_tokens,
        )  # fmt: skip
        check_container(sentences)
        if isinstance(sentences, Sequence):
            check_sentences(sentences)  # before the work starts
        return join_blocks(sentences, self._blocks(sentences, requested, progress))

    def stream(
        self,
        sentences: Iterable[str],
        *,
        prompt: str | None = None,
        prompt_name: str | None = None,
        truncate_dim: int | None = None,
        normalize: bool = True,
        max_tokens: int | None = None,
        precision: Precision = "float32",
        ranges: NDArray[np.float32] | None = None,
        fast: bool = False,
        batch_tokens: int | None = None,
        threads: int | None = None,
        no_tokens: NoTokens = "error",
        progress: StreamProgress | bool | None = None,
    ) -> Iterator[NDArray[Any]]:
        """Encode any number of sentences in bounded memory; the options are those of `encode`.

        Yields
        ------
        array of shape (some, dimension)
            Vectors of the next sentences, in their order. About ten thousand sentences are read ahead.

        Examples
        --------
        >>> lines = (f"line {number}" for number in range(40_000))
        >>> [len(block) for block in Encoder.load().stream(lines)]
        [9886, 16384, 11023, 2707]
        """
        requested = RequestedOptions(
            prompt, prompt_name, truncate_dim, normalize, max_tokens, precision, ranges, fast,
            batch_tokens, threads, no_tokens,
        )  # fmt: skip
        check_container(sentences)
        blocks = self._blocks(sentences, requested, progress)
        next(blocks)
        return blocks

    @staticmethod
    def windows(sentences: Iterable[str]) -> Iterator[list[str]]:
        """The groups of sentences whose vectors `stream` yields; they depend on the sentences alone.

        A stream that starts at the start of a window has the same windows from there on, and vectors that
        are equal to the byte.

        Examples
        --------
        >>> [len(window) for window in Encoder.windows(f"line {number}" for number in range(40_000))]
        [9886, 16384, 11023, 2707]
        """
        return windows(sentences, size=WINDOW, characters=WINDOW_CHARACTERS)

    def calibrate(
        self,
        sentences: Iterable[str],
        *,
        prompt: str | None = None,
        prompt_name: str | None = None,
        truncate_dim: int | None = None,
        normalize: bool = True,
        max_tokens: int | None = None,
        precision: Precision = "float32",
        fast: bool = False,
        batch_tokens: int | None = None,
        threads: int | None = None,
        no_tokens: NoTokens = "error",
        progress: StreamProgress | bool | None = None,
    ) -> NDArray[np.float32]:
        """Ranges for ``precision="int8"``, from a sample of some thousand sentences.

        The options are those of `encode`; use the same ones with the ranges.

        Examples
        --------
        >>> encoder = Encoder.load()
        >>> ranges = encoder.calibrate(["a cat", "ein Hund", "two dogs"])
        >>> encoder.encode(["a dog"], precision="int8", ranges=ranges).dtype
        dtype('int8')
        """
        vectors = self.encode(
            sentences, prompt=prompt, prompt_name=prompt_name, truncate_dim=truncate_dim, normalize=normalize,
            max_tokens=max_tokens, precision=precision, fast=fast, batch_tokens=batch_tokens,
            threads=threads, no_tokens=no_tokens, progress=progress,
        )  # fmt: skip
        return ranges_of(vectors)

    def identity(
        self,
        *,
        prompt: str | None = None,
        prompt_name: str | None = None,
        truncate_dim: int | None = None,
        normalize: bool = True,
        max_tokens: int | None = None,
        precision: Precision = "float32",
        ranges: NDArray[np.float32] | None = None,
        fast: bool = False,
        batch_tokens: int | None = None,
        threads: int | None = None,
        no_tokens: NoTokens = "error",
    ) -> dict[str, Any]:
        """Everything that a vector depends on besides its text; stored embeddings are recognized by it.

        The options are those of `encode`.

        Returns
        -------
        dict of str to JSON types
            The model's fingerprint, the provider, and the value that every option has.

        Examples
        --------
        >>> identity = Encoder.load().identity(prompt="query: ")
        >>> identity["prompt"], identity["dimension"], len(identity["model"])
        ('query: ', 320, 64)
        """
        requested = RequestedOptions(
            prompt, prompt_name, truncate_dim, normalize, max_tokens, precision, ranges, fast,
            batch_tokens, threads, no_tokens,
        )  # fmt: skip
        options = self._completed(requested)
        return vector_identity(options, self.manifest, fingerprint=self.fingerprint, provider=self.provider)

    @functools.cached_property
    def fingerprint(self) -> str:
        """A SHA-256 over the model's files and settings; see `ResolvedModel.fingerprint`."""
        return self._source.fingerprint()

    def _completed(self, requested: RequestedOptions) -> EncodeOptions:
        pooled = self._source.post_processing.feature == SENTENCE
        return complete_options(requested, self.manifest, self._runtime, self._tokenizer, pooled=pooled)

    def _blocks(
        self, sentences: Iterable[str], requested: RequestedOptions, progress: StreamProgress | bool | None
    ) -> Iterator[NDArray[Any]]:
        """First no rows, with the right shape and dtype, once the options are checked; then all rows."""
        options = self._completed(requested)
        counts = self._last.counts = Counts()
        total = len(sentences) if isinstance(sentences, Sized) else None
        yield quantize(np.empty((0, options.dimension), np.float32), options.precision, options.ranges)
        pipeline = Pipeline(options, self.manifest, self._runtime, self._source.post_processing)
        with open_progress(progress, "encoding", " sentences") as tell:
            show = (lambda done: tell(done, total)) if tell else int
            yield from pipeline.blocks(self.windows(sentences), counts, show)


def _reopened(arguments: dict[str, Any], fingerprint: str) -> Encoder:
    """The copy of a pickled encoder."""
    encoder = Encoder.load(**arguments)
    if encoder.fingerprint != fingerprint:
        raise BundleError(
            f"{arguments['model'] or encoder.manifest.name}: is not the model that was pickled; its files or "
            "settings have changed since"
        )
    return encoder
