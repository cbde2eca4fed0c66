"""Where on the head lips, brows, hair and beard are: smooth per-vertex fields that a shader thresholds.

A signed distance interpolates well over a triangle, so its threshold gives a sharp edge on a coarse mesh. All fields
are functions of the neutral head and hold for every identity.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.interpolate import splev, splprep

from musetalk.synthetic.head_model import MOUTH_SOCKET, HeadModel

SKIN, MOUTH, GUMS, TEETH, EYE, LASHES = range(6)


@dataclass(frozen=True)
class SurfaceFields:
    """Per-vertex fields, (V,) float32; distances in cm, positive inside.

    Attributes:
        lip, brow: signed distance to the region's edge.
        hairline: height above an average hairline.
        beard, moustache: weight 0…1.
        blush: weight 0…1 of cheeks and nose tip.
        depth: 0…1, how much light reaches the vertex (the inner mouth is dark).
        material: one of SKIN, MOUTH, GUMS, TEETH, EYE, LASHES as a float.
    """

    lip: np.ndarray
    brow: np.ndarray
    hairline: np.ndarray
    beard: np.ndarray
    moustache: np.ndarray
    blush: np.ndarray
    depth: np.ndarray
    material: np.ndarray


def _closed_curve(points: np.ndarray, samples: int = 120) -> np.ndarray:
    """A smooth closed curve (samples, 2) through `points` (n, 2)."""
    closed = np.vstack([points, points[:1]])
    tck, _ = splprep(closed.T, s=0, per=True)
    return np.stack(splev(np.linspace(0, 1, samples), tck), axis=1).astype(np.float32)


def _signed_distance(curve: np.ndarray, points: np.ndarray) -> np.ndarray:
    contour = np.ascontiguousarray(curve.reshape(-1, 1, 2))
    return np.array([cv2.pointPolygonTest(contour, (float(x), float(y)), True) for x, y in points], np.float32)


def surface_fields(head: HeadModel) -> SurfaceFields:
    """Fields of the neutral head."""
    neutral, landmarks = head.neutral, head.neutral[head.landmark_vertices]
    count = len(neutral)
    x, y, z = neutral.T
    material = np.zeros(count, np.float32)
    material[MOUTH_SOCKET] = MOUTH
    named = {"M_GumsTongue": GUMS, "M_Teeth": TEETH, "M_ScleraLeft": EYE, "M_ScleraRight": EYE, "M_EyeLashes": LASHES}
    for name, value in named.items():
        material[head.materials[name]] = value
    skin = material == SKIN

    lip = np.full(count, -1.0, np.float32)
    near = skin & (np.abs(x) < 4) & (y < -1) & (y > -6) & (z > 7)
    lip[near] = _signed_distance(_closed_curve(landmarks[48:60, :2]), neutral[near, :2])

    brow = np.full(count, -1.0, np.float32)
    above = skin & (y > 2.5) & (y < 8) & (z > 4)
    for start in (17, 22):
        line = landmarks[start : start + 5, :2]
        steps = np.linspace(0, 4, 60)
        dense = np.stack([np.interp(steps, range(5), line[:, i]) for i in (0, 1)], axis=1)
        inner_first = steps / 4 if start == 22 else 1 - steps / 4
        half_width = 0.42 - 0.24 * inner_first  # brows taper towards the temple
        distance = np.linalg.norm(neutral[above, None, :2] - dense[None], axis=2)
        brow[above] = np.maximum(brow[above], (half_width - distance).max(axis=1))

    front = np.interp(np.abs(x), [0, 4, 7, 9.5, 12], [8.8, 8.5, 6.7, 2.6, 0.0])
    side = np.interp(z, [-9, -2, 2, 6, 10], [-4, -2, 2.0, 7.6, 8.8])
    ear = np.clip((np.abs(x) - 7.7) / 0.4, 0, 1) * np.clip((4.9 - y) / 0.4, 0, 1) * (z > -3.5) * (y > -3)
    height = y - np.maximum(side, np.where(z > 3, front, -9))
    hairline = np.where(skin, height * (1 - ear) - 5 * ear, -5).astype(np.float32)

    jaw_line = np.interp(np.abs(x), [0, 2, 4, 6, 8], [-3.2, -3.4, -4.0, -2.0, 2.0])
    beard = np.clip((jaw_line - y) / 1.2, 0, 1) * np.clip((y + 11.5) / 2.5, 0, 1) * (z > 0) * skin
    lip_top = landmarks[51, 1]
    moustache = np.clip(1 - ((y - lip_top - 0.55) / 0.7) ** 2, 0, 1) * np.clip(1 - (np.abs(x) / 3.0) ** 4, 0, 1)
    moustache = moustache * (z > 8) * skin
    cheeks = np.exp(-((np.abs(x) - 4.6) ** 2 / 4 + (y + 0.2) ** 2 / 4)) * (z > 4)
    nose = np.exp(-((x / 1.3) ** 2 + ((y - 0.4) / 1.3) ** 2)) * (z > 11)
    blush = np.clip(cheeks + 0.8 * nose, 0, 1) * skin

    depth = np.ones(count, np.float32)
    for value, back, front_z, floor in ((MOUTH, 3, 10.5, 0.15), (GUMS, 3, 11.5, 0.25), (TEETH, 5, 10.8, 0.3)):
        inside = material == value
        depth[inside] = np.clip((z[inside] - back) / (front_z - back), floor, 1) ** 1.5
    fields = (lip, brow, hairline, beard, moustache, blush, depth, material)
    return SurfaceFields(*(field.astype(np.float32) for field in fields))
