"""The 68 face landmarks (Multi-PIE layout) that every face finder delivers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

Box = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels, end exclusive."""

LANDMARK_COUNT = 68

# Multi-PIE order. The subject's right side is the image's left and comes first.
JAW = slice(0, 17)
"""Face contour from the image's left ear over the chin (8) to the right ear."""
LEFT_BROW = slice(17, 22)
"""The brow on the image's left, outer end first."""
RIGHT_BROW = slice(22, 27)
"""The brow on the image's right, inner end first."""
NOSE_BRIDGE = slice(27, 31)
"""From between the eyes (27) down to the tip (30)."""
NOSE_BASE = slice(31, 36)
"""Under the nostrils, image left to right; 33 is the septum."""
LEFT_EYE = slice(36, 42)
"""The eye on the image's left, from its outer corner clockwise in the image."""
RIGHT_EYE = slice(42, 48)
"""The eye on the image's right, from its inner corner clockwise in the image."""
OUTER_LIPS = slice(48, 60)
"""From the image's left corner (48) over the upper lip to the right corner (54) and back below."""
INNER_LIPS = slice(60, 68)
"""From the image's left corner (60) over the upper lip to the right corner (64) and back below."""

CHIN = 8
BOX_CENTRE = 29
"""The nose bridge point that published boxes are centred on."""
ABOVE_BOX_CENTRE = 28
BELOW_BOX_CENTRE = 30


@dataclass(frozen=True)
class Face:
    """One face in one frame.

    Attributes:
        landmarks: (68, 2) float64 x, y in pixels of the frame, Multi-PIE order. May lie outside the frame.
        detection: the face detector's box x1, y1, x2, y2 in pixels; None where a landmark network answered
            although no detector saw a face, which counts as no face.
    """

    landmarks: np.ndarray
    detection: tuple[float, float, float, float] | None

    def __post_init__(self) -> None:
        if self.landmarks.shape != (LANDMARK_COUNT, 2):
            raise ValueError(f"landmarks of shape {self.landmarks.shape}, expected ({LANDMARK_COUNT}, 2)")


class FaceFinder(Protocol):
    """Finds the most prominent face of each frame."""

    name: str

    def find(self, frames: Sequence[np.ndarray]) -> list[Face | None]:
        """One entry per frame, None where there is no face; the answer to a frame depends on that frame alone.

        Args:
            frames: BGR uint8 (H, W, 3); sizes may differ.
        """
        ...


class FaceCounter(Protocol):
    """A face finder that can also tell whether its face is alone in the frame."""

    def count(self, frames: Sequence[np.ndarray], faces: Sequence[Face]) -> list[int]:
        """How many faces each frame shows that are at least `COUNTED_WIDTH` as wide as the one found; at least 1.

        Args:
            frames: BGR uint8 (H, W, 3).
            faces: What `FaceFinder.find` found in them, with detections.
        """
        ...


COUNTED_WIDTH = 0.5
"""Smaller faces than this share of the main one's width are people in the background, or pictures."""
SAME_FACE_IOU = 0.3
"""Boxes of one frame that overlap more than this are of one face."""


def also_counts(box: Sequence[float], main: Sequence[float], overlap: float) -> bool:
    """Whether a box is another face than the main one that counts beside it, given how much the two overlap (0…1)."""
    return overlap <= SAME_FACE_IOU and box[2] - box[0] >= COUNTED_WIDTH * (main[2] - main[0])
