"""Where on the head lips, brows, hair and beard are: functions of a point on the neutral head.

Points are (..., 3) cm on the neutral shape, so that what is painted there holds for every identity and expression.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.interpolate import splev, splprep

from musetalk.synthetic.head_model import HeadModel

_GRID = 0.01
"""Centimetres between the points of a distance picture."""


def smooth_step(low: float, high: float, value: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between; `low` may be the larger one."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def bump(value: np.ndarray, middle: float, width: float) -> np.ndarray:
    """A bell of height 1 around `middle`."""
    return np.exp(-(((value - middle) / width) ** 2))


def _closed_curve(points: np.ndarray, samples: int = 160) -> np.ndarray:
    closed = np.vstack([points, points[:1]])
    tck, _ = splprep(closed.T, s=0, per=True)
    return np.stack(splev(np.linspace(0, 1, samples), tck), axis=1)


class _DistancePicture:
    """Signed distance (positive inside) to closed curves in the x-y plane, looked up by bilinear interpolation."""

    def __init__(self, curves: list[np.ndarray], margin: float) -> None:
        every = np.concatenate(curves)
        self._origin = every.min(axis=0) - margin
        size = np.ceil((every.max(axis=0) + margin - self._origin) / _GRID).astype(int)
        mask = np.zeros((size[1], size[0]), np.uint8)
        for curve in curves:
            cv2.fillPoly(mask, [np.round((curve - self._origin) / _GRID).astype(np.int32)], (1,))
        inside = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
        outside = cv2.distanceTransform(1 - mask, cv2.DIST_L2, 5)
        self._picture = ((inside - outside) * _GRID).astype(np.float32)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        at = (points[..., :2] - self._origin) / _GRID
        flat = at.reshape(len(at), -1, 2).astype(np.float32)
        found = cv2.remap(self._picture, flat[..., 0], flat[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return found.reshape(points.shape[:-1])


class Anatomy:
    """The regions of one head model's neutral shape."""

    def __init__(self, head: HeadModel) -> None:
        points = head.neutral[head.landmark_vertices]
        self.landmarks = points
        self._lip = _DistancePicture([_closed_curve(points[48:60, :2])], 1.5)
        corners = points[[36, 39, 42, 45], :2]
        self._eyes = _DistancePicture([_closed_curve(points[36:42, :2], 60), _closed_curve(points[42:48, :2], 60)], 2.5)
        self._eye_middles = np.array([corners[:2].mean(0), corners[2:].mean(0)])
        seam = (points[[60, 61, 62, 63, 64]] + points[[60, 67, 66, 65, 64]]) / 2
        self._seam = seam[np.argsort(seam[:, 0])]
        lip_depth = points[48:68, 2].min()
        self._lip_depth = lip_depth - 1.2

    def lip(self, points: np.ndarray) -> np.ndarray:
        """Signed distance to the edge of the lips, cm, positive on them."""
        near = points[..., 2] > self._lip_depth
        return np.where(near, self._lip(points), -1.0).astype(np.float32)

    def seam(self, points: np.ndarray) -> np.ndarray:
        """Height above the line where the lips meet, cm."""
        return points[..., 1] - np.interp(points[..., 0], self._seam[:, 0], self._seam[:, 1])

    def eye(self, points: np.ndarray) -> np.ndarray:
        """Signed distance to the eye openings, cm, positive inside."""
        return np.where(points[..., 2] > 4, self._eyes(points), -2.0)

    def above_eye(self, points: np.ndarray) -> np.ndarray:
        """Height above the middle of the nearer eye, cm."""
        left = points[..., 0] > 0
        return points[..., 1] - np.where(left, self._eye_middles[1, 1], self._eye_middles[0, 1])

    def brow(self, points: np.ndarray, thickness: float, arch: float, lift: float) -> np.ndarray:
        """Signed distance to the brows, cm, positive inside.

        Args:
            thickness: Half of the brow's width at its inner end, cm.
            arch, lift: How far its middle and all of it are raised, cm.
        """
        found = np.full(points.shape[:-1], -1.0, np.float32)
        near = (points[..., 2] > 4) & (np.abs(self.above_eye(points) - 1.6) < 2.5)
        chosen = points[near][:, :2]
        best = np.full(len(chosen), -1.0)
        for start in (17, 22):
            line = self.landmarks[start : start + 5, :2]
            steps = np.linspace(0, 4, 48)
            inner_first = steps / 4 if start == 22 else 1 - steps / 4
            x, y = (np.interp(steps, range(5), line[:, i]) for i in (0, 1))
            y = y + lift + arch * np.sin(np.pi * np.clip(inner_first * 1.15, 0, 1))
            half = thickness * (1 - 0.65 * inner_first**1.5)
            for a, b, width in zip(x, y, half, strict=True):
                best = np.maximum(best, width - np.hypot(chosen[:, 0] - a, chosen[:, 1] - b))
        found[near] = best
        return found

    def hairline(self, points: np.ndarray) -> np.ndarray:
        """Height above an average hairline, cm; far below it on ears and neck."""
        x, y, z = (points[..., i] for i in range(3))
        front = np.interp(np.abs(x), [0, 4, 7, 9.5, 12], [8.8, 8.5, 6.7, 2.6, 0.0])
        side = np.interp(z, [-9, -2, 2, 6, 10], [-4, -2, 2.0, 7.6, 8.8])
        ear = np.clip((np.abs(x) - 7.7) / 0.4, 0, 1) * np.clip((4.9 - y) / 0.4, 0, 1) * (z > -3.5) * (y > -3)
        height = y - np.maximum(side, np.where(z > 3, front, -9))
        return (height * (1 - ear) - 5 * ear).astype(np.float32)

    def beard(self, points: np.ndarray) -> np.ndarray:
        """Weight 0…1 of jaw and chin."""
        x, y, z = (points[..., i] for i in range(3))
        line = np.interp(np.abs(x), [0, 2, 4, 6, 8], [-5.0, -4.2, -3.6, -1.6, 2.5])
        grown = np.clip((line - y) / 1.0, 0, 1) * np.clip((y + 11.5) / 2.5, 0, 1) * np.clip((z + 1.0) / 2.5, 0, 1)
        patch = bump(x, 0, 0.55) * bump(y, float(self.landmarks[57, 1]) - 0.45, 0.55) * (z > 8)
        return np.maximum(grown, patch) * (np.abs(x) < 8.6)

    def moustache(self, points: np.ndarray) -> np.ndarray:
        """Weight 0…1 between nose and upper lip, and beside the mouth's corners."""
        x, y, z = (points[..., i] for i in range(3))
        top = float(self.landmarks[51, 1])
        above = np.clip(1 - ((y - top - 0.5 + 0.05 * x * x) / 0.75) ** 2, 0, 1) * np.clip(
            1 - (np.abs(x) / 3.2) ** 4, 0, 1
        )
        parting = 1 - 0.7 * bump(x, 0, 0.25)
        return above * parting * (z > 7.5)

    def cheeks(self, points: np.ndarray) -> np.ndarray:
        """Weight 0…1 of where blood or rouge shows: cheeks, and less so nose tip and chin."""
        x, y, z = (points[..., i] for i in range(3))
        cheek = np.exp(-((np.abs(x) - 4.6) ** 2 / 4 + (y + 0.2) ** 2 / 4)) * (z > 4)
        nose = np.exp(-((x / 1.3) ** 2 + ((y - 0.4) / 1.3) ** 2)) * (z > 11)
        chin = 0.4 * np.exp(-((x / 1.5) ** 2 + ((y + 6.8) / 1.0) ** 2)) * (z > 8)
        return np.clip(cheek + 0.8 * nose + chin, 0, 1)
