"""Samples with other colours, and mirrored ones."""

from __future__ import annotations

import numpy as np
import pytest

from musetalk.training.augment import FACES, Grading, draw_grading, graded, mirrored


def sample() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    faces = {name: rng.integers(0, 256, (2, 16, 16, 3), np.uint8) for name in FACES}
    return faces | {"mouth_box": np.array([[2, 8, 9, 14], [3, 8, 16, 12]], np.int32), "frames": np.array([4, 5])}


def test_a_camera_that_changes_nothing() -> None:
    given = sample()
    found = graded(given, Grading())
    assert all(np.array_equal(found[name], given[name]) for name in given)


@pytest.mark.parametrize("grading", [draw_grading(np.random.default_rng(seed)) for seed in range(5)])
def test_all_faces_of_a_sample_are_seen_by_one_camera(grading: Grading) -> None:
    given = sample()
    given["reference"] = given["target"].copy()
    found = graded(given, grading)
    assert np.array_equal(found["reference"], found["target"]) and not np.array_equal(found["target"], given["target"])
    assert found["target"].dtype == np.uint8 and found["target"].shape == given["target"].shape
    assert all(found[name] is given[name] for name in ("mouth_box", "frames"))


def test_each_property_does_what_it_says() -> None:
    given = {name: np.full((1, 4, 4, 3), 100, np.uint8) for name in FACES}
    given["target"] = np.full((1, 4, 4, 3), (50, 100, 150), np.uint8)

    def changed(**settings: object) -> np.ndarray:
        return graded(given, Grading(**settings))["target"][0, 0, 0].astype(int)  # type: ignore[arg-type]

    assert changed(gains=(1.2, 1.0, 0.5)).tolist() == [60, 100, 75]
    assert changed(brightness=0.1).tolist() == [76, 126, 176]
    assert changed(saturation=0.0).tolist() == [100, 100, 100]
    assert changed(contrast=2.0).tolist() == [0, 100, 200]
    assert changed(gamma=0.5)[0] == round(255 * (50 / 255) ** 0.5)


def test_some_cameras_see_no_colours() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_grading(rng) for _ in range(400)]
    grey = [grading for grading in drawn if grading.saturation == 0]
    assert 5 <= len(grey) <= 45
    found = graded(sample(), grey[0])
    for name in FACES:
        assert np.ptp(found[name].astype(int), axis=-1).max() == 0


def test_a_mirror_exchanges_left_and_right_of_faces_and_boxes_alone() -> None:
    given = sample()
    found = mirrored(given)
    for name in FACES:
        assert np.array_equal(found[name], given[name][:, :, ::-1]) and found[name].flags.c_contiguous
    for frame, (x1, y1, x2, y2) in enumerate(given["mouth_box"].tolist()):
        left, top, right, bottom = found["mouth_box"][frame].tolist()
        mouth = given["target"][frame, y1:y2, x1:x2]
        assert np.array_equal(found["target"][frame, top:bottom, left:right], mouth[:, ::-1])
    assert found["frames"] is given["frames"]
    again = mirrored(found)
    assert all(np.array_equal(again[name], given[name]) for name in given)
