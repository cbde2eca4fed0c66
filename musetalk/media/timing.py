"""When frames are on display: constant rates found in rounded time stamps, and resampling by time. No files here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import TypeVar

import numpy as np

T = TypeVar("T")

STANDARD_RATES = tuple(
    Fraction(rate)
    for rate in ("25", "30", "30000/1001", "24", "24000/1001", "50", "60", "60000/1001", "48", "15", "12", "10", "120")
)

# Cameras stamp frames some milliseconds early or late; below half a frame every frame still has a slot of its own.
_JITTER = 0.4

# A rate beyond this is a clock of the container, not a frame rate.
_HIGHEST_RATE = 1000


def constant_rate(stamps: np.ndarray, time_base: Fraction, candidates: Sequence[Fraction | None]) -> Fraction | None:
    """Return the frame rate of which `stamps` are the rounded multiples, or None when the spacing varies.

    Args:
        stamps: (n,) int64 presentation times in ascending order, in units of `time_base`.
        time_base: Seconds of one unit.
        candidates: Rates that the container claims, the most trusted first; the standard rates are tried after them,
            since a container's own average is off by its rounding.
    """
    usable = [rate for rate in candidates if rate and 0 < rate <= _HIGHEST_RATE]
    if len(stamps) < 2:
        return usable[0] if usable else None
    units = (stamps - stamps[0]).astype(np.float64)
    index = np.arange(len(stamps))
    neat = [rate for rate in usable if rate.denominator in (1, 1001)]
    ordered = list(dict.fromkeys([*neat, *STANDARD_RATES, *usable]))
    deviations = {rate: float(np.abs(units * float(time_base * rate) - index).max()) for rate in ordered}
    for rate in ordered:
        one_unit = float(time_base * rate) * 1.001
        if deviations[rate] <= min(one_unit, _JITTER):
            return rate
    steadiest = min(ordered, key=lambda rate: deviations[rate])
    return steadiest if deviations[steadiest] <= _JITTER else None


def mean_rate(stamps: np.ndarray, time_base: Fraction, claimed: Fraction | None) -> Fraction:
    """Return the average rate of unevenly spaced frames: the container's claim when the stamps bear it out.

    Args:
        stamps: (n,) int64 ascending, n >= 2, in units of `time_base`.
        claimed: The container's average rate.
    """
    span = int(stamps[-1] - stamps[0]) * time_base
    if span <= 0:
        return claimed if claimed and 0 < claimed <= _HIGHEST_RATE else Fraction(25)
    measured = (len(stamps) - 1) / span
    if claimed and abs(claimed - measured) * 10 <= measured:
        measured = claimed
    return min(measured, Fraction(_HIGHEST_RATE)).limit_denominator(1001)


def resample_by_time(items: Iterable[tuple[Fraction, T]], fps: Fraction, last_duration: Fraction) -> Iterator[T]:
    """Yield what is on display at time k / fps for k = 0, 1, 2 ...

    Args:
        items: (time in seconds, item), times ascending, counted from the first item's; an item stays on display until
            the next one's time.
        fps: Output rate.
        last_duration: Seconds that the last item stays.
    """
    k = 0
    shown: tuple[Fraction, T] | None = None
    for item in items:
        if shown is not None:
            end = math.ceil(item[0] * fps)
            while k < end:
                yield shown[1]
                k += 1
        shown = item
    if shown is not None:
        end = max(math.ceil((shown[0] + last_duration) * fps), 1)
        while k < end:
            yield shown[1]
            k += 1
