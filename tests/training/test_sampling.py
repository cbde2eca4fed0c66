"""Informative frame sampling, references and margins: golden numbers and every rule as a property."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from musetalk.training.crops import union_boxes
from musetalk.training.sampling import (
    choose_reference,
    comparable_landmarks,
    draw_margin,
    frames_nearby,
    informative_frames,
    long_enough,
    rank_frames,
    sample_starts,
)

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "sampling.json"


@pytest.fixture(scope="module")
def golden() -> dict:
    return json.loads(GOLDEN.read_text())


@pytest.fixture(scope="module")
def points(golden: dict) -> np.ndarray:
    landmarks = np.array(golden["landmarks"], np.float32)
    return comparable_landmarks(landmarks, union_boxes(np.array(golden["face_boxes"], np.float32), landmarks))


def test_union_boxes_are_the_published_ones(golden: dict) -> None:
    boxes = union_boxes(np.array(golden["face_boxes"]), np.array(golden["landmarks"]))
    assert boxes.tolist() == golden["union_boxes"]


def test_comparable_landmarks_are_the_shifted_ones_scaled_to_256(golden: dict, points: np.ndarray) -> None:
    shifted = np.array(golden["shifted"], np.float64)
    expected = shifted * 256 / np.array(golden["face_shapes"])[:, None]
    assert np.array_equal(points, np.concatenate([expected[:, 0:16], expected[:, 60:67]], axis=1))


@pytest.mark.parametrize("target", [0, 17, 42])
def test_rankings_are_the_published_ones(golden: dict, points: np.ndarray, target: int) -> None:
    similar, different = rank_frames(points, target)
    expected = golden["top_k"][str(target)]
    assert int(0.51 * len(points)) == len(expected["pose_similar"])
    assert similar[:30].tolist() == expected["pose_similar"]
    assert different[:30].tolist() == expected["mouth_dissimilar"]
    both = set(expected["pose_similar"]) & set(expected["mouth_dissimilar"])
    assert informative_frames(points, target, 0.51).tolist() == sorted(both)


def test_a_reference_is_informative_and_far_enough(points: np.ndarray) -> None:
    usable = np.arange(len(points))
    for target in range(len(points)):
        allowed = {int(f) for f in informative_frames(points, target, 0.51) if abs(int(f) - target) >= 5}
        drawn = {choose_reference(np.random.default_rng(seed), usable, points, target, 1, 0.51) for seed in range(200)}
        assert drawn <= (allowed or set(frames_nearby(usable, target, 1).tolist()))
        assert len(drawn) > min(len(allowed), 10) / 2  # all of them can come


def test_frames_that_are_not_usable_are_never_references(points: np.ndarray) -> None:
    usable = np.array([f for f in range(len(points)) if f % 3])
    for target in usable.tolist():
        for seed in range(20):
            reference = choose_reference(np.random.default_rng(seed), usable, points[usable], target, 1, 0.51)
            assert reference in usable and abs(reference - target) >= 5


@pytest.mark.parametrize("length", [1, 3])
def test_without_informative_frames_a_nearby_one_is_taken(points: np.ndarray, length: int) -> None:
    usable = np.arange(len(points))
    drawn = {
        choose_reference(np.random.default_rng(seed), usable, points, 30, length, 0.01) for seed in range(300)
    }  # a share of 0.01 keeps no frame
    assert drawn == {f for f in range(60) if 5 <= abs(f - 30) <= 5 * length}


def test_the_random_method_takes_any_frame_nearby() -> None:
    usable = np.array([0, 10, 20, 21, 25, 26, 29, 30, 90])
    drawn = {choose_reference(np.random.default_rng(seed), usable, None, 21, 2, 0.51) for seed in range(200)}
    assert drawn == {26, 29, 30}  # 11 … 31, at least 5 away: 26, 29, 30 (10 is 11 away)


def test_where_faces_are_missing_nearby_any_far_frame_serves_and_without_one_there_is_no_reference() -> None:
    usable = np.array([0, 1, 2, 300])
    assert choose_reference(np.random.default_rng(0), usable, None, 1, 1, 0.51) == 300
    assert choose_reference(np.random.default_rng(0), usable[:3], None, 1, 1, 0.51) is None


def test_samples_start_where_all_their_frames_are_usable() -> None:
    usable = np.array([1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 1], bool)
    assert sample_starts(usable, 3).tolist() == [0, 7, 8]
    assert sample_starts(usable, 1).tolist() == np.flatnonzero(usable).tolist()
    assert sample_starts(usable, 11).tolist() == [] and sample_starts(usable, 12).tolist() == []
    assert sample_starts(np.ones(11, bool), 11).tolist() == [0]


def test_clips_have_ten_times_the_length_of_a_sample() -> None:
    assert long_enough(10, 1) and not long_enough(9, 1)
    assert long_enough(160, 16) and not long_enough(159, 16)


def test_margins_stay_within_a_deviation_and_above_zero() -> None:
    rng = np.random.default_rng(5)
    margins = np.array([draw_margin(rng, 10.0, 10.0) for _ in range(2000)])
    assert margins.min() == 0.0 and margins.max() == 20.0 and 9.5 < margins.mean() < 10.5
    negative = np.array([draw_margin(rng, 2.0, 10.0) for _ in range(500)])
    assert negative.min() == 0.0 and negative.max() == 12.0
    assert draw_margin(rng, 7.0, 0.0) == 7.0
