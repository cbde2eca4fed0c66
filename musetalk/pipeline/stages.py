"""Stages that overlap: each runs in a thread of its own and hands its items on through a bounded channel.

A pipeline is written as nested iterators; `Stages.run` moves one of them into a thread. An error of any stage travels
down the chain to whoever iterates over the last stage; leaving the `with` block, for whatever reason, stops all.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")

# Frames under way are bounded in bytes, so that 4K video needs no more memory than small video.
CHANNEL_BYTES = 48 * 1024 * 1024
_MIN_DEPTH, _MAX_DEPTH = 2, 32
_MAX_STAGES = 8


def channel_depth(item_bytes: int) -> int:
    """How many items of a size a channel holds."""
    return max(_MIN_DEPTH, min(_MAX_DEPTH, CHANNEL_BYTES // max(item_bytes, 1)))


@dataclass
class StageTime:
    """What one stage did.

    Attributes:
        name: As shown to the user.
        items: Frames that left the stage.
        seconds: Time it worked, without waiting for other stages.
    """

    name: str
    items: int = 0
    seconds: float = 0.0


class Stopped(Exception):
    """The pipeline was stopped from outside; ends the thread of a stage."""


class Channel(Generic[T]):
    """A bounded queue between two threads that can be closed from either side."""

    def __init__(self, depth: int) -> None:
        self._items: deque[T] = deque()
        self._depth = depth
        self._changed = threading.Condition()
        self._ended = False
        self._stopped = False

    def put(self, item: T) -> None:
        """Append, waiting while the channel is full. Raises Stopped after `stop`."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or len(self._items) < self._depth)
            if self._stopped:
                raise Stopped
            self._items.append(item)
            self._changed.notify_all()

    def take(self) -> tuple[bool, T | None]:
        """(True, item), or (False, None) once the giving side has ended. Raises Stopped after `stop`."""
        with self._changed:
            # With a timeout, since on Windows a wait without one cannot be interrupted by Ctrl-C.
            while not self._changed.wait_for(lambda: self._stopped or self._ended or bool(self._items), timeout=0.5):
                pass
            if self._stopped:
                raise Stopped
            if not self._items:
                return False, None
            item = self._items.popleft()
            self._changed.notify_all()
            return True, item

    def end(self) -> None:
        """No more items will come."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Wake and end both sides, dropping what is under way."""
        with self._changed:
            self._stopped = True
            self._items.clear()
            self._changed.notify_all()


class Stages:
    """Runs iterators in threads and times them.

    Args:
        advance: Called with a stage's name for each item that leaves it, from the stage's thread.
    """

    def __init__(self, advance: Callable[[str], None] | None = None) -> None:
        self.times: dict[str, StageTime] = {}
        self._advance = advance
        self._channels: list[Channel[Any]] = []
        self._pool = ThreadPoolExecutor(_MAX_STAGES, thread_name_prefix="musetalk")
        self._waited = threading.local()  # seconds the current thread has waited for, or spent in, other stages

    def __enter__(self) -> Stages:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for channel in self._channels:
            channel.stop()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def run(self, name: str, items: Iterable[T], depth: int) -> Iterator[T]:
        """The same items, made in a thread that runs ahead by at most `depth` of them. The thread starts at once."""
        channel: Channel[T] = Channel(depth)
        self._channels.append(channel)
        future = self._pool.submit(self._pump, self.time(name, items), channel)
        return self._taken(channel, future)

    def time(self, name: str, items: Iterable[T]) -> Iterator[T]:
        """The same items in the same thread, their making timed as a stage of its own."""
        stage = self.times.setdefault(name, StageTime(name))
        iterator = iter(items)
        try:
            while True:
                began, waited_before = time.perf_counter(), self._waiting()
                try:
                    item = next(iterator)
                except StopIteration:
                    return
                finally:
                    spent = time.perf_counter() - began
                    stage.seconds += spent - (self._waiting() - waited_before)
                    # For the stage around this one, all of it was waiting.
                    self._waited.seconds = waited_before + spent
                stage.items += 1
                if self._advance is not None:
                    self._advance(name)
                yield item
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    @contextmanager
    def spend(self, name: str) -> Iterator[None]:
        """Time the work on one item of a stage that is not an iterator, such as writing."""
        stage = self.times.setdefault(name, StageTime(name))
        began = time.perf_counter()
        yield
        stage.seconds += time.perf_counter() - began
        stage.items += 1
        if self._advance is not None:
            self._advance(name)

    def _waiting(self) -> float:
        return getattr(self._waited, "seconds", 0.0)

    @staticmethod
    def _pump(items: Iterator[T], channel: Channel[T]) -> None:
        try:
            for item in items:
                channel.put(item)
        finally:
            channel.end()
            items.close()  # type: ignore[attr-defined]  # a generator: lets it close files in its own thread

    def _taken(self, channel: Channel[T], future: Future[None]) -> Iterator[T]:
        while True:
            began = time.perf_counter()
            more, item = channel.take()
            self._waited.seconds = self._waiting() + time.perf_counter() - began
            if not more:
                future.result()  # raises what ended the stage, if anything did
                return
            yield item  # type: ignore[misc]
