"""Which way up a stored picture is, by EXIF or by a video's display matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import av
import cv2
import numpy as np


@dataclass(frozen=True)
class Orientation:
    """How to turn a stored picture upright: transpose first, then mirror."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def from_exif(cls, value: int) -> Orientation:
        """Return the orientation of EXIF tag 0x0112; values outside 1-8 mean upright."""
        return cls(value in (5, 6, 7, 8), value in (2, 3, 6, 7), value in (3, 4, 7, 8))

    @classmethod
    def from_display_matrix(cls, matrix: Sequence[int]) -> Orientation:
        """Return the orientation of a 3x3 display matrix (9 ints, row by row); odd angles go to the nearest right one.

        The matrix takes a stored (x, y) to the shown (a x + c y, b x + d y).
        """
        a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(True, c < 0, b < 0)
        return cls(False, a < 0, d < 0)

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Return the upright image, contiguous."""
        if self.transpose:
            image = cv2.transpose(image)
        if self.flip_x or self.flip_y:
            image = cv2.flip(image, -1 if self.flip_x and self.flip_y else int(self.flip_x))
        return image


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """Return the orientation that a decoded frame's display matrix asks for; without one, upright."""
    side_data: Any = frame.side_data  # PyAV's stub lists only some of the kinds
    try:
        matrix = side_data["DISPLAYMATRIX"]
    except KeyError:
        return Orientation()
    return Orientation.from_display_matrix(np.frombuffer(bytes(matrix), np.int32)[:9].tolist())
