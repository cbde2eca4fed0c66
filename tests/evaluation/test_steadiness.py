from __future__ import annotations

import numpy as np
import pytest
from score_factory import EYES, face_points, speaking

from musetalk.evaluation.steadiness import STEADY, box_jitter, landmark_jitter, relative
from musetalk.evaluation.values import NotMeasurable


def moving(step: float, count: int = 50) -> np.ndarray:
    return np.stack([face_points(at=(100 + step * index, 60.0)) for index in range(count)])


def trembling(deviation: float, count: int = 4000) -> np.ndarray:
    points = moving(0, count)
    points[:, STEADY] += np.random.default_rng(2).normal(0, deviation, (count, 31, 2))
    return points


def test_a_steady_speed_is_no_jitter():
    assert landmark_jitter(moving(2.5)) == pytest.approx(0, abs=1e-9)
    assert box_jitter(moving(2.5)) == pytest.approx(0, abs=1e-9)


def test_jitter_is_the_deviation_of_a_random_tremble_in_percent_of_the_eyes():
    deviation = 0.005 * EYES
    # The eyes that it is divided by tremble too, a little.
    assert landmark_jitter(trembling(deviation)) == pytest.approx(0.5, rel=0.02)


def test_a_speaking_mouth_does_not_tremble():
    gaps = 10 * np.random.default_rng(3).random(100)
    assert landmark_jitter(speaking(gaps)) == 0
    assert box_jitter(speaking(gaps)) == 0


def test_a_jumping_box_trembles():
    points = moving(0, 60)
    points[::2, 0, 0] -= 3  # the outermost point of the jaw, every other frame: a second difference of 6 pixels
    expected = 100 * np.sqrt((6 / EYES) ** 2 / 4 / 6)  # one of the box's four edges
    assert box_jitter(points) == pytest.approx(expected)
    assert landmark_jitter(points) == 0


def test_frames_beside_a_gap_do_not_count():
    points = moving(1, 20)
    points[10:] += 500
    points[10] = np.nan
    assert landmark_jitter(points) == pytest.approx(0, abs=1e-9)
    points[::2] = np.nan
    with pytest.raises(NotMeasurable):
        landmark_jitter(points)


def test_a_source_without_jitter_gives_no_ratio():
    assert relative(0.6, 0.3) == 2
    with pytest.raises(NotMeasurable, match="still"):
        relative(0.6, 0.0)
