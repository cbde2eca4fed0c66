"""Tasks done one after the other here, or side by side in processes that end with this one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.context import SpawnProcess
from types import FrameType, TracebackType
from typing import Any, Generic, Protocol, TypeVar

from musetalk.errors import InputError, MuseTalkError

_END_SECONDS = 20
"""How long a process may take to clean up."""


class Maker(Protocol):
    """Does tasks."""

    def do(self, task: Any) -> Any: ...

    def close(self) -> None: ...


class Recipe(Protocol):
    """Makes a maker, in the process in which it works; is sent there."""

    def __call__(self) -> Maker: ...


Task = TypeVar("Task")


@dataclass(frozen=True)
class Done(Generic[Task]):
    """A task that is done, or that failed for a reason of its own: `error` is set."""

    task: Task
    result: Any
    error: MuseTalkError | None = None


class Workers:
    """Does tasks in `count` processes, each with a maker of its own; in this process if count is 1.

    A context manager: the processes start with the first tasks and end with the block, whatever ends it; what they are
    doing then is cleaned up by them. Processes are started afresh (spawn), so that nothing is shared by accident.
    """

    def __init__(self, recipe: Recipe, count: int) -> None:
        self._recipe = recipe
        self._count = count
        self._here: Maker | None = None
        self._processes: dict[connection.Connection, SpawnProcess] = {}

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._here is not None:
            self._here.close()
        for process in self._processes.values():
            if kind is not None:
                process.terminate()
        for pipe in self._processes:
            pipe.close()  # which a process that waits for work takes as its end
        for process in self._processes.values():
            process.join(_END_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()
        self._processes.clear()

    def run(self, tasks: Iterable[Task]) -> Iterator[Done[Task]]:
        """Do the tasks; yields each as it is done, in any order.

        A task that fails with an InputError, or whose process dies, is yielded with that error.

        Raises:
            MuseTalkError: Anything else that would go wrong with every task, such as a full disk.
        """
        waiting = list(tasks)
        if self._count == 1:
            yield from self._run_here(waiting)
            return
        waiting.reverse()
        busy: dict[connection.Connection, Task] = {}
        while waiting or busy:
            idle = [pipe for pipe in self._processes if pipe not in busy]
            while waiting and len(busy) < self._count:
                pipe = idle.pop() if idle else self._start()
                busy[pipe] = waiting.pop()
                self._give(pipe, busy[pipe])
            for ready in connection.wait(list(busy)):
                assert isinstance(ready, connection.Connection)
                done = self._take(ready, busy.pop(ready))
                if done.error is not None and not isinstance(done.error, InputError):
                    raise done.error
                yield done

    def _run_here(self, tasks: Iterable[Task]) -> Iterator[Done[Task]]:
        if self._here is None:
            self._here = self._recipe()
        for task in tasks:
            try:
                done = Done(task, self._here.do(task))
            except InputError as error:
                done = Done(task, None, error)
            yield done

    def _start(self) -> connection.Connection:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self._recipe, self._count), daemon=True)
        process.start()
        theirs.close()  # so that the end of the process ends the pipe
        self._processes[ours] = process
        return ours

    def _give(self, pipe: connection.Connection, task: Any) -> None:
        try:
            pipe.send(task)
        except OSError:  # it has died; `_take` finds out
            return

    def _take(self, pipe: connection.Connection, task: Task) -> Done[Task]:
        try:
            result, failure = pipe.recv()
        except (EOFError, OSError):
            process = self._processes.pop(pipe)
            process.join(_END_SECONDS)
            pipe.close()
            error = InputError(
                f"its process ended unexpectedly, with exit code {process.exitcode}",
                "Run again: what is finished is kept. With too little memory, take a smaller num_workers.",
            )
            return Done(task, None, error)
        if failure is None:
            return Done(task, result)
        kind, what, fix = failure
        return Done(task, None, kind(what, fix))


class _Ended(KeyboardInterrupt):
    """SIGTERM in a working process: unwinds like Ctrl-C, so that everything is cleaned up in the same places."""


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Ended


def _serve(pipe: connection.Connection, recipe: Recipe, count: int) -> None:
    """Do tasks until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first process ends the others
    signal.signal(signal.SIGTERM, _end)
    _share_cores(count)
    try:
        maker = recipe()
    except MuseTalkError as error:  # with every task: the first one that is given tells
        with suppress(EOFError, OSError, _Ended):
            pipe.recv()
            pipe.send((None, (type(error), error.what, error.fix)))
        return
    try:
        while True:
            task = pipe.recv()
            try:
                answer: tuple[Any, Any] = (maker.do(task), None)
            except MuseTalkError as error:
                answer = (None, (type(error), error.what, error.fix))
            pipe.send(answer)
    except (EOFError, BrokenPipeError, ConnectionResetError, _Ended):
        return
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        maker.close()


def _share_cores(count: int) -> None:
    """Give each process its share of the cores: by default all networks and OpenCV would take all of them."""
    import cv2

    threads = max(1, (os.cpu_count() or 1) // count)
    cv2.setNumThreads(threads)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # of what is loaded from here on
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)
