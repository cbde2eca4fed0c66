"""Parts of a batch through a network at the same time, on a CPU: each part has its share of the threads.

All threads on one small layer after the other wait for each other at the end of each, the longer the more else the
machine does. Parts do not wait.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


class BatchThreads:
    """Threads that share the work on batches. Thread-safe.

    Args:
        threads: In all; None: as many as torch uses.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads or torch.get_num_threads()
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="musetalk-part")

    def run(self, work: Callable[[slice], T], count: int) -> list[T]:
        """What `work` gives for consecutive parts of 0 … count - 1, in their order; in inference mode."""
        parts = min(count, self._threads)
        if parts <= 1:
            return [work(slice(0, count))]
        edges = [count * part // parts for part in range(parts + 1)]

        def do(part: int) -> T:
            torch.set_num_threads(max(self._threads // parts, 1))  # of this thread, and of those that begin later
            with torch.inference_mode():
                return work(slice(edges[part], edges[part + 1]))

        try:
            return list(self._pool.map(do, range(parts)))
        finally:
            torch.set_num_threads(self._threads)
