"""The encoder: sentences in, vectors out, in their order."""

from __future__ import annotations

import functools
import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lightmine.encoder.batching import WINDOW, WINDOW_CHARACTERS, windows
from lightmine.encoder.embedding_quantization import quantize, ranges_of
from lightmine.encoder.options import EncodeOptions, Options, settle
from lightmine.encoder.pipeline import Counts, Pipeline
from lightmine.encoder.runtime import Runtime
from lightmine.encoder.sentences import check_container, check_filled, check_sentences
from lightmine.encoder.tokenizer import Tokenizer
from lightmine.errors import ArgumentError, BundleError
from lightmine.loading.modules import SENTENCE
from lightmine.loading.resolve import is_hub_name, open_source
from lightmine.loading.resolved_model import ResolvedModel
from lightmine.progress import open_progress

# Called with the number of sentences done, and the number in all where that is known.
Progress = Callable[[int, int | None], None]


class Encoder:
    """A sentence encoder that runs without PyTorch.

    Attributes
    ----------
    manifest : Manifest
        What the bundle says about itself.
    provider : str
        What runs the graph: ``cpu``, ``openvino`` or ``cuda``.
    reason : str
        Why that, and why not another.
    dimension : int
        Numbers in a vector.
    truncated : int
        How many of the sentences that this thread's last `encode` or `stream` gave back were cut.
    without_tokens : tuple of int
        Which of them have no tokens, by their place, where ``no_tokens="zeros"`` let them through.

    An encoder can be pickled: the copy opens the same model again, and refuses one that has changed.

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
        self._head = source.head
        self._last = threading.local()  # threads that share an encoder do not see each other's counts
        self._opened: dict[str, Any] = {}

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
        return _reopened, (self._opened, self.fingerprint)

    @classmethod
    def load(
        cls,
        model: str | Path | None = None,
        *,
        revision: str | None = None,
        file: str | None = None,
        pooling: str | None = None,
        provider: str = "auto",
        threads: int | None = None,
        provider_options: Mapping[str, str] | None = None,
        verify: str = "full",
    ) -> Encoder:
        """Open a model: a bundle, a directory that carries ONNX, or one from a hub.

        Parameters
        ----------
        model : path or str, optional
            A bundle's folder, every file of which is checked against its hash; a directory with an ONNX
            graph, as sentence-transformers or optimum writes it; the name of a model that comes with
            lightmine; or ``owner/name`` on a hub. Without it, ``static-multilingual``, which comes along.
        revision : str, optional
            A hub model's branch, tag or commit; ``owner/name@revision`` says the same.
        file : str, optional
            Which ONNX file, where a directory or hub model has several.
        pooling : str, optional
            For a directory that says nothing of pooling: ``"mean"``, ``"cls"``, ``"cls+max"`` ...
        provider : str
            ``cpu``; ``openvino`` (extra ``[openvino]``; bf16 where the processor has it); ``cuda``
            (onnxruntime-gpu in the place of onnxruntime); or ``auto``: CUDA where it runs the graph, else
            the CPU. `reason` says what was taken and why.
        threads : int, optional
            Workers; by default what `lightmine.system.threads` finds that the container grants.
        provider_options : mapping of str to str, optional
            For cpu entries of ONNX Runtime's session configuration, for openvino properties of its CPU
            device, for cuda options of its provider.
        verify : str
            How a bundle's files are checked before anything is read from them: ``full``, each by its
            SHA-256 (some 13 ms for each 10 MB), or ``size``, which finds files cut short alone.

        Raises
        ------
        BundleError
            No such model, a file missing or altered, something that cannot be honoured exactly, or a graph
            that the provider does not run whole.
        MissingExtraError
            The provider, or for a hub model huggingface_hub, is not installed.
        ArgumentError
            An unknown provider, `threads` under 1, or an option that this kind of model does not have.
        """
        if threads is not None and (not isinstance(threads, int) or threads < 1):
            raise ArgumentError(f"threads must be a whole number of at least 1, not {threads!r}")
        source = open_source(model, revision=revision, file=file, pooling=pooling, verify=verify, aside=True)
        try:
            runtime = Runtime(
                source.graph, source.manifest, provider=provider, threads=threads, options=provider_options
            )
            # What comes with lightmine is as trustworthy as the code that would look at its tokenizer.
            tokenizer = Tokenizer(
                source.tokenizer, vocabulary=source.vocabulary,
                max_tokens=source.manifest.max_tokens, lower_case=source.lower_case,
                trusted=source.hashing is not None,
            )  # fmt: skip
        finally:
            # That a file is altered is what to say, and not what else came of it.
            source.settle()
        encoder = cls(source.measured(runtime.run), tokenizer, runtime)
        encoder._opened = _pinned(model, source) | {
            "file": file, "pooling": pooling, "provider": provider, "threads": threads,
            "provider_options": None if provider_options is None else dict(provider_options),
            "verify": verify,
        }  # fmt: skip
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
        precision: str = "float32",
        ranges: NDArray[np.float32] | None = None,
        fast: bool = False,
        batch_tokens: int | None = None,
        threads: int | None = None,
        no_tokens: Literal["error", "zeros"] = "error",
        progress: Progress | bool | None = None,
    ) -> NDArray[Any]:
        """Encode sentences, each vector a function of its own sentence alone.

        Parameters
        ----------
        sentences : iterable of str
            A list, a Series, an array or a generator of strings; of a DataFrame one column,
            ``df["text"]``.
        prompt : str, optional
            Goes before every sentence; by default the model's default prompt, ``""`` for none.
        prompt_name : str, optional
            The same, by its name in the manifest.
        truncate_dim : int, optional
            Only the first so many dimensions, for models trained so (Matryoshka).
        normalize : bool
            Unit rows, after `truncate_dim`. Without it rows are as the graph gives them.
        max_tokens : int, optional
            Longest input, special tokens and prompt counted; at most, and by default, the model's own.
        precision : str
            ``float32``, ``float16``, ``int8`` or ``binary``: see `lightmine.encoder.embedding_quantization`.
        ranges : float32 array of shape (2, dimension), optional
            What int8 stands for, from `calibrate`; int8 needs it.
        fast : bool
            Run in batches even a graph whose vectors then depend a little on their batch-mates.
        batch_tokens : int, optional
            Tokens, padding counted, that one run of the graph is given; changes time, not vectors. By
            default what was measured best.
        threads : int, optional
            Workers; by default those that the encoder was loaded for.
        no_tokens : {"error", "zeros"}
            What becomes of a sentence in which the tokenizer finds no token (an empty one, or one of
            characters that it drops): refuse it, or give it a row of zeros and list its place in
            `without_tokens`.
        progress : callable or bool, optional
            True shows a bar on stderr. A function is called with the number of sentences done, and the
            number in all (None where it is not known).

        Returns
        -------
        array of shape (n, dimension), C-contiguous
            In the order of `sentences`, of the dtype that `precision` says; unit rows in float32.

        Raises
        ------
        TextError
            An item is not a string, or has no tokens at all (an empty string); or `sentences` is a table, a
            mapping or a set, or gives another number of items than its length says.
        ArgumentError
            An option out of range, or one that the model does not have.
        """
        options = Options(
            prompt, prompt_name, truncate_dim, normalize, max_tokens, precision, ranges, fast,
            batch_tokens, threads, no_tokens,
        )  # fmt: skip
        check_container(sentences)
        if isinstance(sentences, Sequence):
            check_sentences(sentences)  # before the work, not after the half of it
        blocks = self._blocks(sentences, options, progress)
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

    def stream(
        self, sentences: Iterable[str], *, progress: Progress | bool | None = None, **options: Any
    ) -> Iterator[NDArray[Any]]:
        """Encode as many sentences as there are, in bounded memory.

        Parameters
        ----------
        sentences : iterable of str
            Read some ten thousand ahead of what is given back.
        progress, **options
            As for `encode`.

        Yields
        ------
        array of shape (some, dimension)
            Vectors of the next sentences, in their order.

        Examples
        --------
        >>> lines = (f"line {number}" for number in range(40_000))
        >>> [len(block) for block in Encoder.load().stream(lines)]
        [9886, 16384, 11023, 2707]
        """
        check_container(sentences)
        blocks = self._blocks(sentences, Options.of(options), progress)
        next(blocks)
        return blocks

    @staticmethod
    def windows(sentences: Iterable[str]) -> Iterator[list[str]]:
        """Sentences in the pieces that `stream` gives back, which depend on the sentences alone.

        A stream that starts where a piece starts has the same pieces from there on, and the same vectors to
        the byte.

        Examples
        --------
        >>> [len(window) for window in Encoder.windows(f"line {number}" for number in range(40_000))]
        [9886, 16384, 11023, 2707]
        """
        return windows(sentences, size=WINDOW, characters=WINDOW_CHARACTERS)

    def calibrate(self, sentences: Iterable[str], **options: Any) -> NDArray[np.float32]:
        """Ranges for ``precision="int8"`` from a sample like what is to be encoded, some thousand sentences.

        Options are those of `encode`, to be the same when the ranges are used.

        Examples
        --------
        >>> encoder = Encoder.load()
        >>> ranges = encoder.calibrate(["a cat", "ein Hund", "two dogs"])
        >>> encoder.encode(["a dog"], precision="int8", ranges=ranges).dtype
        dtype('int8')
        """
        return ranges_of(self.encode(sentences, **options))

    def identity(self, **options: Any) -> dict[str, Any]:
        """Everything but the text that a vector depends on: what kept embeddings are recognised by.

        Parameters
        ----------
        **options
            As for `encode`.

        Returns
        -------
        dict of str to what JSON can hold
            The model's fingerprint, the provider, and every option as it was settled.

        Examples
        --------
        >>> identity = Encoder.load().identity(prompt="query: ")
        >>> identity["prompt"], identity["dimension"], len(identity["model"])
        ('query: ', 320, 64)
        """
        work = self._settled(Options.of(options))
        batches = "any"
        if self.manifest.batch != "any":
            batches = "alone" if work.alone else f"{work.batch_tokens} tokens"
        ranges = None if work.ranges is None else np.ascontiguousarray(work.ranges, np.float32).tobytes()
        return {
            "model": self.fingerprint,
            "provider": self.provider,
            "prompt": work.prompt,
            "dimension": work.dimension,
            "max_tokens": options.get("max_tokens") or self.manifest.max_tokens,
            "normalize": work.normalize,
            "precision": work.precision,
            "ranges": None if ranges is None else hashlib.sha256(ranges).hexdigest(),
            "batches": batches,
        }

    @functools.cached_property
    def fingerprint(self) -> str:
        """A SHA-256 over the model's files and settings; see `ResolvedModel.fingerprint`."""
        return self._source.fingerprint()

    def _settled(self, options: Options) -> EncodeOptions:
        pooled = self._head.feature == SENTENCE
        return settle(options, self.manifest, self._runtime, self._tokenizer, pooled=pooled)

    def _blocks(
        self, sentences: Iterable[str], options: Options, progress: Progress | bool | None
    ) -> Iterator[NDArray[Any]]:
        """No rows, which tell shape and dtype and that the options are right; then all rows in blocks."""
        work = self._settled(options)
        counts = self._last.counts = Counts()
        total = len(sentences) if isinstance(sentences, Sized) else None
        empty = np.empty((0, work.dimension), np.float32)
        yield quantize(empty, work.precision, work.ranges)
        pipeline = Pipeline(work, self.manifest, self._runtime, self._head)
        with open_progress(progress, "encoding", " sentences") as tell:
            show = (lambda done: tell(done, total)) if tell else int
            yield from pipeline.blocks(self.windows(sentences), counts, show)


def _pinned(model: str | Path | None, source: ResolvedModel) -> dict[str, Any]:
    """How to open the same model again, from whatever folder."""
    if model is not None and Path(model).exists():
        return {"model": os.path.abspath(model), "revision": None}
    # A branch of a hub model may move on; the commit that was opened does not.
    hub = isinstance(model, str) and is_hub_name(model)
    if not hub:
        return {"model": None if model is None else str(model), "revision": None}
    revision = source.manifest.extra.get("hub_revision") or source.manifest.revision
    return {"model": str(model).partition("@")[0], "revision": revision}


def _reopened(opened: dict[str, Any], fingerprint: str) -> Encoder:
    """The copy of a pickled encoder."""
    encoder = Encoder.load(**opened)
    if encoder.fingerprint != fingerprint:
        raise BundleError(
            f"{opened['model'] or encoder.manifest.name}: is not the model that was pickled; its files or "
            "settings have changed since"
        )
    return encoder
