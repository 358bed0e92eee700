"""Checkpoints: what a job has found so far, on disk, so that an interrupted job resumes.

A checkpoint holds which tiles are done, the pairs that may still be in the answer, and the limits
under which no pair can be. All of that stays true whatever follows: a pair was only dropped because it
cannot be in the answer. So a job that starts from there, and does the tiles that are left, has the same
answer to the byte. Pairs of tiles that were not finished are left out when a checkpoint is read, since
those tiles are done again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightmine.engine.matrix import FloatMatrix
from lightmine.engine.spec import JoinSpec, Pairs
from lightmine.engine.tiling import Plan
from lightmine.engine.top_k import Scores
from lightmine.engine.tuning import DEFAULT_TUNING, Tuning
from lightmine.errors import ArgumentError, LightmineError, TextError, one_line
from lightmine.results import Indices, Mask
from lightmine.system.atomic_files import atomic_write, open_locked, write_error
from lightmine.untrusted.arrays import read_archive

VERSION = 3
NAME = "mining.checkpoint"


@dataclasses.dataclass
class State:
    """How far a job has come.

    Attributes
    ----------
    min_score : float
        That of the spec it is mined by: an estimate, or the spec's own.
    lowest : float32
        The lowest score that a pair of the answer can have.
    bounds : tuple of float32 arrays or None
        Those of the rows, of the left and of the right side.
    done : bool array of shape (row blocks, column blocks)
        Tiles that are done.
    parts : list of Pairs
        Candidates, those of tiles that are not done among them.
    """

    min_score: float
    lowest: np.float32
    bounds: tuple[Scores | None, Scores | None]
    done: Mask
    parts: list[Pairs]


class Checkpoint:
    """One job's place on disk; made before the job starts, and kept by no other process meanwhile.

    Raises
    ------
    ArgumentError
        The folder holds the checkpoint of another job, or one that cannot be read.
    StoreError
        Another process uses the folder.
    OutputError
        The folder cannot be written to.
    """

    def __init__(
        self, folder: str, x: FloatMatrix, y: FloatMatrix | None, spec: JoinSpec, plan: Plan,
        tuning: Tuning = DEFAULT_TUNING,
        clock: Callable[[], float] = monotonic,
    ) -> None:  # fmt: skip
        self._folder, self._plan, self._tuning = Path(folder), plan, tuning
        self._job = {
            "format": VERSION,
            "left": _digest(x),
            "right": None if y is None else _digest(y),
            "spec": {
                name: str(value) if isinstance(value, float) else value
                for name, value in dataclasses.asdict(spec).items()
            },
            "tiles": [plan.rows, plan.columns, plan.native],
        }
        self._clock = clock
        self._due = clock() + tuning.checkpoint_interval
        self._held = contextlib.ExitStack()

    def due(self) -> bool:
        """Whether it is time for the next one, by a clock that is never set back."""
        return self._clock() >= self._due

    def save(self, state: State) -> None:
        """Replace the last state: completely, or not at all."""
        begun = self._clock()
        with self._telling(), atomic_write(self._folder / NAME) as file:
            _write(file, self._job, state)
        now = self._clock()
        tuning = self._tuning
        self._due = now + max(tuning.checkpoint_interval, tuning.checkpoint_patience * (now - begun))

    def load(self) -> State | None:
        """The last state that this job saved; None if there is none."""
        path = self._folder / NAME
        if not path.exists():
            return None
        try:
            job, state = _read(path)
        except TextError as error:
            raise ArgumentError(f"{error}; delete it to begin anew") from None
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise ArgumentError(
                f"{path}: no checkpoint that can be read ({one_line(error)}); delete it to begin anew"
            ) from None
        self._refuse_other(path, job)
        n, m = self._plan.n, self._plan.m
        blocks = -(-n // self._plan.rows), -(-m // self._plan.columns)
        pairs = state.parts[0]
        fits = (
            state.done.shape == blocks
            and all(
                of is None or of.shape == (count,) for of, count in zip(state.bounds, (n, m), strict=True)
            )
            and pairs.left.shape == pairs.right.shape == pairs.score.shape == (len(pairs.left),)
            and _within(pairs.left, n)
            and _within(pairs.right, m)
        )
        if not fits:
            raise ArgumentError(f"{path}: its parts do not fit together; delete it to begin anew")
        return dataclasses.replace(state, parts=[self._of_done_tiles(state)])

    def __enter__(self) -> Checkpoint:
        with self._telling():
            self._folder.mkdir(parents=True, exist_ok=True)
            self._held.enter_context(open_locked(self._folder / f"{NAME}.lock"))
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def _refuse_other(self, path: Path, job: dict[str, Any]) -> None:
        reasons = {
            "format": "was written by another version of lightmine",
            "left": "is of other embeddings",
            "right": "is of other embeddings",
            "spec": "is of other options (top_k, k, max_pairs, threshold)",
            "tiles": "was begun with another memory_budget, number of threads or kernel",
        }
        for name, reason in reasons.items():
            if job.get(name) != self._job[name]:
                raise ArgumentError(f"{path}: {reason}; repeat them to resume, or delete it to begin anew")

    def _of_done_tiles(self, state: State) -> Pairs:
        found, plan = state.parts[0], self._plan
        if not len(found):
            return found
        left, right = found.left, found.right
        return found[state.done[left // plan.rows, right // plan.columns]]

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except LightmineError:
            raise
        except OSError as error:
            raise write_error(self._folder, error) from None


def forget(folder: str) -> None:
    """Delete a folder's checkpoint, and the folder if nothing else is in it."""
    with contextlib.suppress(OSError):
        for name in (NAME, f"{NAME}.lock"):
            (Path(folder) / name).unlink(missing_ok=True)
        Path(folder).rmdir()


def _digest(x: FloatMatrix) -> str:
    digest = hashlib.sha256(f"{x.shape}".encode())
    digest.update(_bytes(x))
    return digest.hexdigest()


def _bytes(array: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _within(rows: Indices, count: int) -> bool:
    return not len(rows) or bool(rows.min() >= 0 and rows.max() < count)


def _write(file: Any, job: dict[str, Any], state: State) -> None:
    arrays: dict[str, Sequence[NDArray[Any]]] = {"done": [state.done]}
    for side, of in zip(("left", "right"), state.bounds, strict=True):
        # Two sides of a self join are one.
        if of is not None and not (side == "right" and of is state.bounds[0]):
            arrays[f"bounds_{side}"] = [of]
    for name in ("left", "right", "score"):
        arrays[name] = [getattr(part, name) for part in state.parts]
    facts = job | {"min_score": str(state.min_score), "lowest": str(state.lowest)}
    arrays["job"] = [np.frombuffer(json.dumps(facts, sort_keys=True).encode(), np.uint8)]
    with zipfile.ZipFile(file, "w") as archive:
        for name, parts in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                shape = (sum(map(len, parts)), *parts[0].shape[1:])
                header = {"descr": parts[0].dtype.str, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(member, header)
                # One part after the other: joined, they would take as much memory again.
                for part in parts:
                    member.write(_bytes(part))


def _read(path: Path) -> tuple[dict[str, Any], State]:
    arrays = read_archive(str(path))
    facts = json.loads(arrays["job"].tobytes())

    def array(name: str, kind: type[np.generic]) -> Any:
        if arrays[name].dtype != kind:
            raise ValueError(f"{name} is {arrays[name].dtype}")
        return arrays[name]

    left, right = (
        array(f"bounds_{side}", np.float32) if f"bounds_{side}" in arrays else None
        for side in ("left", "right")
    )
    if facts["right"] is None and right is None:
        right = left
    pairs = Pairs(array("left", np.int32), array("right", np.int32), array("score", np.float32))
    if not len(pairs.left) == len(pairs.right) == len(pairs.score):
        raise ValueError("pairs are cut short")
    return facts, State(
        float(facts["min_score"]), np.float32(facts["lowest"]), (left, right), array("done", np.bool_),
        [pairs],
    )  # fmt: skip
