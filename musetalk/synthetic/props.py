"""Glasses and earrings."""

from __future__ import annotations

import numpy as np

from musetalk.synthetic.head_model import HeadModel
from musetalk.synthetic.looks import PropsLook
from musetalk.synthetic.pieces import Piece, ball, join, tube

GREY = np.array([0.5, 0.5, 0.5])


def _rim(kind: str, middle: np.ndarray, half: np.ndarray) -> np.ndarray:
    """The outline (k, 3) of a lens."""
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    power = {"round": 1.0, "square": 0.45, "half": 0.6, "thick": 0.55}[kind]
    wide, high = half if kind != "half" else half * [1.0, 0.75]
    x = wide * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power
    y = high * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** power
    # the lenses follow the curve of the face
    return middle + np.stack([x, y, -0.045 * (x + middle[0]) ** 2 + 0.045 * middle[0] ** 2], 1)


def glasses(head: HeadModel, base: np.ndarray, look: PropsLook) -> tuple[Piece, Piece] | None:
    """Frame and lenses on a face `base` (V, 3) without expression; None for those who wear none."""
    if look.glasses is None:
        return None
    marks = base[head.landmark_vertices]
    eyes = np.array([marks[36:42].mean(0), marks[42:48].mean(0)])
    spread = np.linalg.norm(eyes[1] - eyes[0])
    front = max(marks[17:27, 2].max(), marks[[28, 41, 46], 2].max(), eyes[:, 2].max() + 1.0) + 0.25
    half = np.array([0.40 * spread, 0.33 * spread])
    radius = 0.22 if look.glasses == "thick" else 0.11
    pieces, lenses = [], []
    middles = []
    for eye in eyes:
        outward = np.sign(eye[0] - eyes[:, 0].mean())
        middle = np.array([eye[0] + 0.10 * outward, eye[1] - 0.25, front])
        middles.append(middle)
        outline = _rim(look.glasses, middle, half)
        pieces.append(tube(outline, radius, look.glasses_color, closed=True))
        lenses.append(_fan(outline, middle))
        ear = np.array([outward * (np.abs(base[head.landmark_vertices[[0, 16]], 0]).max() + 0.35), eye[1] + 0.2, -2.0])
        hinge = middle + np.array(
            [
                outward * (half[0] + 0.1),
                0.45 * half[1],
                -0.045 * ((half[0] + abs(middle[0])) ** 2 - middle[0] ** 2),
            ]
        )
        steps = np.linspace(0, 1, 8)[:, None]
        bow = hinge + (ear - hinge) * steps + np.array([outward * 0.5, 0, 0]) * np.sin(np.pi * steps)
        pieces.append(tube(bow, radius, look.glasses_color))
    steps = np.linspace(0, 1, 7)[:, None]
    inner = [middles[0] + [half[0] * 0.98, 0.25, 0.1], middles[1] + [-half[0] * 0.98, 0.25, 0.1]]
    bridge = inner[0] + (inner[1] - inner[0]) * steps + np.array([0, 0.25, 0.35]) * np.sin(np.pi * steps)
    pieces.append(tube(bridge, radius, look.glasses_color))
    return join(pieces), join(lenses)


def _fan(outline: np.ndarray, middle: np.ndarray) -> Piece:
    points = np.vstack([middle, outline])
    count = len(outline)
    ring = np.arange(count)
    triangles = np.stack([np.zeros(count, int), 1 + ring, 1 + (ring + 1) % count], 1)
    normal = np.broadcast_to([0.0, 0.0, 1.0], points.shape) + 0.12 * (points - middle) * [1, 1, 0]
    normal = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    tangent = np.broadcast_to([1.0, 0.0, 0.0], points.shape)
    color = np.broadcast_to(GREY, points.shape)
    uv = (points - middle)[:, :2] / 3
    return Piece(points, normal, tangent, color, uv, triangles.astype(np.int32))


def earrings(head: HeadModel, base: np.ndarray, look: PropsLook) -> Piece | None:
    """A ball or a drop below each ear."""
    if look.earrings <= 0:
        return None
    neutral = head.neutral
    pieces = []
    for side in (-1, 1):
        lobe = (side * neutral[:, 0] > 7.3) & (neutral[:, 1] < 0) & (neutral[:, 1] > -3) & (np.abs(neutral[:, 2]) < 3)
        if not lobe.any():
            continue
        found = np.flatnonzero(lobe)
        lowest = base[found[np.argmin(neutral[found, 1])]]
        place = lowest + np.array([side * 0.1, -look.earrings * 0.8, 0.1])
        pieces.append(ball(place, look.earrings * np.array([0.8, 1.3, 0.8]), look.earring_color, 7))
    return join(pieces) if pieces else None
