"""The lip-sync measure on cases with known answers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from score_factory import CHIN_TO_BRIDGE, EYES, face_of, face_points, speaking

from musetalk.evaluation.lip_sync import (
    aspect_curve,
    best_lag,
    control_correlation,
    correlation,
    gap_curve,
    lag_curve,
    lip_gap,
    lip_gaps,
    loudness_envelope,
    width_curve,
)


class Faces:
    name = "stub"

    def __init__(self, faces):
        self.faces = iter(faces)

    def find(self, frames):
        return [next(self.faces) for _ in frames]


def wiggle(count=200, seed=1):
    """A curve like a lip gap: smooth, never the same twice."""
    return np.convolve(np.abs(np.random.default_rng(seed).normal(size=count + 4)), np.ones(5) / 5, "valid")


def test_lip_curves_are_shares_of_the_face_whatever_its_size():
    near, far = face_points(gap=10, width=40), face_points(gap=10, width=40) / 3
    for points in (near, far):
        assert gap_curve(points[None]) == pytest.approx(10 / CHIN_TO_BRIDGE)
        assert width_curve(points[None]) == pytest.approx(40 / EYES)
        assert aspect_curve(points[None]) == pytest.approx(10 / (0.8 * 40))
    assert lip_gap(face_of(near)) == pytest.approx(0.1)


def test_frames_without_a_face_are_left_out_of_the_correlation():
    faces = Faces([face_of(face_points(1)), None, face_of(face_points(2)), face_of(face_points(3))])
    gaps = lip_gaps([np.zeros((2, 2, 3), np.uint8)] * 4, faces)
    assert np.isnan(gaps[1])
    assert correlation(gaps, np.array([1.0, -50.0, 2.0, 3.0])) == pytest.approx(1.0)
    assert correlation(gaps, np.array([3.0, 50.0, 2.0, 1.0])) == pytest.approx(-1.0)
    assert correlation(np.array([1.0, -50.0, 2.0, 3.0]), gaps) == pytest.approx(1.0)


def test_a_frozen_mouth_correlates_with_nothing():
    assert correlation(gap_curve(speaking(np.full(10, 3.0))), np.arange(10.0)) == 0.0


def test_the_control_of_a_perfect_match_is_near_nothing():
    curve = wiggle()
    assert correlation(curve, curve) == pytest.approx(1)
    assert abs(control_correlation(curve, curve)) < 0.2


@pytest.mark.parametrize("late", [-7, 0, 4])
def test_a_mouth_that_comes_late_is_found_by_its_lag(late):
    sound = wiggle(240)
    mouth = np.roll(sound, late)
    curve = lag_curve(mouth[20:220], sound[20:220], 15)
    assert len(curve) == 31
    assert best_lag(curve) == late
    assert curve[15 + late] == pytest.approx(1)


def test_equal_lags_are_no_lag():
    assert best_lag(np.zeros(31)) == 0


def test_loudness_envelope_of_a_burst():
    samples = np.zeros(16000, np.float32)
    samples[6400:9600] = 0.5  # frames 10 to 14 at 25 fps
    envelope = loudness_envelope(samples, Fraction(25), 30)
    assert envelope[10:15] == pytest.approx(0.5)
    assert envelope[:10].max() == envelope[15:].max() == 0


def test_loudness_envelope_cuts_rational_frames_without_drift():
    fps = Fraction(30000, 1001)
    samples = np.zeros(16000 * 60, np.float32)
    samples[int(1700 * 16000 / fps) :] = 1.0
    envelope = loudness_envelope(samples, fps, 1798)
    assert envelope[1699] == 0
    assert envelope[1700] == pytest.approx(1.0)
