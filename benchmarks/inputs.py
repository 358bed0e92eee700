"""Real sentences and their vectors, made once and kept outside the repository."""

from __future__ import annotations

import dataclasses
import gzip
import random
import sys
from pathlib import Path

import numpy as np

import lightmine
from tests import minilm


@dataclasses.dataclass(frozen=True)
class Inputs:
    """Files in the work folder, and each contestant's form of all-MiniLM-L6-v2."""

    texts: Path
    mixed_texts: Path
    minilm: Path
    static_left: Path
    static_right: Path
    models: dict[str, Path]


WORK = Path.home() / ".cache/lightmine-benchmarks"


def minilm_bundle(work: Path) -> Path:
    """all-MiniLM-L6-v2 as a bundle, exported once."""
    bundle = work / "all-MiniLM-L6-v2"
    if not bundle.is_dir():
        from lightmine.export.export import export_bundle

        export_bundle(str(minilm.model_folder()), bundle)
    return bundle


def prepare(data: Path, work: Path) -> Inputs:
    """Make whatever is not there yet; the vectors of 100,000 sentences take some minutes."""
    work.mkdir(parents=True, exist_ok=True)
    source = minilm.model_folder()
    bundle = minilm_bundle(work)
    files = Inputs(
        texts=work / "english.txt",
        mixed_texts=work / "mixed.txt",
        minilm=work / "minilm.npy",
        static_left=work / "static-en.npy",
        static_right=work / "static-de.npy",
        models={"lightmine": bundle, "sentence_transformers": source},
    )
    if not files.texts.exists():
        write_lines(files.texts, english(data, 100_000))
    if not files.mixed_texts.exists():
        write_lines(files.mixed_texts, mixed(data, 4_000))
    if not files.minilm.exists():
        print("encoding 100,000 sentences with all-MiniLM-L6-v2, once", file=sys.stderr)
        np.save(files.minilm, lightmine.Encoder.load(bundle).encode(read_lines(files.texts)))
    if not files.static_left.exists():
        pairs = distinct_pairs(data, 100_000)
        encoder = lightmine.Encoder.load()
        np.save(files.static_left, encoder.encode([pair[0] for pair in pairs]))
        np.save(files.static_right, encoder.encode([pair[1] for pair in pairs]))
    return files


def prepare_large(data: Path, work: Path, files: Inputs) -> Path:
    """Vectors of 600,000 distinct sentences in 55 languages, made once, in resumable parts."""
    whole = work / "minilm-600k.npy"
    if whole.exists():
        return whole
    texts: set[str] = set()
    for path in sorted(data.glob("train/*/*.tsv.gz")):
        for pair in pairs_of(path):
            texts.update(side for side in pair if side.strip())
    chosen = random.Random(0).sample(sorted(texts), 600_000)
    encoder = lightmine.Encoder.load(files.models["lightmine"])
    parts = []
    for start in range(0, len(chosen), 50_000):
        part = work / f"minilm-600k-{start}.npy"
        if not part.exists():
            np.save(part, encoder.encode(chosen[start : start + 50_000]))
            print(f"encoded {start + 50_000:,} of 600,000", file=sys.stderr)
        parts.append(part)
    np.save(whole, np.concatenate([np.load(part) for part in parts]))
    for part in parts:
        part.unlink()
    return whole


def english(data: Path, count: int) -> list[str]:
    """Distinct everyday sentences: the English side of Tatoeba's pairs, in a fixed random order."""
    texts = {pair[0] for path in sorted(data.glob("train/tatoeba/*.tsv.gz")) for pair in pairs_of(path)}
    return random.Random(0).sample(sorted(texts), count)


def mixed(data: Path, count: int) -> list[str]:
    """Sentences of 3 to 60 words from news (NTREX, in bucc_style) and everyday life, half and half."""
    news = [line.split("\t", 1)[1] for line in read_lines(data / "bucc_style/de-en.en")]
    news += read_lines(data / "flores/eng_Latn.devtest")
    pool = [
        [t for t in texts if 3 <= len(t.split()) <= 60]
        for texts in (sorted(set(news)), english(data, 50_000))
    ]
    half = min(count // 2, len(pool[0]))
    chosen = random.Random(1).sample(pool[0], half) + random.Random(2).sample(pool[1], count - half)
    random.Random(3).shuffle(chosen)
    return chosen


def distinct_pairs(data: Path, count: int) -> list[tuple[str, str]]:
    """English and German sentences, each side distinct."""
    left: set[str] = set()
    right: set[str] = set()
    found = []
    for a, b in pairs_of(data / "train/tatoeba/en-de.tsv.gz") + pairs_of(
        data / "train/ms_beginners_mt/en-de.tsv.gz"
    ):
        if a not in left and b not in right:
            left.add(a)
            right.add(b)
            found.append((a, b))
    return random.Random(0).sample(found, min(count, len(found)))


def pairs_of(path: Path) -> list[tuple[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    return [(row[0], row[1]) for row in rows if len(row) == 2]


def read_lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").rstrip("\n").split("\n")


def write_lines(path: Path, texts: list[str]) -> None:
    path.write_text("\n".join(texts), encoding="utf-8")
