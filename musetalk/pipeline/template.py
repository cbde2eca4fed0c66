"""A face where only a box is known: saved boxes on frames in which the finder sees nothing."""

from __future__ import annotations

import numpy as np

from musetalk.face.landmarks import (
    INNER_LIPS,
    JAW,
    LEFT_BROW,
    LEFT_EYE,
    NOSE_BASE,
    NOSE_BRIDGE,
    OUTER_LIPS,
    RIGHT_BROW,
    RIGHT_EYE,
    Box,
    Face,
)


def template_face(box: Box) -> Face:
    """An average frontal face whose published box is `box`: 68 landmarks in pixels, spread over it.

    x runs over the width of the jaw; y has the nose bridge point 29 in the middle and the chin at the bottom.
    """
    x1, y1, x2, y2 = box
    unit = _unit_landmarks()
    landmarks = unit * np.array([x2 - x1, y2 - y1], np.float64) + np.array([x1, y1], np.float64)
    return Face(landmarks, (float(x1), float(y1), float(x2), float(y2)))


def _unit_landmarks() -> np.ndarray:
    points = np.zeros((68, 2))
    points[JAW] = _arc(0.5, 0.38, 0.5, 0.62, np.linspace(np.pi, 0, 17))
    points[LEFT_BROW] = _arc(0.27, 0.26, 0.15, 0.06, np.linspace(np.pi, 2 * np.pi, 5))
    points[RIGHT_BROW] = _arc(0.73, 0.26, 0.15, 0.06, np.linspace(np.pi, 2 * np.pi, 5))
    points[NOSE_BRIDGE] = np.stack([np.full(4, 0.5), np.array([0.34, 0.42, 0.5, 0.58])], axis=1)
    points[NOSE_BASE] = _arc(0.5, 0.62, 0.1, 0.03, np.linspace(np.pi, 0, 5))
    eye = np.pi + np.arange(6) * np.pi / 3
    points[LEFT_EYE] = _arc(0.29, 0.36, 0.08, 0.03, eye)
    points[RIGHT_EYE] = _arc(0.71, 0.36, 0.08, 0.03, eye)
    points[OUTER_LIPS] = _arc(0.5, 0.78, 0.18, 0.065, np.pi + np.arange(12) * np.pi / 6)
    points[INNER_LIPS] = _arc(0.5, 0.78, 0.14, 0.015, np.pi + np.arange(8) * np.pi / 4)
    return points


def _arc(x: float, y: float, width: float, height: float, angles: np.ndarray) -> np.ndarray:
    """Points (n, 2) on an ellipse; angle 0 is right, pi/2 down, pi left."""
    return np.stack([x + width * np.cos(angles), y + height * np.sin(angles)], axis=1)
