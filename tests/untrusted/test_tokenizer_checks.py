"""Tokenizers that somebody made to do harm: one clear line each, and the process lives."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightmine.encoder.tokenizer import Tokenizer
from tests import hostile
from tests.hostile import JSON, line_of, said_by


def _added(count):
    special = {"c": {"id": "c", "ids": [1] * count, "tokens": ["c"]}}
    single = [{"SpecialToken": {"id": "c", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    return {"type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": special}


def _replacing(count):
    step = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * count}
    return {"type": "Sequence", "normalizers": [step] * 4}


def _split(regex):
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}


WORDS = {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "gone"}
TOKENIZERS = {
    "text that grows without end": (dict(normalizer=_replacing(1000)), "makes up to 1,000,000,000,000 char"),
    "a prefix without end": (
        dict(normalizer={"type": "Prepend", "prepend": "a" * 10_000}), "makes up to 10,000 characters of one",
    ),
    "a tree that is not there": (
        dict(normalizer={"type": "Precompiled", "precompiled_charsmap": "/" * 16}),
        "has 12 bytes and claims a tree of 4,294,967,295",
    ),
    "a tree that leads out of itself": (
        dict(normalizer={"type": "Precompiled", "precompiled_charsmap": "BAAAAP////8AAAAA"}),
        "not a tokenizer that works: index out of bounds",
    ),
    "a tree that is no base64": (
        dict(normalizer={"type": "Precompiled", "precompiled_charsmap": "?"}), "is not base64",
    ),
    "more marks than room": (dict(post_processor=_added(5000)), "adds 5000 tokens to every text, and the "),
    "a mark that is not there": (
        dict(post_processor=_added(1) | {"special_tokens": {}}), "not a tokenizer that works: no entry",
    ),
    "no token for the unknown": (dict(model=WORDS), "a text cannot be tokenized: WordLevel error"),
    "an id beyond all tables": (
        dict(model=WORDS | {"vocab": {"a": 2**32 - 1}, "unk_token": "a"}), "out of bounds for int32",
    ),
    "a pattern without end": (dict(pre_tokenizer=_split("(a+)+$")), "retry-limit-in-match over"),
    "a pattern too deep": (
        dict(pre_tokenizer=_split("(" * 9999 + ")" * 9999)), "not a tokenizer that can be read",
    ),
    "chance": (
        dict(model={"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"], "dropout": 0.5}),
        "drops merges at random",
    ),
    "code of its own": (dict(pre_tokenizer={"type": "Custom"}), "not a tokenizer that can be read"),
}  # fmt: skip


@pytest.mark.parametrize("what", TOKENIZERS)
def test_a_hostile_tokenizer_is_one_line(tmp_path, what):
    fields, message = TOKENIZERS[what]
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(hostile.TOKENIZER | fields))
    assert message in line_of(lambda: Tokenizer(path, max_tokens=12).ids(["a cat", "a" * 40 + "b"]))


@pytest.mark.parametrize("text", ["", "null", "[" * 10_000, '{"a":' * 10_000, "\xff", '{"model": 1}'])
def test_what_is_no_tokenizer_is_one_line(tmp_path, text):
    path = tmp_path / "tokenizer.json"
    path.write_text(text, encoding="latin-1")
    assert "not a tokenizer that can be read" in line_of(Tokenizer, path, max_tokens=12)


@given(part=st.sampled_from([*hostile.TOKENIZER]), value=JSON)
@settings(max_examples=150)
def test_a_tokenizer_with_anything_in_it_is_read_or_refused(tmp_path_factory, part, value):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(hostile.TOKENIZER | {part: value}))
    said = said_by(lambda: Tokenizer(path, max_tokens=12).ids(["a cat"]))
    assert said is None or said.startswith(str(path))
