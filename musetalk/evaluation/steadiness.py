"""Does the face tremble? What changes from frame to frame and back, in landmarks that speech does not move."""

from __future__ import annotations

import numpy as np

from musetalk.evaluation.lip_sync import OUTER_EYE_CORNERS
from musetalk.evaluation.values import NotMeasurable

STEADY = slice(17, 48)
"""Brows, nose and eyes: nothing of the mouth, nothing of the jaw."""
OUTSIDE_MOUTH = slice(0, 48)
_SECOND_DIFFERENCE_GAIN = 6.0
"""Variance of x[t−1] − 2 x[t] + x[t+1] over that of x, for white noise."""


def landmark_jitter(landmarks: np.ndarray) -> float:
    """Trembling of brows, nose and eyes, in percent of the distance of the outer eye corners.

    The root mean square of the second difference over time of their x and y, divided by √6: points that each frame
    moves at random by a standard deviation of 1 % have a jitter of 1, a face that moves at a steady speed has 0.

    Args:
        landmarks: (n, 68, 2) pixels; NaN without a face. Only frames whose neighbours have faces too count.

    Raises:
        NotMeasurable: There are no three frames in a row with a face.
    """
    return _jitter(landmarks[:, STEADY], landmarks)


def box_jitter(landmarks: np.ndarray) -> float:
    """The same for the edges of the box around all landmarks but the mouth's: x1, y1, x2, y2."""
    points = landmarks[:, OUTSIDE_MOUTH]
    return _jitter(np.stack([points.min(axis=1), points.max(axis=1)], axis=1), landmarks)


def _jitter(points: np.ndarray, landmarks: np.ndarray) -> float:
    second = points[:-2] - 2 * points[1:-1] + points[2:]
    eyes = np.linalg.norm(landmarks[:, OUTER_EYE_CORNERS[0]] - landmarks[:, OUTER_EYE_CORNERS[1]], axis=1)[1:-1]
    share = second / np.maximum(eyes, 1e-6)[:, None, None]
    share = share[np.isfinite(share).all(axis=(1, 2))]
    if not len(share):
        raise NotMeasurable("there are no three frames in a row with a face")
    return float(100 * np.sqrt(np.mean(np.square(share)) / _SECOND_DIFFERENCE_GAIN))


def relative(own: float, of_source: float) -> float:
    """How many times the source's jitter this is.

    Raises:
        NotMeasurable: The source stands perfectly still.
    """
    if of_source < 1e-9:
        raise NotMeasurable("the source stands perfectly still")
    return own / of_source
