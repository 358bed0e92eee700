"""A pool of workers that share some tasks: one thread and one set of tools each."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

Tools = TypeVar("Tools")
Task = TypeVar("Task")


def run(
    tasks: Iterable[Task],
    work: Callable[[Tools, Task], None],
    tools: Callable[[], Tools],
    *,
    workers: int,
    tick: Callable[[], None] = lambda: None,
) -> None:
    """Let workers take tasks until none is left; the first error, or Ctrl-C, stops them all.

    Parameters
    ----------
    tasks : iterable
        Taken one at a time, in order.
    work : callable
        Called with a worker's tools and a task.
    tools : callable
        Makes what one worker needs and does not share.
    workers : int
    tick : callable
        Called some times a second by the calling thread.

    Examples
    --------
    >>> found = []
    >>> run([1, 2, 3], lambda tools, task: found.append(task + tools), lambda: 10, workers=2)
    >>> sorted(found)
    [11, 12, 13]
    """
    pool = _Pool(iter(tasks), work, tools, workers)
    try:
        while pool.wait(0.1):
            tick()
    finally:
        pool.stop()
    if pool.error is not None:
        raise pool.error


class _OneBlasThread:
    """A context in which NumPy's BLAS and LAPACK keep to the calling thread.

    Theirs are as many as the machine has processors, whatever a container's quota says, and spin. The
    limit is the process's: of several contexts at once the first sets it and the last takes it back.
    """

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0
        self._limits: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._limits = _blas_libraries().limit(limits=1, user_api="blas")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside and self._limits is not None:
                self._limits.restore_original_limits()
                self._limits = None


one_blas_thread = _OneBlasThread()


@functools.cache
def _blas_libraries() -> Any:
    """The libraries that are loaded, NumPy's BLAS among them; looking for them takes some milliseconds."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


class _Pool(Generic[Tools, Task]):
    def __init__(
        self,
        tasks: Iterator[Task],
        work: Callable[[Tools, Task], None],
        tools: Callable[[], Tools],
        workers: int,
    ) -> None:
        self.error: BaseException | None = None
        self._tasks, self._work, self._tools = tasks, work, tools
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._running = workers
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._take, daemon=True) for _ in range(workers)]
        for thread in self._threads:
            thread.start()

    def wait(self, seconds: float) -> bool:
        """Whether work is still going on after at most this time."""
        return not self._ended.wait(seconds)

    def stop(self) -> None:
        """Let every worker end its task, and wait for it."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _take(self) -> None:
        try:
            tools = self._tools()
            while not self._stop.is_set():
                with self._lock:
                    task = next(self._tasks, self)
                if task is self:
                    break
                self._work(tools, task)  # type: ignore[arg-type]
        except BaseException as error:
            self.error = self.error or error
            self._stop.set()
        finally:
            with self._lock:
                self._running -= 1
                if not self._running:
                    self._ended.set()
