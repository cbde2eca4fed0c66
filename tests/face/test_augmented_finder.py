"""Landmarks averaged over looks: the looks' places are undone, and looks without a face are left out."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from musetalk.face.augmented_finder import MIRRORED, AugmentedFinder, mirrored_landmarks
from musetalk.face.landmarks import INNER_LIPS, JAW, LANDMARK_COUNT, LEFT_EYE, NOSE_BRIDGE, OUTER_LIPS, RIGHT_EYE, Face

SIZE = 200


def picture() -> np.ndarray:
    """Black, with a bright square at columns 80…99 and rows 60…79."""
    frame = np.zeros((SIZE, SIZE, 3), np.uint8)
    frame[60:80, 80:100] = 255
    return frame


class SquareFinder:
    """Finds the bright square: every landmark at its centre, moved by `errors` of one look after the other."""

    name = "square"

    def __init__(self, errors: Sequence[float | None]) -> None:
        self.errors, self.seen = list(errors), list[np.ndarray]()

    def find(self, frames: Sequence[np.ndarray]) -> list[Face | None]:
        error = self.errors[len(self.seen)]
        self.seen.append(frames[0])
        if error is None:
            return [None]
        rows, columns = np.nonzero(frames[0][..., 0])
        low, high = (float(columns.min()), float(rows.min())), (float(columns.max() + 1), float(rows.max() + 1))
        centre = (np.array(low) + np.array(high)) / 2
        return [Face(np.tile(centre + error, (LANDMARK_COUNT, 1)), (*low, *high))]


def test_every_look_is_brought_back_to_the_frame_and_counts_alike() -> None:
    finder = SquareFinder([4, 0, 0, 0])
    face = AugmentedFinder(finder).find([picture()])[0]
    assert face is not None and np.allclose(face.landmarks, [90 + 1, 70 + 1])
    assert face.detection == (80, 60, 100, 80)
    assert [len(image) for image in finder.seen] == [SIZE, SIZE, 33, 45]
    assert np.array_equal(finder.seen[1], cv2.flip(finder.seen[0], 1))


def test_an_error_to_one_side_is_turned_round_by_the_mirror() -> None:
    face = AugmentedFinder(SquareFinder([3, 3, None, None])).find([picture()])[0]
    assert face is not None and np.allclose(face.landmarks, [90, 73])


@pytest.mark.parametrize("first", [None, "without detection"])
def test_the_first_look_decides_whether_there_is_a_face(first) -> None:
    class Blind(SquareFinder):
        def find(self, frames):
            super().find(frames)
            return [None if first is None else Face(np.zeros((LANDMARK_COUNT, 2)), None)]

    finder = Blind([0])
    face = AugmentedFinder(finder).find([picture()])[0]
    assert face is None or face.detection is None
    assert len(finder.seen) == 1


def test_mirrored_landmarks_change_sides_within_their_part() -> None:
    assert sorted(MIRRORED) == list(range(LANDMARK_COUNT))
    assert np.array_equal(MIRRORED[MIRRORED], np.arange(LANDMARK_COUNT))
    for part in (JAW, NOSE_BRIDGE, OUTER_LIPS, INNER_LIPS):
        assert sorted(MIRRORED[part]) == list(range(part.start, part.stop))
    assert sorted(MIRRORED[LEFT_EYE]) == list(range(RIGHT_EYE.start, RIGHT_EYE.stop))
    points = np.random.default_rng(0).uniform(0, 99, (LANDMARK_COUNT, 2))
    there = mirrored_landmarks(points, 100)
    assert np.allclose(mirrored_landmarks(there, 100), points)
    assert np.allclose(there[48], [100 - points[54, 0], points[54, 1]]) and np.allclose(there[61, 1], points[63, 1])
