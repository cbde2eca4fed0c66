"""When things are due that play in real time. Pure: the clock is given, nothing here waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction

Clock = Callable[[], float]


class Pacer:
    """The schedule of a stream: item i is due at start + i / rate, computed from i, so that it never drifts.

    Args:
        rate: Items (frames, samples) a second.
        clock: Seconds that never go back.
    """

    def __init__(self, rate: Fraction | int, clock: Clock = time.monotonic) -> None:
        self.rate = Fraction(rate)
        self._clock = clock
        self._start: float | None = None

    @property
    def started(self) -> bool:
        return self._start is not None

    def start(self, first: int = 0) -> None:
        """Begin, or begin anew after a stall: item `first` is due now."""
        self._start = self._clock() - float(first / self.rate)

    def due(self, item: int) -> float:
        """The clock's time at which an item is due. Asking for the first time starts the schedule."""
        if self._start is None:
            self.start()
        assert self._start is not None
        return self._start + float(item / self.rate)

    def wait(self, item: int) -> float:
        """Seconds until an item is due, 0 when it is already."""
        return max(self.due(item) - self._clock(), 0.0)

    def late(self, item: int) -> int:
        """How many whole items we are behind: 0 until the time at which the next one is due."""
        return max(int((self._clock() - self.due(item)) * self.rate), 0)
