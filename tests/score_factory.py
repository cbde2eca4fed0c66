"""Faces, tracks and pictures with known answers for the scorer."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from musetalk.evaluation.track import THUMBNAIL, FaceTrack
from musetalk.face.landmarks import Face

EYES = 60.0
"""Distance of the outer eye corners, pixels."""
CHIN_TO_BRIDGE = 100.0


def face_points(gap: float = 0.0, width: float = 40.0, at: tuple[float, float] = (100.0, 60.0)) -> np.ndarray:
    """(68, 2) of an upright face; `at` is the nose bridge, `gap` the lip opening and `width` the mouth's, pixels."""
    points = np.zeros((68, 2))
    angle = np.linspace(np.pi, 2 * np.pi, 17)
    points[:17] = np.stack([48 * np.cos(angle), -100 * np.sin(angle)], axis=1)
    points[17:22] = np.stack([np.linspace(-36, -10, 5), np.full(5, -14)], axis=1)
    points[22:27] = np.stack([np.linspace(10, 36, 5), np.full(5, -14)], axis=1)
    points[27:31] = np.stack([np.zeros(4), np.linspace(0, 36, 4)], axis=1)
    points[31:36] = np.stack([np.linspace(-8, 8, 5), np.full(5, 42)], axis=1)
    for start, x in ((36, -20), (42, 20)):
        angle = np.linspace(np.pi, -np.pi, 7)[:6]
        points[start : start + 6] = np.stack([x + 10 * np.cos(angle), 2 - 3 * np.sin(angle)], axis=1)
    half = width / 2
    across = np.linspace(-1, 1, 7)
    points[48:55] = np.stack([half * across, 62 - 6 * np.cos(across * np.pi / 2) - gap / 2], axis=1)
    across = np.linspace(2 / 3, -2 / 3, 5)
    points[55:60] = np.stack([half * across, np.full(5, 70 + gap / 2)], axis=1)
    points[60], points[64] = (-half * 0.8, 63), (half * 0.8, 63)
    for number, x in ((61, -0.4), (62, 0), (63, 0.4)):
        points[number] = half * x, 63 - gap / 2
    for number, x in ((65, 0.4), (66, 0), (67, -0.4)):
        points[number] = half * x, 63 + gap / 2
    return points + at


def face_of(points: np.ndarray) -> Face:
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return Face(points, (left, top, right, bottom))


def track_of(
    landmarks: np.ndarray,
    fps: Fraction | int = 25,
    thumbnails: np.ndarray | None = None,
    size: tuple[int, int] = (200, 200),
    own_fps: Fraction | int | None = None,
) -> FaceTrack:
    """A track without a video behind it."""
    edges = np.concatenate([landmarks.min(axis=1), landmarks.max(axis=1)], axis=1)
    if thumbnails is None:
        thumbnails = np.zeros((len(landmarks), THUMBNAIL, THUMBNAIL), np.uint8)
    own = Fraction(fps if own_fps is None else own_fps)
    return FaceTrack(Path("none.mp4"), Fraction(fps), own, *size, landmarks, edges, thumbnails)


def speaking(gaps: np.ndarray) -> np.ndarray:
    """(n, 68, 2) of a face that stands still but for its lips."""
    return np.stack([face_points(gap) for gap in gaps])


class Finder:
    """A face finder that has been told the landmarks of each frame, in order, again from the start for each video."""

    name = "told"

    def __init__(self, *videos: list[np.ndarray | None]) -> None:
        self._frames = iter([points for video in videos for points in video])

    def find(self, frames):
        return [None if points is None else face_of(points) for points in (next(self._frames) for _ in frames)]

    def close(self) -> None:
        pass


def texture(seed: int = 0, size: tuple[int, int] = (200, 200)) -> np.ndarray:
    """(h, w, 3) uint8 BGR: smooth skin-like shades with a little noise, the same for the same seed."""
    rng = np.random.default_rng(seed)
    height, width = size
    y, x = np.mgrid[:height, :width]
    shade = 120 + 25 * np.sin(x / 37) + 20 * np.cos(y / 29)
    noise = rng.normal(0, 2, (height, width))
    return np.clip(np.stack([shade * 0.8, shade, shade * 1.2], axis=2) + noise[..., None], 0, 255).astype(np.uint8)
