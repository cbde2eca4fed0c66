"""Small work on a CPU beside larger work: each piece on one core, and as many pieces at once as there are cores."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


class SingleThreadPool:
    """Threads in which torch uses one thread each. Thread-safe.

    Args:
        threads: How many; None: as many as torch uses.
    """

    def __init__(self, threads: int | None = None) -> None:
        before = torch.get_num_threads()
        count = threads or before
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="musetalk-single")
        together = threading.Barrier(count)

        def begin() -> None:
            torch.get_num_threads()  # a thread that never asked takes the default when it first works
            torch.set_num_threads(1)  # of this thread, and the default of those that begin later
            together.wait()

        for started in [self._pool.submit(begin) for _ in range(count)]:
            started.result()
        torch.set_num_threads(before)

    def run(self, work: Callable[[], T]) -> T:
        """What `work` gives, in one of the threads, in inference mode."""

        def do() -> T:
            with torch.inference_mode():
                return work()

        return self._pool.submit(do).result()
