from __future__ import annotations

import numpy as np
import pytest
from score_factory import EYES, face_points, speaking

from musetalk.evaluation.likeness import face_landmark_distance, mouth_landmark_distance
from musetalk.evaluation.values import NotMeasurable


def test_equal_faces_are_no_distance_apart():
    points = speaking(np.arange(5.0))
    assert mouth_landmark_distance(points, points) == face_landmark_distance(points, points) == 0


def test_a_moved_face_has_the_same_mouth():
    points = speaking(np.arange(5.0))
    moved = points + np.array([3.0, 4.0])
    assert mouth_landmark_distance(moved, points) == pytest.approx(0, abs=1e-9)
    assert face_landmark_distance(moved, points) == pytest.approx(100 * 5 / EYES)


def test_a_wider_mouth_is_apart_by_its_landmarks_in_percent_of_the_eyes():
    narrow, wide = face_points(width=40)[None], face_points(width=44)[None]
    expected = 100 * np.abs(wide - narrow)[0, 48:, 0].mean() / EYES
    assert mouth_landmark_distance(wide, narrow) == pytest.approx(expected)
    assert mouth_landmark_distance(wide * 3, narrow * 3) == pytest.approx(expected)


def test_frames_without_a_face_do_not_count():
    points, other = speaking(np.zeros(3)), speaking(np.zeros(3)) + 1.0
    other[1] += 100
    points[1] = np.nan
    assert face_landmark_distance(points, other) == pytest.approx(100 * np.sqrt(2) / EYES)
    with pytest.raises(NotMeasurable):
        face_landmark_distance(points * np.nan, other)
