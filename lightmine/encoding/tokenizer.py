"""Token ids of sentences, cut at the model's length, and how many were cut."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tokenizers

from lightmine.errors import BundleError, TextError


class Tokenizer:
    """A bundle's `tokenizer.json`, cutting at `max_tokens` with special tokens counted.

    Padding and truncation that the file itself asks for are ignored: the manifest decides.
    """

    def __init__(self, path: Path, *, max_tokens: int, lower_case: bool = False) -> None:
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception for whatever is wrong
            raise BundleError(f"{path}: not a tokenizer that can be read: {error}") from None
        if lower_case:
            steps = [tokenizers.normalizers.Lowercase(), self._tokenizer.normalizer]
            self._tokenizer.normalizer = tokenizers.normalizers.Sequence([step for step in steps if step])
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)

    def ids(self, texts: Sequence[str]) -> tuple[list[list[int]], int]:
        """Token ids of each text, and how many texts were cut."""
        encodings = self._tokenizer.encode_batch_fast(list(texts))
        return [encoding.ids for encoding in encodings], sum(bool(e.overflowing) for e in encodings)


def check_sentences(sentences: Sequence[str]) -> None:
    """Refuse what is not a sequence of strings, naming the first that is not one.

    Examples
    --------
    >>> check_sentences(["fine", None])
    Traceback (most recent call last):
    lightmine.errors.TextError: sentences[1] is a NoneType, not a string; drop or convert it
    """
    if isinstance(sentences, str | bytes):
        raise TextError("sentences must be a list of strings, not one string; put it in a list")
    for place, sentence in enumerate(sentences):
        if not isinstance(sentence, str):
            kind = type(sentence).__name__
            raise TextError(f"sentences[{place}] is a {kind}, not a string; drop or convert it")
        if not sentence.isascii() and any("\ud800" <= character <= "\udfff" for character in sentence):
            raise TextError(f"sentences[{place}] holds half a surrogate pair, which is no character; mend it")
