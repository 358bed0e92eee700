import shutil

import pytest
import sentencepiece
from sentence_transformers import SentenceTransformer
from transformers import XLMRobertaTokenizer
from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy

from lightmine import Encoder
from lightmine.errors import BundleError
from lightmine.export import sentences, tokenizer
from lightmine.export.check import Check
from lightmine.export.export import export_bundle
from tests import small_models
from tests.exporting import SHORT

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    """A small sentencepiece model of our sentences."""
    folder = tmp_path_factory.mktemp("pieces")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences.evaluation_sentences()[0]), model_prefix=str(folder / "pieces"),
        vocab_size=900, character_coverage=1.0, hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    return folder / "pieces.model"


def test_model_that_has_only_sentencepiece_is_exported_and_compared(pieces, tmp_path, few):
    import numpy as np

    small_models.build(tmp_path / "model", architecture="xlm-roberta", vocabulary=1200)
    for path in (tmp_path / "model").glob("tokenizer*"):
        path.unlink()
    shutil.copy(pieces, tmp_path / "model" / "sentencepiece.bpe.model")
    lines = []
    export_bundle(tmp_path / "model", tmp_path / "bundle", check=Check(evaluation=few), report=lines.append)
    assert any("made of sentencepiece.bpe.model, compared on" in line for line in lines)
    source = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    source.max_seq_length = 47
    wanted = source.encode(SHORT, normalize_embeddings=True)
    assert np.abs(Encoder.load(tmp_path / "bundle").encode(SHORT) - wanted).max() < 1e-5


def test_fast_tokenizer_that_cuts_otherwise_is_refused(pieces):
    with pytest.raises(BundleError, match=r"made of pieces\.model gives .* it cannot be exported exactly"):
        tokenizer.compare_pieces(small_models.tokenizer(), pieces)


def test_slow_tokenizer_without_a_fast_form_is_refused_by_name(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"]))
    slow = BertTokenizerLegacy(str(tmp_path / "vocab.txt"))
    with pytest.raises(BundleError, match="BertTokenizerLegacy has no fast form that transformers knows"):
        tokenizer.convert(slow)


def test_slow_tokenizer_whose_fast_form_gives_other_ids_is_refused(monkeypatch):
    monkeypatch.setattr(
        "transformers.convert_slow_tokenizer.convert_slow_tokenizer", lambda slow: small_models.tokenizer()
    )

    def slow(sentence):
        return {"input_ids": small_models.tokenizer().encode(sentence).ids[:-1]}

    with pytest.raises(BundleError, match="function converted gives other ids"):
        tokenizer.convert(slow)


def test_slow_tokenizer_is_converted_where_ids_agree(monkeypatch):
    fast = small_models.tokenizer()
    monkeypatch.setattr("transformers.convert_slow_tokenizer.convert_slow_tokenizer", lambda slow: fast)
    assert tokenizer.convert(lambda sentence: {"input_ids": fast.encode(sentence).ids}) is fast


def test_transformers_itself_makes_sentencepiece_fast():
    # Why an XLM-R without tokenizer.json is not slow: if this changes, `convert` takes over.
    assert hasattr(XLMRobertaTokenizer, "backend_tokenizer")
