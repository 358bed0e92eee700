"""Train the default model: a static multilingual sentence encoder, distilled, on two cores.

::

    python -m export_scripts.train_static --data DIR --out models/static-multilingual --teacher MODEL

Every piece of text has one vector, and a sentence is their sum at unit length. The vectors are learnt from
pairs of English and another language: a pair must be nearer than the rest of its batch (in-batch contrastive
loss, both directions); the similarities within a batch must follow those that the teacher gives the English
sides (mean squared difference); and a linear map of each vector must find the teacher's own (cosine). What
was done is kept in the work folder, and a run with the same settings resumes there.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from export_scripts.static_bundle import by_variance, silence, write_bundle
from export_scripts.static_card import about, thresholds
from export_scripts.static_pairs import Groups, Pairs, Settings, batches, hold_out, pivoted, read_pairs
from export_scripts.static_student import Bags, Student, apart, by_language, contrast, distance, means
from export_scripts.static_teacher import SAME, Teacher, near_pairs, vocabulary_words
from export_scripts.static_tokenizer import encode, train_tokenizer
from lightmine.loading.bundle import write_manifest

# Steps between two checkpoints, a minute's work.
EVERY = 300
# Sentences of each language that the tokenizer is learnt from; English has three times as many.
SENTENCES = 12_000
# The settings that the tokenizer depends on.
DECIDING = ("languages", "sources", "seed", "held_out", "pieces", "piece_length", "rare")


@dataclasses.dataclass(frozen=True)
class Lesson:
    """All that a step of training needs."""

    pairs: Pairs
    bags: Bags
    groups: Groups
    near: NDArray[np.int64] | None
    teacher: Teacher | None
    words: Bags | None
    settings: Settings

    def batches(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Every epoch's batches, numbered through."""
        step = 0
        for epoch in range(self.settings.epochs):
            for batch in batches(self.pairs, self.settings, epoch, self.near):
                if self.settings.steps and step == self.settings.steps:
                    return
                yield step, batch
                step += 1

    def steps(self) -> int:
        """How many batches there are in all."""
        return sum(1 for _ in self.batches())

    def loss(self, student: Student, chosen: NDArray[np.int64], rng: np.random.Generator) -> torch.Tensor:
        """The loss of one batch."""
        settings = self.settings
        batch = self.pairs.select(chosen)
        if len(np.unique(batch.language)) > 1:
            batch = pivoted(batch, self.groups, rng, settings.pivot)
        left = student(self.bags.take(batch.left), settings.piece_dropout)
        other = student(self.bags.take(batch.other), settings.piece_dropout)
        # Pairs that share a sentence are no negatives of each other.
        same = torch.from_numpy(
            (batch.english[:, None] == batch.english)
            | (batch.other[:, None] == batch.other)
            | (batch.left[:, None] == batch.other)
        )
        if self.teacher is None:
            return contrast(left, other, same.fill_diagonal_(False), settings.scale)
        taught = self.teacher.of_sentences(batch.english[: settings.taught])
        same[: len(taught), : len(taught)] |= taught @ taught.T >= SAME
        loss = contrast(left, other, same.fill_diagonal_(False), settings.scale)
        return loss + self._taught(student, left, other, taught, rng)

    def _taught(
        self,
        student: Student,
        left: torch.Tensor,
        other: torch.Tensor,
        taught: torch.Tensor,
        rng: np.random.Generator,
    ) -> torch.Tensor:
        """How far from the teacher: its similarities, within each side and across, and its vectors.

        Single words of its vocabulary stand with the left side.
        """
        assert self.teacher is not None
        settings = self.settings
        left, other = left[: len(taught)], other[: len(taught)]
        wanted = taught @ taught.T
        similarities = distance(left, other, wanted) + distance(other, other, wanted)
        vectors = apart(other @ student.view, taught)
        if self.words is not None:
            chosen = rng.integers(0, len(self.teacher.words), settings.words)
            left = torch.cat([left, student(self.words.take(chosen))])
            taught = torch.cat([taught, self.teacher.of_rows(self.teacher.word_rows[chosen])])
            wanted = taught @ taught.T
        similarities = similarities + distance(left, left, wanted)
        vectors = vectors + apart(left @ student.view, taught)
        return settings.distillation * similarities / 3 + settings.view * vectors / 2


def train(lesson: Lesson, held: dict[str, Pairs], work: Path) -> NDArray[np.float32]:
    """Run every step that the work folder has no checkpoint of; return the table."""
    settings = lesson.settings
    torch.manual_seed(settings.seed)
    taught = 0 if lesson.teacher is None else lesson.teacher.vectors.shape[1]
    student = Student(settings.pieces, settings.dimension, taught)
    # Adam's usual memory of a gradient's size, a thousand steps, forgets that a rare piece had any, and then
    # throws it far at one sight of it.
    betas = (0.9, settings.memory)
    optimizer = torch.optim.Adam(student.parameters(), lr=settings.rate, betas=betas, fused=True)
    steps = lesson.steps()
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.rate, total_steps=steps + 1, cycle_momentum=False
    )
    parts = {"student": student, "optimizer": optimizer, "schedule": schedule}
    checkpoint = work / "checkpoint.pt"
    first = _resume(checkpoint, parts)
    losses: list[float] = []
    started = time.perf_counter()
    for step, chosen in lesson.batches():
        if step < first:
            continue
        torch.manual_seed(settings.seed * 1_000_003 + step)
        loss = lesson.loss(student, chosen, np.random.default_rng([settings.seed, step, 1]))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if (step + 1) % EVERY == 0 or step + 1 == steps:
            _save(checkpoint, {"step": step + 1} | {name: part.state_dict() for name, part in parts.items()})
            pace = (time.perf_counter() - started) / (step + 1 - first)
            shown = ", ".join(
                f"{name} {value:.1f}" for name, value in means(student, lesson.bags, held).items()
            )
            print(
                f"step {step + 1:,} of {steps:,}: loss {np.mean(losses[-EVERY:]):.4f}; "
                f"held-out accuracy {shown}; {pace * (steps - step - 1) / 60:.0f} minutes to go",
                flush=True,
            )
    return student.table.detach().numpy()


def _save(path: Path, state: dict[str, object]) -> None:
    """Write another file and rename it, so that a kill leaves the last checkpoint complete."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def _resume(checkpoint: Path, parts: dict[str, object]) -> int:
    """Load the checkpoint, if there is one, and return how many steps it has behind it."""
    if not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])  # type: ignore[attr-defined]
    print(f"going on from {checkpoint}, step {state['step']:,}", flush=True)
    return int(state["step"])


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line: the paths, and an option for every setting."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds train/")
    parser.add_argument("--out", type=Path, required=True, help="where the bundle goes")
    parser.add_argument("--name", default="static-multilingual", help="what the bundle is called")
    parser.add_argument(
        "--work", type=Path, default=Path("out/static"), help="teacher vectors and checkpoints"
    )
    parser.add_argument("--teacher", type=Path, help="folder of all-MiniLM-L6-v2, or a bundle of it")
    parser.add_argument("--threads", type=int, default=2)
    for field in dataclasses.fields(Settings):
        parser.add_argument(
            "--" + field.name.replace("_", "-"), type=type(field.default), default=field.default
        )
    return parser.parse_args(argv)


def digest_of(pairs: Pairs, *rest: object) -> str:
    """Sixteen digits that change with the sentences and the rest."""
    digest = hashlib.sha256(repr(rest).encode())
    digest.update("\n".join(pairs.texts).encode())
    return digest.hexdigest()[:16]


def tokenizer_of(pairs: Pairs, settings: Settings, words: Sequence[str], work: Path) -> Tokenizer:
    """The tokenizer learnt from as many sentences of each language, or the one already learnt."""
    deciding = [getattr(settings, name) for name in DECIDING]
    path = work / f"tokenizer-{digest_of(pairs, deciding, words)}.json"
    if path.exists():
        return Tokenizer.from_file(str(path))
    rng = np.random.default_rng(settings.seed)
    english = np.unique(pairs.english)
    chosen = [rng.permutation(english)[: 3 * SENTENCES]]
    chosen += [
        rng.permutation(np.unique(pairs.other[pairs.language == language]))[:SENTENCES]
        for language in range(len(settings.languages.split()))
    ]
    tokenizer = train_tokenizer(
        [pairs.texts[number] for number in np.unique(np.concatenate(chosen))],
        pieces=settings.pieces,
        rare=settings.rare,
        piece_length=settings.piece_length,
        words=words,
    )
    tokenizer.save(str(path))
    return tokenizer


def taught_by(
    options: argparse.Namespace,
    tokenizer: Tokenizer,
    everything: tuple[Pairs, Pairs],
    train_pairs: Pairs,
    settings: Settings,
    report: Callable[[str], None],
) -> tuple[Teacher | None, Bags | None, NDArray[np.int64] | None]:
    """The teacher, its words in pieces, and near pairs by its vectors; None of each without a teacher."""
    if not options.teacher:
        return None, None, None
    teacher = Teacher.of(everything, options.teacher, options.work)
    report("the teacher's vectors")
    words = Bags(*encode(tokenizer, teacher.words)) if settings.words else None
    near = near_pairs(train_pairs, teacher, settings) if settings.hard else None
    report("neighbours" if settings.hard else "no neighbours")
    return teacher, words, near


def main(argv: Sequence[str] | None = None) -> None:
    """Read, train and write."""
    options = arguments(argv)
    torch.set_num_threads(options.threads)
    chosen = {name: value for name, value in vars(options).items() if name in Settings.__dataclass_fields__}
    settings = Settings(**chosen)
    started = time.perf_counter()

    def report(what: str) -> None:
        print(f"{time.perf_counter() - started:.0f} s: {what}", flush=True)

    pairs, outside = read_pairs(options.data, settings)
    report(f"{len(pairs.english):,} pairs to learn from, {len(outside.english):,} of a source held out whole")
    work = options.work / digest_of(pairs, settings, options.teacher and options.teacher.name)
    work.mkdir(parents=True, exist_ok=True)
    train_pairs, held, siblings = hold_out(pairs, settings)
    common = vocabulary_words(options.teacher)[: settings.vocabulary] if options.teacher else []
    tokenizer = tokenizer_of(train_pairs, settings, common, options.work)
    settings = dataclasses.replace(settings, pieces=tokenizer.get_vocab_size())
    report(f"{settings.pieces:,} pieces")
    bags = Bags(*encode(tokenizer, pairs.texts))
    report(f"{len(bags.pieces):,} of them in {len(pairs.texts):,} sentences")
    teacher, words, near = taught_by(options, tokenizer, (pairs, outside), train_pairs, settings, report)
    lesson = Lesson(train_pairs, bags, Groups.of(train_pairs), near, teacher, words, settings)
    held_out = {"inside": held, "outside": outside}
    table = train(lesson, held_out, work)
    report("trained")
    student = Student(*table.shape)
    student.table.data = torch.from_numpy(silence(table, tokenizer, bags.pieces))
    scores = by_language(student, bags, held_out, settings, 1_000)
    (work / "held-out.json").write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    sample = np.random.default_rng(settings.seed).permutation(len(pairs.texts))[:100_000]
    with torch.no_grad():
        table, spread = by_variance(student.table.numpy(), student(bags.take(sample)).numpy())
    tested = [pairs.texts[number] for number in np.unique(np.concatenate([held.english, held.other]))]
    manifest = write_bundle(
        options.out, table, spread, tokenizer, tested, settings, about(options.name, settings, pairs, teacher)
    )
    recommended = thresholds(options.out, held, siblings, settings)
    write_manifest(options.out, dataclasses.replace(manifest, thresholds=recommended))
    report(f"{options.out}, parity {manifest.parity}, thresholds {recommended}")


if __name__ == "__main__":
    main()
