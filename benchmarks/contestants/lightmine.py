"""lightmine itself."""

from importlib.metadata import version

import lightmine

VERSION = f"lightmine {version('lightmine')}"


def encode(*, texts, model, provider="auto", provider_options=None, threads=None, **options):
    encoder = lightmine.Encoder.load(
        model, provider=provider, provider_options=provider_options, threads=threads
    )
    return lambda: {"vectors": encoder.encode(texts, **options)}


def paraphrase(*, x, **options):
    return lambda: columns_of(lightmine.mine_paraphrases(x, **options))


def columns_of(pairs):
    return {"left": pairs.left, "right": pairs.right, "score": pairs.score}


def neighbors(*, x, k):
    def work():
        near = lightmine.neighbors(x, k=k)
        return {"index": near.index, "score": near.score}

    return work


def both_directions(*, x, y, k):
    def work():
        near = lightmine.neighbors(x, y, k=k, both=True)
        return {"index": near.index, "score": near.score, "reverse": near.reverse.index}

    return work
