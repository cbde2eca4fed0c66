"""Frames forward and backward without end, whatever they are read from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np

from musetalk.media.frame_source import SourceInfo

# Decoded frames that a ping-pong keeps at most: short clips stay whole, long ones go backward in chunks of this size.
PING_PONG_BYTES = 128 * 1024 * 1024


class PingPong(ABC):
    """The ping-pong that all sources share; a subclass says how to read forward, and a range at random."""

    info: SourceInfo

    def __init__(self, keep_bytes: int = PING_PONG_BYTES) -> None:
        self._keep_bytes = keep_bytes

    @abstractmethod
    def frames(self) -> Iterator[np.ndarray]:
        """The frames once, forward."""

    def _first_pass(self) -> Iterator[np.ndarray]:
        """Yield the frames of a forward pass, noting what `_range` needs."""
        return self.frames()

    @abstractmethod
    def _range(self, start: int, stop: int) -> list[np.ndarray]:
        """Return the frames start ... stop-1 of a source that `_first_pass` has gone through."""

    def ping_pong(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (index, frame) without end; see `FrameSource`."""
        kept: list[np.ndarray] | None = []
        kept_bytes = count = 0
        for frame in self._first_pass():
            if kept is not None:
                kept_bytes += frame.nbytes
                if kept_bytes <= self._keep_bytes:
                    kept.append(frame.copy())
                else:
                    kept = None
            yield count, frame
            count += 1
        while True:
            yield from self._backward(count, kept)
            yield from self._forward(count, kept)

    def _backward(self, count: int, kept: list[np.ndarray] | None) -> Iterator[tuple[int, np.ndarray]]:
        if kept is not None:
            for index in reversed(range(count)):
                yield index, kept[index].copy()
            return
        chunk = max(1, self._keep_bytes // (self.info.width * self.info.height * 3))
        for stop in range(count, 0, -chunk):
            start = max(0, stop - chunk)
            frames = self._range(start, stop)
            for index in reversed(range(start, stop)):
                yield index, frames.pop()

    def _forward(self, count: int, kept: list[np.ndarray] | None) -> Iterator[tuple[int, np.ndarray]]:
        if kept is not None:
            for index in range(count):
                yield index, kept[index].copy()
            return
        yield from zip(range(count), self.frames(), strict=False)
