"""Options of a command that encodes and mines: the model, the limits of the machine, the output."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from lightmine.cli._command import option_set
from lightmine.cli._notes import in_words, note, note_truncated
from lightmine.cli._options import (
    cache_option,
    fast_option,
    format_option,
    memory_option,
    model_option,
    output_option,
    prompt_options,
    provider_option,
    quiet_option,
    resume_option,
    threads_option,
    verify_option,
)
from lightmine.cli._outputs import check_outputs, files_of, output_format, write_columns
from lightmine.encoder.encoder import Encoder
from lightmine.encoder.providers import Provider
from lightmine.engine.checkpoint import forget
from lightmine.engine.tiling import parse_bytes
from lightmine.errors import TextError
from lightmine.loading.bundle import Verify
from lightmine.progress import Bar
from lightmine.store import Cache
from lightmine.system.memory import check_memory
from lightmine.text.unique import UniqueTexts

# Line numbers that a note names.
LINES_SHOWN = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The model, how it is run, how pairs are mined, and where they are written."""

    output: str
    format_: str | None
    model: str | None
    provider: Provider
    verify: Verify
    fast: bool
    memory_budget: str
    threads: int | None
    prompt: str | None = None
    prompt_name: str | None = None
    resume: str | None = None
    cache: str | None
    quiet: bool

    def __post_init__(self) -> None:
        output_format(self.output, self.format_)
        parse_bytes(self.memory_budget)

    def check_outputs(self, *inputs: str | None, **outputs: str | None) -> None:
        """Refuse an output over an input, or over another output."""
        check_outputs([*inputs, *files_of(self.model)], {"--output": self.output} | outputs)

    def note(self, message: str) -> None:
        """Write one line to standard error."""
        note(message, quiet=self.quiet)

    @property
    def engine(self) -> dict[str, Any]:
        """The arguments of `lightmine.neighbors` that do not change its answer."""
        return {
            "memory_budget": self.memory_budget, "threads": self.threads,
            "progress": Bar("mining", "pair", quiet=self.quiet), "resume": self.resume,
        }  # fmt: skip

    def finished(self, message: str) -> None:
        """Note that the output is complete, and remove the checkpoint."""
        if self.resume is not None:
            forget(self.resume)
        self.note(message)

    def encoder(self) -> Encoder:
        """Load the model."""
        return Encoder.load(self.model, provider=self.provider, threads=self.threads, verify=self.verify)

    def encode(self, encoder: Encoder, texts: Sequence[str], name: str) -> NDArray[np.float32]:
        """Unit rows of texts; a text without tokens has a row of zeros. A note counts cut sentences."""
        check_memory(len(texts) * encoder.manifest.dimension * 4, f"{name}: {len(texts):,} embeddings")
        options: dict[str, Any] = {
            "fast": self.fast, "prompt": self.prompt, "prompt_name": self.prompt_name, "no_tokens": "zeros",
            "progress": Bar("encoding", "sentence", quiet=self.quiet),
        }  # fmt: skip
        if self.cache:
            return self._encode_cached(Cache(self.cache), encoder, texts, name, options)
        vectors = encoder.encode(texts, **options)
        note_truncated(encoder, name, encoder.truncated, max_tokens=None, quiet=self.quiet)
        return vectors

    def _encode_cached(
        self, cache: Cache, encoder: Encoder, texts: Sequence[str], name: str, options: dict[str, Any]
    ) -> NDArray[Any]:
        encoded = cache.encode(encoder, texts, **options)
        note_truncated(encoder, name, encoded.cut, max_tokens=None, quiet=self.quiet)
        self.note(f"{name}: {encoded.found:,} of {len(texts):,} embeddings from the cache {self.cache}")
        if encoded.damaged:
            what = "entries of the cache were" if encoded.damaged > 1 else "entry of the cache was"
            self.note(f"{name}: {encoded.damaged:,} {what} damaged, and made again")
        if encoded.unwritten:
            self.note(f"{encoded.unwritten}; new embeddings are not kept")
        return encoded.vectors

    def encode_all(
        self, encoder: Encoder, texts: Sequence[str], lines: Sequence[int], name: str
    ) -> NDArray[np.float32]:
        """Unit rows of texts; refuses a text without tokens and names its line."""
        vectors = self.encode(encoder, texts, name)
        if len(empty := np.flatnonzero(~vectors.any(axis=1))):
            raise TextError(
                f"{name}: line {lines[empty[0]]}: {encoder.manifest.name} finds no token in it; take it out"
            )
        return vectors

    def encode_unique(
        self, encoder: Encoder, texts: UniqueTexts, name: str
    ) -> tuple[UniqueTexts, NDArray[np.float32]]:
        """The texts that have tokens, and their unit rows; a note names the lines of the others."""
        vectors = self.encode(encoder, texts.texts, name)
        full = vectors.any(axis=1)
        if full.all():
            return texts, vectors
        lines = [line for row in np.flatnonzero(~full) for line in texts.lines[row]]
        if not full.any():
            raise TextError(f"{name}: {encoder.manifest.name} finds no token in any sentence")
        shown = ", ".join(f"{line:,}" for line in lines[:LINES_SHOWN]) + ", ..." * (len(lines) > LINES_SHOWN)
        self.note(
            f"{name}: {in_words(len(lines), 'line')} without a token of {encoder.manifest.name} left out "
            f"({shown}); the others keep their numbers"
        )
        return texts.take(np.flatnonzero(full).tolist()), vectors[full]

    def write(self, stream: TextIO, columns: dict[str, Any]) -> str:
        """Write pairs; returns the note for when the file is complete."""
        return write_columns(stream, self.output, columns, format_=output_format(self.output, self.format_))


run_options = option_set(
    "run", RunOptions,
    output_option, format_option, model_option, provider_option, verify_option, fast_option, prompt_options,
    memory_option, threads_option, resume_option, cache_option, quiet_option,
)  # fmt: skip
