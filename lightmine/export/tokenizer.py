"""The bundle's tokenizer: the source's fast tokenizer, or its slow one converted and compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from lightmine.errors import BundleError, MissingExtraError, error_line
from lightmine.export.sentences import evaluation_sentences
from lightmine.loading.bundle import TOKENIZER

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def write_tokenizer(model: SentenceTransformer, folder: Path, *, source_folder: Path) -> str:
    """Save the tokenizer, with truncation and padding switched off.

    Returns
    -------
    str
        Its origin, for the report.

    Raises
    ------
    BundleError
        There is no fast form of it, or the fast form gives other ids.
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
    """The sentencepiece model that transformers converts, if the folder has no fast tokenizer."""
    if any(folder.glob("**/tokenizer.json")):
        return None
    return next(iter(sorted([*folder.glob("*.model"), *folder.glob("0_Transformer/*.model")])), None)


def compare_pieces(fast: Tokenizer, path: Path) -> None:
    """Refuse a fast tokenizer that gives other tokens than sentencepiece for any of our sentences.

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
        what = f"{path.name} and the tokenizer made of it have to be compared, which needs sentencepiece"
        raise MissingExtraError.of("export", what, only=("sentencepiece",)) from error
    own = sentencepiece.SentencePieceProcessor(model_file=str(path))
    for sentence in evaluation_sentences()[0]:
        wanted, found = own.encode(sentence, out_type=str), fast.encode(sentence, add_special_tokens=False)
        # For an unknown token sentencepiece shows its text, and tokenizers shows the unknown token.
        if [own.piece_to_id(piece) == own.unk_id() or piece for piece in wanted] != [
            own.piece_to_id(piece) == own.unk_id() or piece for piece in found.tokens
        ]:
            raise BundleError(
                f"the fast tokenizer made of {path.name} gives {found.tokens[:5]} instead of "
                f"{wanted[:5]} for {sentence[:60]!r}: it cannot be exported exactly"
            )


def convert(slow: Any) -> Tokenizer:
    """The fast form of a slow tokenizer; refused if any id differs.

    Raises
    ------
    BundleError
        transformers cannot convert this kind, or a sentence gets other ids.
    """
    from transformers.convert_slow_tokenizer import convert_slow_tokenizer

    kind = type(slow).__name__
    try:
        fast: Tokenizer = convert_slow_tokenizer(slow)
    except Exception as error:  # the converter raises errors of many kinds
        raise BundleError(
            f"{kind} has no fast form that transformers knows ({error_line(error, 0)}); save the model "
            "with a tokenizer.json first"
        ) from error
    for sentence in evaluation_sentences()[0]:
        wanted, found = slow(sentence)["input_ids"], fast.encode(sentence).ids
        if list(wanted) != list(found):
            at = next((i for i, pair in enumerate(zip(wanted, found, strict=False)) if len({*pair}) > 1), -1)
            raise BundleError(
                f"{kind} converted gives other ids, {found[at : at + 3]} instead of "
                f"{wanted[at : at + 3]}, for {sentence[:60]!r}: it cannot be exported exactly"
            )
    return fast
