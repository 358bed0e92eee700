"""The bundle's tokenizer: the source's own fast one, or its slow one converted and proved the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from export_scripts.sentences import read_sentences
from export_scripts.source import first_line
from lightmine.encoding.bundle import TOKENIZER
from lightmine.errors import BundleError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def write_tokenizer(model: SentenceTransformer, folder: Path) -> str:
    """Save the tokenizer without the truncation and padding that the last call left in it.

    Returns
    -------
    str
        Where it came from, for the report.

    Raises
    ------
    BundleError
        There is no fast form of it, or one that gives other ids.
    """
    source = model.tokenizer
    if isinstance(source, Tokenizer):  # static embeddings, which take no special tokens
        fast = Tokenizer.from_str(source.to_str())
        fast.post_processor = None
        made = "the model's own, without special tokens"
    elif hasattr(source, "backend_tokenizer"):
        fast, made = Tokenizer.from_str(source.backend_tokenizer.to_str()), "the model's own"
    else:
        fast = convert(source)
        made = f"{type(source).__name__} converted, ids compared on {len(read_sentences())} sentences"
    fast.no_truncation()
    fast.no_padding()
    fast.save(str(folder / TOKENIZER))
    return made


def convert(slow: Any) -> Tokenizer:
    """The fast form of a slow tokenizer, refused where its ids are not the same.

    Raises
    ------
    BundleError
        The kind is not known to transformers' converter, or a sentence gets other ids.
    """
    from transformers.convert_slow_tokenizer import convert_slow_tokenizer

    kind = type(slow).__name__
    try:
        fast: Tokenizer = convert_slow_tokenizer(slow)
    except Exception as error:  # the converter raises whatever it trips over
        raise BundleError(
            f"{kind} has no fast form that transformers knows ({first_line(error)}); save the model with a "
            "tokenizer.json first"
        ) from error
    for sentence in read_sentences():
        wanted, found = slow(sentence)["input_ids"], fast.encode(sentence).ids
        if list(wanted) != list(found):
            at = next((i for i, pair in enumerate(zip(wanted, found, strict=False)) if len({*pair}) > 1), -1)
            raise BundleError(
                f"{kind} converted gives other ids, {found[at : at + 3]} in the place of "
                f"{wanted[at : at + 3]}, for {sentence[:60]!r}: it cannot be exported exactly"
            )
    return fast
