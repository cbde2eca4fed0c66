"""Rates found in rounded stamps; resampling by time."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from musetalk.media.timing import constant_rate, mean_rate, resample_by_time

MS = Fraction(1, 1000)


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(25), Fraction(24000, 1001), Fraction(60)])
@pytest.mark.parametrize("rounding", [np.round, np.floor])
def test_rate_of_stamps_in_milliseconds(rate: Fraction, rounding: np.ufunc) -> None:
    stamps = rounding(np.arange(2000) * 1000 / float(rate)).astype(np.int64) + 67
    # A container's own average is off by its rounding.
    assert constant_rate(stamps, MS, [Fraction(989, 33), None]) == rate


def test_jitter_is_not_an_uneven_rate() -> None:
    stamps = np.arange(100) * 40 + np.tile([0, 7, -6, 3], 25)
    assert constant_rate(stamps - stamps[0], MS, [Fraction(25)]) == 25


def test_uneven_stamps_have_no_rate() -> None:
    stamps = np.array([0, 20, 40, 60, 140, 220, 300, 380, 500])
    assert constant_rate(stamps, MS, [Fraction(25), Fraction(30)]) is None
    assert mean_rate(stamps, MS, Fraction(17)) == 17
    assert mean_rate(stamps, MS, Fraction(90000)) == 16


def test_resampling_by_hand() -> None:
    third = Fraction(1, 3)
    items = [(0 * third, "a"), (1 * third, "b"), (2 * third, "c")]
    assert list(resample_by_time(items, Fraction(3), third)) == ["a", "b", "c"]
    assert list(resample_by_time(items, Fraction(6), third)) == ["a", "a", "b", "b", "c", "c"]
    assert list(resample_by_time(items, Fraction(2), third)) == ["a", "b"]
    assert list(resample_by_time(items[:1], Fraction(2), Fraction(0))) == ["a"]


def test_long_passes_stay_exact() -> None:
    rate = Fraction(30000, 1001)
    items = ((index / rate, index) for index in range(20000))
    assert all(k == shown for k, shown in enumerate(resample_by_time(items, rate, 1 / rate)))
