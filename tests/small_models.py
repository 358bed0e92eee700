"""Small sentence-transformers models with random weights, whole except for having learnt nothing."""

from __future__ import annotations

import functools
from collections import Counter
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoModel,
    BertConfig,
    DistilBertConfig,
    Gemma3TextConfig,
    ModernBertConfig,
    MPNetConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
    XLMRobertaConfig,
)

from lightmine.export.sentences import evaluation_sentences

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
VOCABULARY = 1000
WIDTH = 32
# Weights as large as these keep different sentences apart: with the usual 0.02 all vectors of an
# untrained model point in one direction, and any wrong graph would pass.
SPREAD = 0.4


def build(
    folder: Path,
    *,
    architecture: str = "bert",
    pooling: str | tuple[str, ...] = "mean",
    dense: int | tuple[int, ...] | None = None,
    activation: torch.nn.Module | None = None,
    normalize: bool = False,
    padding_side: str = "right",
    prompts: dict[str, str] | None = None,
    default_prompt: str | None = None,
    similarity: str = "cosine",
    vocabulary: int | None = None,
) -> SentenceTransformer:
    """Save a model of two layers to `folder` and return it."""
    torch.manual_seed(0)
    body = folder.with_name(folder.name + "-body")
    AutoModel.from_config(_config(architecture, vocabulary)).save_pretrained(body)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer(),
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        padding_side=padding_side,
        model_max_length=64,
        model_input_names=["input_ids", "attention_mask"]
        + (["token_type_ids"] if architecture == "bert" else []),
    ).save_pretrained(body)
    transformer = Transformer(str(body))
    pool = Pooling(WIDTH, pooling)
    modules = [transformer, pool]
    if dense:
        width = pool.get_embedding_dimension()
        for wider in dense if isinstance(dense, tuple) else (dense,):
            modules.append(Dense(width, wider, activation_function=activation or torch.nn.Tanh()))
            width = wider
    if normalize:
        modules.append(Normalize())
    model = SentenceTransformer(
        modules=modules,
        device="cpu",
        prompts=prompts,
        default_prompt_name=default_prompt,
        similarity_fn_name=similarity,
    )
    model.save(str(folder), create_model_card=False)
    return model


@functools.cache
def tokenizer() -> Tokenizer:
    """A lower-casing WordPiece tokenizer of the characters, endings and words of the parity sentences.

    It is counted, not trained: the library's trainer settles ties in the order of its hash tables,
    which gives another vocabulary, and so another model, in every process.
    """
    normalizer, pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    words: Counter[str] = Counter()
    for sentence in evaluation_sentences()[0]:
        words.update(word for word, _ in pre_tokenizer.pre_tokenize_str(normalizer.normalize_str(sentence)))
    endings: Counter[str] = Counter()
    for word, times in words.items():
        endings.update({"##" + word[start:]: times for start in range(1, len(word))})
    characters = sorted({character for word in words for character in word})
    pieces = dict.fromkeys(SPECIAL + characters + ["##" + character for character in characters])
    commonest = sorted((words + endings).items(), key=lambda counted: (-counted[1], counted[0]))
    pieces |= dict.fromkeys(piece for piece, _ in commonest)
    vocabulary = {piece: number for number, piece in enumerate(list(pieces)[:VOCABULARY])}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.add_special_tokens(SPECIAL)
    made.normalizer, made.pre_tokenizer = normalizer, pre_tokenizer
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(name, SPECIAL.index(name)) for name in ("[CLS]", "[SEP]")]
    )
    return made


def _config(architecture: str, vocabulary: int | None) -> PretrainedConfig:
    shape = {
        "vocab_size": vocabulary or tokenizer().get_vocab_size(),
        "hidden_size": WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "initializer_range": SPREAD,
        "pad_token_id": 0,
    }
    if architecture == "bert":
        return BertConfig(**shape, max_position_embeddings=48)
    if architecture == "xlm-roberta":
        return XLMRobertaConfig(**shape, max_position_embeddings=48, type_vocab_size=1)
    if architecture == "qwen3":
        return Qwen3Config(**shape, max_position_embeddings=64, num_key_value_heads=2, head_dim=8)
    if architecture == "mpnet":
        return MPNetConfig(**shape, max_position_embeddings=48)
    if architecture == "distilbert":
        names = {"hidden_size": "dim", "intermediate_size": "hidden_dim"}
        renamed = {names.get(name, name): value for name, value in shape.items()}
        return DistilBertConfig(**renamed, max_position_embeddings=48)
    if architecture == "modernbert":
        return ModernBertConfig(
            **shape, max_position_embeddings=64, local_attention=8, global_attn_every_n_layers=2,
            cls_token_id=2, sep_token_id=3, bos_token_id=2, eos_token_id=3,
        )  # fmt: skip
    if architecture == "gemma3":
        return Gemma3TextConfig(
            **shape, max_position_embeddings=64, num_key_value_heads=2, head_dim=8, sliding_window=8,
            query_pre_attn_scalar=8, use_bidirectional_attention=True,
        )  # fmt: skip
    raise ValueError(architecture)
