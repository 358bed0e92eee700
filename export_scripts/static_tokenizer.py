"""The Unigram tokenizer of the static model: NFKC, lower case, words and punctuation apart, bytes as a net.

Text is split at spaces, at punctuation and at every Chinese character before any piece is learnt, so
that no piece is spent on `dog.` beside `dog`. Chinese is read a character at a time because there is
too little of it (14,520 pairs) to learn words from: with pieces of several characters, held-out
accuracy@1 was 80 % after two epochs of German and Chinese, with single characters 89 %.
A character outside the vocabulary becomes its UTF-8 bytes, each a piece with a vector of its own: two
sentences in an unknown script then differ.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

UNKNOWN = "<unk>"
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))


def train_tokenizer(sentences: Sequence[str], *, pieces: int, rare: int, piece_length: int) -> Tokenizer:
    """Learn `pieces` pieces, the unknown piece and the bytes among them.

    A character seen fewer than `rare` times is left to the bytes: its own piece would hardly be trained.
    """
    normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(),
            pre_tokenizers.Punctuation("isolated"),
            pre_tokenizers.Split(Regex(r"\p{Han}"), "isolated"),
        ]
    )
    trainer = trainers.UnigramTrainer(
        vocab_size=pieces - len(BYTES),
        unk_token=UNKNOWN,
        special_tokens=[UNKNOWN],
        max_piece_length=piece_length,
        show_progress=False,
    )
    tokenizer.train_from_iterator(_common_characters(sentences, normalizer, rare), trainer)
    return _with_bytes(tokenizer)


def _common_characters(
    sentences: Sequence[str], normalizer: normalizers.Normalizer, rare: int
) -> Iterator[str]:
    """Yield the normalised sentences without their rare characters."""
    normalised = [normalizer.normalize_str(sentence) for sentence in sentences]
    counts = Counter(character for sentence in normalised for character in sentence)
    drop = {ord(character): None for character, count in counts.items() if count < rare}
    return (sentence.translate(drop) for sentence in normalised)


def _with_bytes(tokenizer: Tokenizer) -> Tokenizer:
    """Add the byte pieces, and let a literal `<unk>` in a text be text like any other.

    The trainer leaves pieces of equal score in no certain order and scores uncertain in the fourteenth
    digit: rounded and sorted, they are the same in every run. Rare characters that it adds at the end,
    in no certain order and 0.0001 apart, are not; two of 32,000 pieces were seen to change places.
    """
    fields = json.loads(tokenizer.to_str())
    unknown, *learnt = fields["model"]["vocab"]
    pieces = sorted(((round(score, 6), piece) for piece, score in learnt), key=lambda one: (-one[0], one[1]))
    # So unlikely that the literal text "<0x41>" is never read as the byte.
    floor = pieces[-1][0] - 100.0
    fields["model"]["vocab"] = [unknown, *([piece, score] for score, piece in pieces)]
    fields["model"]["vocab"] += [[piece, floor] for piece in BYTES]
    fields["model"]["byte_fallback"] = True
    fields["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(fields, ensure_ascii=False))


def encode(tokenizer: Tokenizer, sentences: Iterable[str]) -> list[list[int]]:
    """The piece ids of each sentence, at least one: an empty one is the unknown piece."""
    return [encoding.ids or [0] for encoding in tokenizer.encode_batch_fast(list(sentences))]
