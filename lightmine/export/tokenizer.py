"""The bundle's tokenizer: the source's own fast one, or its slow one converted and proved the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from lightmine.errors import BundleError, MissingExtraError
from lightmine.export.sentences import evaluation_sentences
from lightmine.export.source import first_line
from lightmine.loading.bundle import TOKENIZER

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def write_tokenizer(model: SentenceTransformer, folder: Path, *, source_folder: Path) -> str:
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
        if pieces := _sentencepiece(source_folder):
            compare_pieces(fast, pieces)
            made = f"made of {pieces.name}, compared on {len(evaluation_sentences()[0])} sentences"
    else:
        fast = convert(source)
        made = (
            f"{type(source).__name__} converted, ids compared on {len(evaluation_sentences()[0])} sentences"
        )
    fast.no_truncation()
    fast.no_padding()
    fast.save(str(folder / TOKENIZER))
    return made


def _sentencepiece(folder: Path) -> Path | None:
    """The sentencepiece model of a folder that has no fast tokenizer, which transformers then makes of it."""
    if any(folder.glob("**/tokenizer.json")):
        return None
    return next(iter(sorted([*folder.glob("*.model"), *folder.glob("0_Transformer/*.model")])), None)


def compare_pieces(fast: Tokenizer, path: Path) -> None:
    """Refuse a fast tokenizer that cuts any of our sentences into other pieces than sentencepiece does.

    Raises
    ------
    MissingExtraError
        sentencepiece is not installed.
    BundleError
        They differ.
    """
    try:
        import sentencepiece
    except ImportError as error:
        raise MissingExtraError(
            f"{path.name} has to be compared with what is made of it: pip install sentencepiece"
        ) from error
    own = sentencepiece.SentencePieceProcessor(model_file=str(path))
    for sentence in evaluation_sentences()[0]:
        wanted, found = own.encode(sentence, out_type=str), fast.encode(sentence, add_special_tokens=False)
        # Where sentencepiece shows an unknown piece's text, tokenizers shows the unknown token.
        if [own.piece_to_id(piece) == own.unk_id() or piece for piece in wanted] != [
            own.piece_to_id(piece) == own.unk_id() or piece for piece in found.tokens
        ]:
            raise BundleError(
                f"the fast tokenizer made of {path.name} gives {found.tokens[:5]} in the place of "
                f"{wanted[:5]} for {sentence[:60]!r}: it cannot be exported exactly"
            )


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
            f"{kind} has no fast form that transformers knows ({error_line(error, 0)}); save the model with a "
            "tokenizer.json first"
        ) from error
    for sentence in evaluation_sentences()[0]:
        wanted, found = slow(sentence)["input_ids"], fast.encode(sentence).ids
        if list(wanted) != list(found):
            at = next((i for i, pair in enumerate(zip(wanted, found, strict=False)) if len({*pair}) > 1), -1)
            raise BundleError(
                f"{kind} converted gives other ids, {found[at : at + 3]} in the place of "
                f"{wanted[at : at + 3]}, for {sentence[:60]!r}: it cannot be exported exactly"
            )
    return fast
