"""How far the landmarks of a generated face lie from those of its reference."""

from __future__ import annotations

import numpy as np

from musetalk.evaluation.lip_sync import OUTER_EYE_CORNERS
from musetalk.evaluation.values import NotMeasurable

MOUTH = slice(48, 68)


def mouth_landmark_distance(landmarks: np.ndarray, reference: np.ndarray) -> float:
    """LMD of the mouth: how differently it is shaped, wherever it is.

    In each frame the 20 lip landmarks of both faces are moved so that their mean lies at the origin; then the mean
    distance of each landmark from its counterpart, in percent of the distance of the reference's outer eye corners;
    then the mean over frames. (Chen et al. 2018 move the means together too and count pixels, which depends on the
    size of the face.)

    Args:
        landmarks: (n, 68, 2) pixels of the generated video, NaN without a face.
        reference: The same of the reference.

    Raises:
        NotMeasurable: There is no frame in which both have a face.
    """
    mouth, other = landmarks[:, MOUTH], reference[:, MOUTH]
    return _distance(mouth - mouth.mean(axis=1, keepdims=True), other - other.mean(axis=1, keepdims=True), reference)


def face_landmark_distance(landmarks: np.ndarray, reference: np.ndarray) -> float:
    """LMD of the face: the same for all 68 landmarks where they are in the picture, nothing moved."""
    return _distance(landmarks, reference, reference)


def _distance(points: np.ndarray, others: np.ndarray, reference: np.ndarray) -> float:
    eyes = np.linalg.norm(reference[:, OUTER_EYE_CORNERS[0]] - reference[:, OUTER_EYE_CORNERS[1]], axis=1)
    apart = 100 * np.linalg.norm(points - others, axis=2).mean(axis=1) / np.maximum(eyes, 1e-6)
    known = apart[np.isfinite(apart)]
    if not len(known):
        raise NotMeasurable("there is no frame in which both have a face")
    return float(known.mean())
