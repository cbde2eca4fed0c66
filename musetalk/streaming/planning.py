"""Which faces to make next, so that they are ready in time. Pure: durations in seconds in, decisions out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_WEIGHT = 0.3  # of the newest measurement
_SHARE = 0.9  # of the time between frames that may be spent on a face
_FORGET = 0.03  # share of what a slow pass made believe, that each pass of another size takes back
_MARGIN = 1.0  # mean deviations by which a pass may take longer and still be in time


class PassTimes:
    """How long passes of the networks take, by the number of faces in them, as measured."""

    def __init__(self) -> None:
        self._measured: dict[int, tuple[float, float]] = {}  # mean and mean deviation
        self._first: dict[int, float] = {}

    def add(self, faces: int, seconds: float) -> None:
        """Note a pass. Sizes that are not used are slowly believed to take again what they took first."""
        self._first.setdefault(faces, seconds)
        for size, (mean, deviation) in self._measured.items():
            back = _FORGET * max(mean - self._first[size], 0.0)
            self._measured[size] = mean - back, (1 - _FORGET) * deviation
        mean, deviation = self._measured.get(faces, (seconds, 0.0))
        deviation += _WEIGHT * (abs(seconds - mean) - deviation)
        self._measured[faces] = mean + _WEIGHT * (seconds - mean), deviation

    def predict(self, faces: int, margin: float = 0.0) -> float:
        """Seconds that a pass will take, 0 when unknown.

        Args:
            faces: In the pass. A number that was not measured takes as long as the nearest smaller one, in proportion.
            margin: Mean deviations more than on average.
        """
        if not self._measured:
            return 0.0
        smaller = [known for known in self._measured if known <= faces]
        nearest = max(smaller) if smaller else min(self._measured)
        mean, deviation = self._measured[nearest]
        return (mean + margin * deviation) * max(faces / nearest, 1.0)

    def enough(self, interval: float, most: int, slack: float = math.inf) -> int:
        """The least number of faces in a pass that keeps up with a frame each `interval`; if none does, the fastest.

        Args:
            interval: Seconds between frames.
            most: Faces in a pass.
            slack: Seconds until the newest frame is due: passes that are gathered and done in that time are considered.
        """
        each = {
            faces: self.predict(faces) / faces
            for faces in range(1, most + 1)
            if faces == 1 or self.predict(faces, _MARGIN) + (faces - 1) * interval <= slack
        }
        return next((n for n, seconds in each.items() if seconds <= _SHARE * interval), min(each, key=each.__getitem__))


@dataclass(frozen=True)
class PassPlan:
    """What to do with the units that wait for a face, by their place.

    Attributes:
        take: Those in the next pass; none: wait for more.
        drop: Those that are not made any more.
    """

    take: tuple[int, ...]
    drop: tuple[int, ...] = ()


def plan_pass(slack: Sequence[float], times: PassTimes, interval: float, most: int) -> PassPlan:
    """Choose the faces of the next pass.

    What cannot be ready when it is due is dropped, but for the last one if that is so of all. Where single faces would
    not keep up, passes are filled as far as there is time to wait; where no pass keeps up, what is dropped is spread
    evenly.

    Args:
        slack: Seconds until each waiting unit is due, ascending.
        times: What passes take.
        interval: Seconds between frames.
        most: Faces in one pass, at most.
    """
    count = len(slack)
    if not count:
        return PassPlan(())
    enough = times.enough(interval, most, slack[-1])
    first = 0
    while first < count and slack[first] < times.predict(min(enough, count - first), _MARGIN):
        first += 1
    if first == count:
        # A face that comes late is still shown, with the frames after its own, and tells how long passes take now.
        return PassPlan((count - 1,), tuple(range(count - 1)))
    available = min(most, count - first)
    if available < enough and slack[first] > times.predict(enough, _MARGIN) + interval:
        return PassPlan((), tuple(range(first)))
    while available > 1 and times.predict(available, _MARGIN) > slack[first]:
        available -= 1
    step = max(math.ceil(times.predict(available) / available / interval - 0.1), 1)
    widest = (count - first - 1) // max(min(available, enough) - 1, 1)  # more would make the pass smaller, and slower
    step = max(min(step, widest), 1)
    take = tuple(range(first, count, step))[:available]
    return PassPlan(take, tuple(place for place in range(take[-1]) if place not in take))
