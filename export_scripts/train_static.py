"""Train the default model: a static multilingual sentence encoder, distilled, in minutes on two cores.

::

    python -m export_scripts.train_static --data DIR --out models/static-multilingual --teacher DIR

Every piece of text has one vector, and a sentence is their sum at unit length. The vectors are learnt
from pairs of English and another language: a pair must be nearer than the rest of its batch (in-batch
contrastive loss, both directions), and the similarities within a batch must follow those that the
teacher gives the English sides (mean squared difference). Every epoch leaves a checkpoint in the work
folder, and a run with the same settings goes on from it.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch.nn import functional

from export_scripts.static_bundle import write_bundle
from export_scripts.static_pairs import Bags, Pairs, Settings, batches, hold_out, read_pairs
from export_scripts.static_tokenizer import BYTES, encode, train_tokenizer
from lightmine.encoding.bundle import TOKENIZER


@dataclasses.dataclass(frozen=True)
class Teacher:
    """The teacher's unit vectors of the English sentences; `row_of` finds a sentence's row by its number."""

    vectors: NDArray[np.float16]
    row_of: NDArray[np.int64]

    @classmethod
    def of(cls, pairs: Pairs, folder: Path, work: Path) -> Teacher:
        """Encode every English sentence, or read what an earlier run left in the work folder."""
        numbers = np.unique(pairs.english)
        texts = [pairs.texts[number] for number in numbers]
        digest = hashlib.sha256("\n".join([folder.name, *texts]).encode()).hexdigest()
        path = work / f"teacher-{digest[:16]}.npy"
        if not path.exists():
            np.save(path, _teach(folder, texts))
        row_of = np.full(len(pairs.texts), -1)
        row_of[numbers] = np.arange(len(numbers))
        return cls(np.load(path), row_of)

    def similarities(self, english: NDArray[np.int64]) -> torch.Tensor:
        """The teacher's cosine of every two of the sentences."""
        vectors = torch.from_numpy(self.vectors[self.row_of[english]].astype(np.float32))
        return vectors @ vectors.T


def _teach(folder: Path, texts: list[str]) -> NDArray[np.float16]:
    from sentence_transformers import SentenceTransformer  # slow to import, and not needed for a cache

    model = SentenceTransformer(str(folder), device="cpu")
    # bfloat16 moves a vector by a cosine of 0.0001 at most and halves the time where the CPU has it.
    with torch.autocast("cpu", dtype=torch.bfloat16):
        vectors = model.encode(texts, batch_size=64, normalize_embeddings=True, show_progress_bar=True)
    return vectors.astype(np.float16)


class Student(torch.nn.Module):
    """One vector a piece; a sentence is their sum at unit length."""

    def __init__(self, pieces: int, dimension: int) -> None:
        super().__init__()
        self.table = torch.nn.Parameter(torch.randn(pieces, dimension) * 0.1)

    def forward(self, bag: tuple[torch.Tensor, torch.Tensor], dropout: float = 0.0) -> torch.Tensor:
        pieces, offsets = bag
        kept = None
        if dropout:
            kept = (torch.rand(len(pieces)) >= dropout).float()
            kept[offsets] = torch.where(kept[offsets] == 0, 1e-3, kept[offsets])  # never nothing
        sums = functional.embedding_bag(pieces, self.table, offsets, mode="sum", per_sample_weights=kept)
        return functional.normalize(sums, dim=1)


def loss_of(
    english: torch.Tensor,
    other: torch.Tensor,
    same: torch.Tensor,
    wanted: torch.Tensor | None,
    settings: Settings,
) -> torch.Tensor:
    """The contrastive loss of both directions, plus the distance from the teacher's similarities.

    The teacher is asked about the first sentences of the (shuffled) batch, for time's sake, and its answer
    is wanted within English, across, and within the other language. `same` marks the pairs off the
    diagonal that are no negatives: they share a sentence.
    """
    across = english @ other.T
    logits = (settings.scale * across).masked_fill(same, -torch.inf)
    labels = torch.arange(len(english))
    loss = (functional.cross_entropy(logits, labels) + functional.cross_entropy(logits.T, labels)) / 2
    if wanted is not None:
        taught = len(wanted)
        own, foreign = english[:taught], other[:taught]
        for similarities in (own @ own.T, own @ foreign.T, foreign @ foreign.T):
            loss = loss + settings.distillation / 3 * functional.mse_loss(similarities, wanted)
    return loss


def accuracy(student: Student, bags: Bags, held: Pairs, settings: Settings) -> dict[str, float]:
    """Held-out accuracy@1 from each language to English, among the held-out English of all languages."""
    with torch.no_grad():
        english = student(bags.take(held.english))
        other = student(bags.take(held.other))
        right = (other @ english.T).argmax(1)
    found = held.english[right.numpy()] == held.english
    return {
        name: float(found[held.language == place].mean()) for place, name in enumerate(settings.languages)
    }


def train(
    train_pairs: Pairs, held: Pairs, bags: Bags, teacher: Teacher | None, settings: Settings, work: Path
) -> NDArray[np.float32]:
    """Run every epoch that the work folder has no checkpoint of; return the table."""
    torch.manual_seed(settings.seed)
    student = Student(settings.pieces, settings.dimension)
    optimizer = torch.optim.Adam(student.parameters(), lr=settings.rate, fused=True)
    steps = [len(batches(train_pairs, settings, epoch)) for epoch in range(settings.epochs)]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.rate, total_steps=sum(steps) + 1)
    parts: dict[str, Any] = {"student": student, "optimizer": optimizer, "schedule": schedule}
    checkpoint = work / "checkpoint.pt"
    first = _resume(checkpoint, parts)
    for epoch in range(first, settings.epochs):
        started = time.perf_counter()
        torch.manual_seed(settings.seed * 1000 + epoch)
        losses = []
        for chosen in batches(train_pairs, settings, epoch):
            batch = train_pairs.select(chosen)
            loss = _batch_loss(student, bags, batch, teacher, settings)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        state = {name: part.state_dict() for name, part in parts.items()}
        torch.save({"epoch": epoch + 1, **state}, checkpoint)
        scores = accuracy(student, bags, held, settings)
        shown = " ".join(f"{name} {value:.3f}" for name, value in scores.items())
        seconds = time.perf_counter() - started
        loss_shown = f"loss {np.mean(losses):.4f}, held-out {shown}"
        print(f"epoch {epoch + 1} of {settings.epochs}: {seconds:.0f} s, {loss_shown}", flush=True)
    return student.table.detach().numpy()


def _batch_loss(
    student: Student, bags: Bags, batch: Pairs, teacher: Teacher | None, settings: Settings
) -> torch.Tensor:
    english = student(bags.take(batch.english), settings.piece_dropout)
    other = student(bags.take(batch.other), settings.piece_dropout)
    same = torch.from_numpy(
        (batch.english[:, None] == batch.english) | (batch.other[:, None] == batch.other)
    ).fill_diagonal_(False)
    wanted = teacher.similarities(batch.english[: settings.taught]) if teacher else None
    return loss_of(english, other, same, wanted, settings)


def _resume(checkpoint: Path, parts: dict[str, Any]) -> int:
    """Load the checkpoint, if there is one, and return how many epochs it has behind it."""
    if not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    print(f"going on from {checkpoint}, epoch {state['epoch']}", flush=True)
    return int(state["epoch"])


def silence(table: NDArray[np.float32], tokenizer: Tokenizer, seen: NDArray[np.int64]) -> NDArray[np.float32]:
    """Zero the pieces that training taught nothing, so that they add no noise to a sentence.

    These are learnt pieces that no sentence is cut into, and first bytes of characters seen fewer than
    twenty times: a script's characters share one or two first bytes, which would be most of every
    sentence in a script that the model does not know, and make all of its sentences alike. The
    remaining bytes keep what they have, so that such sentences still differ.
    """
    counts = np.bincount(seen, minlength=len(table))
    bytes_at = np.array([tokenizer.token_to_id(piece) for piece in BYTES], np.int64)
    dead = counts == 0
    dead[bytes_at] = False
    dead[bytes_at[0xC0:]] = counts[bytes_at[0xC0:]] < 20
    dead[0] = False  # the unknown piece, which gives a sentence of no pieces its direction
    return np.where(dead[:, None], np.float32(0), table)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line: the paths, and an option for every setting that is a number."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder that holds train/tatoeba"
    )
    parser.add_argument("--out", type=Path, required=True, help="where the bundle goes")
    parser.add_argument(
        "--work", type=Path, default=Path("out/static"), help="teacher vectors and checkpoints"
    )
    parser.add_argument("--teacher", type=Path, help="all-MiniLM-L6-v2 as a sentence-transformers folder")
    parser.add_argument("--threads", type=int, default=2)
    for field in dataclasses.fields(Settings):
        if isinstance(field.default, int | float):
            parser.add_argument(
                "--" + field.name.replace("_", "-"), type=type(field.default), default=field.default
            )
    return parser.parse_args(argv)


def run_folder(pairs: Pairs, settings: Settings, options: argparse.Namespace) -> Path:
    """Where this run keeps its tokenizer and checkpoint, named by pairs, settings and teacher."""
    digest = hashlib.sha256(repr((settings, options.teacher and options.teacher.name)).encode())
    digest.update("\n".join(pairs.texts).encode())
    folder: Path = options.work / digest.hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def tokenizer_of(pairs: Pairs, settings: Settings, path: Path) -> Tokenizer:
    """The tokenizer learnt from the pairs' sentences, or the one that this run already learnt."""
    if path.exists():
        return Tokenizer.from_file(str(path))
    used = np.unique(np.concatenate([pairs.english, pairs.other]))
    tokenizer = train_tokenizer(
        [pairs.texts[number] for number in used],
        pieces=settings.pieces,
        rare=settings.rare,
        piece_length=settings.piece_length,
    )
    tokenizer.save(str(path))
    return tokenizer


def main(argv: Sequence[str] | None = None) -> None:
    """Read, train and write."""
    options = arguments(argv)
    torch.set_num_threads(options.threads)
    chosen = {name: value for name, value in vars(options).items() if name in Settings.__dataclass_fields__}
    settings = Settings(**chosen)
    started = time.perf_counter()

    def report(what: str) -> None:
        print(f"{time.perf_counter() - started:.0f} s: {what}", flush=True)

    pairs = read_pairs(options.data, settings)
    work = run_folder(pairs, settings, options)
    train_pairs, held = hold_out(pairs, settings)
    tokenizer = tokenizer_of(train_pairs, settings, work / TOKENIZER)
    bags = Bags.of(encode(tokenizer, pairs.texts))
    report(f"{len(train_pairs.english)} pairs and their pieces")
    teacher = Teacher.of(pairs, options.teacher, options.work) if options.teacher else None
    report("teacher" if teacher else "no teacher")
    table = train(train_pairs, held, bags, teacher, settings, work)
    table = silence(table, tokenizer, bags.pieces)
    manifest = write_bundle(options.out, table, tokenizer, held, settings, distilled=teacher is not None)
    report(f"{options.out}, parity {manifest.parity}")


if __name__ == "__main__":
    main()
