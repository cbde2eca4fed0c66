"""The lip-sync measure on cases with known answers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from musetalk.evaluation.lip_sync import correlation, lip_gap, lip_gaps, loudness_envelope
from musetalk.face.landmarks import Face


def face_with_gap(gap: float, size: float = 100.0) -> Face:
    points = np.zeros((68, 2))
    points[27], points[8] = (0, 0), (0, size)
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        points[upper], points[lower] = (0, 70), (0, 70 + gap)
    return Face(points, None)


class Faces:
    name = "stub"

    def __init__(self, faces):
        self.faces = iter(faces)

    def find(self, frames):
        return [next(self.faces) for _ in frames]


def test_lip_gap_does_not_depend_on_the_size_of_the_face():
    assert lip_gap(face_with_gap(10)) == pytest.approx(0.1)
    assert lip_gap(face_with_gap(20, size=200)) == pytest.approx(0.1)


def test_frames_without_a_face_are_left_out_of_the_correlation():
    faces = Faces([face_with_gap(1), None, face_with_gap(2), face_with_gap(3)])
    gaps = lip_gaps([np.zeros((2, 2, 3), np.uint8)] * 4, faces)
    assert np.isnan(gaps[1])
    assert correlation(gaps, np.array([1.0, -50.0, 2.0, 3.0])) == pytest.approx(1.0)
    assert correlation(gaps, np.array([3.0, 50.0, 2.0, 1.0])) == pytest.approx(-1.0)


def test_a_frozen_mouth_correlates_with_nothing():
    assert correlation(np.full(10, 0.2), np.arange(10.0)) == 0.0


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
