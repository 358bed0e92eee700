"""The tokenizer of the static model: a normalized text, words and punctuation apart, over bytes.

Pieces are learnt by the Unigram method, which finds those worth having, and text is read by WordPiece: the
longest piece that fits, from left to right. Both cut words almost alike (3 % fewer pieces), and WordPiece
reads 1.7 times as fast and loads three times as fast. Its alphabet are bytes, so no text is unknown to it.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from export_scripts.static_normalizer import normalizer

UNKNOWN = "<unk>"
BYTES = tuple(sorted(pre_tokenizers.ByteLevel.alphabet()))
INSIDE = "##"  # before a piece that does not begin a word
# A Chinese character, a mark, or a run of anything else: long ones are cut, since the longest piece is looked
# for in time that grows with their square.
CHINESE = r"\p{Han}"
PARTS = rf"{CHINESE}|[\p{{P}}\p{{S}}]|[^\s\p{{P}}\p{{S}}\p{{Han}}]{{1,40}}"
LONGEST = 40 * 4  # bytes of such a run


def train_tokenizer(
    sentences: Sequence[str], *, pieces: int, rare: int, piece_length: int, words: Sequence[str] = ()
) -> Tokenizer:
    """Learn `pieces` pieces, the unknown piece and the bytes, at a word's beginning and inside, among them.

    A character seen fewer than `rare` times is left to the bytes: its own piece would hardly be trained.
    Learnt are a quarter more than that; of these the ones stay that are met most often in the sentences.
    `words` are pieces whether they are met or not.
    """
    normalised = [normalizer().normalize_str(sentence) for sentence in sentences]
    unigram = Tokenizer(models.Unigram())
    unigram.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(),
            pre_tokenizers.Split(Regex(rf"[\p{{P}}\p{{S}}&&[^▁]]|{CHINESE}"), "isolated"),
        ]
    )
    trainer = trainers.UnigramTrainer(
        vocab_size=pieces + pieces // 4,
        unk_token=UNKNOWN,
        special_tokens=[UNKNOWN],
        max_piece_length=piece_length,
        show_progress=False,
    )
    unigram.train_from_iterator(_common_characters(normalised, rare), trainer)
    learnt = sorted(_word_pieces(piece for piece in unigram.get_vocab() if piece != UNKNOWN))
    alphabet = [*BYTES, *(INSIDE + byte for byte in BYTES)]
    certain = [*dict.fromkeys([UNKNOWN, *alphabet, *map(_over_bytes, words)])]
    tokenizer = _word_piece([*dict.fromkeys([*certain, *learnt])])
    ids, _ = encode(tokenizer, sentences)
    counts = np.bincount(ids, minlength=tokenizer.get_vocab_size())
    counts[: len(certain)] += len(ids)
    # Ids that are equally common keep the order of their pieces, so that every run gives the same.
    kept = np.argsort(-counts, kind="stable")[:pieces]
    return _word_piece([tokenizer.id_to_token(place) for place in kept[counts[kept] > 0]])


def _common_characters(sentences: Sequence[str], rare: int) -> Iterator[str]:
    """Yield the sentences without their rare characters."""
    counts = Counter(character for sentence in sentences for character in sentence)
    drop = {ord(character): None for character, count in counts.items() if count < rare}
    return (sentence.translate(drop) for sentence in sentences)


def _word_pieces(pieces: Iterable[str]) -> set[str]:
    """Unigram's pieces, which mark a word's beginning, as WordPiece's over bytes, which mark the rest."""
    out = set()
    for piece in pieces:
        text = piece.removeprefix("▁")
        # What stands alone, and what follows a mark, has no sign of a beginning and yet begins.
        if text and (text != piece or _alone(text)):
            out.add(_over_bytes(text))
        if text and text == piece and not _alone(text):
            out.add(INSIDE + _over_bytes(text))
    return out


def _over_bytes(text: str) -> str:
    written: str = normalizers.ByteLevel().normalize_str(text)
    return written


def _alone(text: str) -> bool:
    return len(text) == 1 and (
        unicodedata.category(text)[0] in "PS" or "CJK UNIFIED" in unicodedata.name(text, "")
    )


def _word_piece(vocabulary: Sequence[str]) -> Tokenizer:
    tokenizer = Tokenizer(
        models.WordPiece(
            vocab={piece: place for place, piece in enumerate(vocabulary)},
            unk_token=UNKNOWN,
            continuing_subword_prefix=INSIDE,
            max_input_chars_per_word=LONGEST,
        )
    )
    tokenizer.normalizer = normalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PARTS), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer


def encode(tokenizer: Tokenizer, sentences: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The piece ids of all sentences, end to end, and where each begins; an empty one is unknown."""
    parts, lengths = [], []
    for first in range(0, len(sentences), 50_000):
        found = [one.ids or [0] for one in tokenizer.encode_batch_fast(sentences[first : first + 50_000])]
        lengths += map(len, found)
        parts.append(np.fromiter((piece for one in found for piece in one), np.int32))
    starts = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=starts[1:])
    return np.concatenate(parts), starts
