"""Token ids of sentences, truncated at the longest input, and how many were truncated."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import tokenizers

from lightmine.encoder.batching import Tokens
from lightmine.errors import BundleError, one_line
from lightmine.system.threads import default_threads
from lightmine.untrusted.tokenizer_checks import check_size, check_tokenizer

# Texts tokenized at a time: the library's result for a text takes a hundred times the memory of its ids.
SLICE = 1024
# Characters per token of the longest input. Of a longer text only the start is tokenized first.
MANY_CHARACTERS = 64
# The variable that sets the number of the library's threads; it is read at the first batch.
THREADS = "RAYON_NUM_THREADS"


class Tokenizer:
    """A bundle's `tokenizer.json`, which truncates texts at `max_tokens`, special tokens included.

    Padding and truncation of the file itself are ignored; the manifest has them. The tokens of a WordPiece
    tokenizer may be in a file `vocabulary`, one per line. A file that is not `trusted` is first checked for
    content that would end the process.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_tokens: int,
        vocabulary: Path | None = None,
        lower_case: bool = False,
        trusted: bool = False,
    ) -> None:
        if not trusted:
            check_tokenizer(path)
            if vocabulary:
                check_size(vocabulary)
        with _explained(path, "not a tokenizer that can be read"):
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        if vocabulary:
            with _explained(vocabulary, "not the vocabulary of a WordPiece tokenizer"):
                self._tokenizer.model = _with_vocabulary(self._tokenizer.model, vocabulary)
        if lower_case:
            steps = [tokenizers.normalizers.Lowercase(), self._tokenizer.normalizer]
            self._tokenizer.normalizer = tokenizers.normalizers.Sequence([step for step in steps if step])
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        self._path, self._vocabulary, self._lower_case = path, vocabulary, lower_case
        self._many = MANY_CHARACTERS * max_tokens
        self._lengths = {max_tokens: self}
        with _explained(path, "not a tokenizer that works"):
            added = self._tokenizer.num_special_tokens_to_add(is_pair=False)
            if added < max_tokens:
                self._tokenizer.encode("a")
        if added >= max_tokens:
            raise BundleError(f"{path}: adds {added} tokens to every text, and the longest is {max_tokens}")

    def with_max_tokens(self, max_tokens: int) -> Tokenizer:
        """The same tokenizer with another longest input, as an object of its own."""
        if max_tokens not in self._lengths:
            self._lengths[max_tokens] = Tokenizer(
                self._path, vocabulary=self._vocabulary, max_tokens=max_tokens,
                lower_case=self._lower_case, trusted=True,
            )  # fmt: skip
        return self._lengths[max_tokens]

    def ids(self, texts: Sequence[str]) -> tuple[Tokens, int]:
        """Token ids of each text, and how many texts were truncated."""
        _start_threads(self._tokenizer)
        parts, truncated = [Tokens.of([])], 0
        for start in range(0, len(texts), SLICE):
            some = [self._start_of(text) for text in texts[start : start + SLICE]]
            with _explained(self._path, "a text cannot be tokenized"):
                encodings = self._tokenizer.encode_batch_fast(some)
                parts.append(Tokens.of([encoding.ids for encoding in encodings]))
            truncated += sum(bool(encoding.overflowing) for encoding in encodings)
        return Tokens.joined(parts), truncated

    def _start_of(self, text: str) -> str:
        """The part of a text that its first tokens can depend on; a book on one line would take gigabytes.

        It ends between words and has twice the tokens that are kept. Tokenizers look at a word or at a few
        next to it, so the rest of the text changes none of the tokens that are kept.
        """
        end = self._many
        while end < len(text):
            start = text[: max(text.rfind(" ", 0, end), end // 2)]
            with _explained(self._path, "a text cannot be tokenized"):
                found = self._tokenizer.encode(start)
            if len(found.overflowing) >= 2:
                return start
            end *= 4
        return text

    def prompt_length(self, prompt: str) -> int:
        """The number of tokens of a prompt at the start of a sentence, with special tokens before it."""
        if not prompt:
            return 0
        encoding = self._tokenizer.encode(prompt)
        # The special token at the end comes after the sentence, not after the prompt.
        return len(encoding.ids) - int(bool(encoding.ids) and encoding.special_tokens_mask[-1])


_starting = threading.Lock()
_started = threading.Event()


def _start_threads(tokenizer: tokenizers.Tokenizer) -> None:
    """Make the library start its threads, once per process: as many as `default_threads` allows.

    By default it starts one per processor, whatever LIGHTMINE_THREADS says. A value that the user has set
    for the library is kept. The variable is removed afterwards, so that child processes do not see it.
    """
    if _started.is_set():
        return
    threads = str(default_threads())
    with _starting:
        if not _started.is_set() and THREADS not in os.environ:
            os.environ[THREADS] = threads
            tokenizer.encode_batch_fast([])
            del os.environ[THREADS]
        _started.set()


def _with_vocabulary(model: tokenizers.models.Model, vocabulary: Path) -> tokenizers.models.WordPiece:
    """The model with the tokens of a file."""
    if not isinstance(model, tokenizers.models.WordPiece):
        raise ValueError(f"its tokenizer.json is of {type(model).__name__}")
    return tokenizers.models.WordPiece.from_file(
        str(vocabulary),
        unk_token=model.unk_token,
        continuing_subword_prefix=model.continuing_subword_prefix,
        max_input_chars_per_word=model.max_input_chars_per_word,
    )


@contextlib.contextmanager
def _explained(path: Path, what: str) -> Iterator[None]:
    """Turn the library's errors and panics into one line that names the file."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # it raises bare Exception
        raise BundleError(f"{path}: {what}: {_line(error)}") from None
    except BaseException as error:
        # A panic of its Rust code is not an Exception, and its class cannot be imported.
        if type(error).__name__ != "PanicException":
            raise
        raise BundleError(f"{path}: {what}: {_line(error)}") from None


def _line(error: BaseException) -> str:
    return one_line(error) or type(error).__name__
