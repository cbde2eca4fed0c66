"""Shoulders and what is worn on them: a loft around neck and chest, with a painted texture."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.spatial import cKDTree

from musetalk.synthetic.head_model import HeadModel
from musetalk.synthetic.looks import ClothLook
from musetalk.synthetic.pieces import Piece, join, unit

TOP, BOTTOM = -9.4, -62.0
"""Heights, cm, between which the loft runs."""
AROUND, RINGS = 56, 26
_Y = (-9.4, -10.5, -11.5, -13.0, -14.5, -16.5, -19.0, -24.0, -35.0, -62.0)
_HALF_WIDTH = (6.5, 8.0, 10.2, 14.2, 16.8, 19.0, 20.6, 21.4, 20.0, 19.0)
_FRONT = (6.1, 5.9, 5.4, 5.0, 5.2, 5.9, 6.9, 8.6, 9.4, 10.0)
_BACK = (-6.9, -7.3, -8.0, -9.2, -10.2, -10.9, -11.4, -11.8, -11.5, -11.5)
TEXTURE = (384, 768)
"""Rows (down the body) and columns (around it, the front in the middle)."""


def _rows() -> np.ndarray:
    """Heights of the rings: closer together at the neck."""
    return TOP + (BOTTOM - TOP) * np.linspace(0, 1, RINGS) ** 1.9


def _grid_triangles(rows: int, columns: int) -> np.ndarray:
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    return np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)])


def _grid_normals(points: np.ndarray) -> np.ndarray:
    down, around = np.gradient(points, axis=(0, 1))
    around[:, 0] = around[:, -1] = (points[:, 1] - points[:, -2]) / 2  # the seam at the back
    return unit(np.cross(down, around))


def _piece(points: np.ndarray, v: np.ndarray, flip: bool = False) -> Piece:
    """A sheet (r, c, 3) closed around the body; its texture's `v` (r,)."""
    rows, columns = points.shape[:2]
    normal = _grid_normals(points)
    outward = points[:, columns // 2, 2].mean() - points[..., 2].mean()
    if (normal[:, columns // 2, 2].mean() * outward) < 0:
        normal = -normal
    uv = np.stack(np.broadcast_arrays(np.linspace(0, 1, columns)[None], v[:, None]), -1)
    count = rows * columns
    tangent = np.broadcast_to([0.0, -1.0, 0.0], (count, 3))
    return Piece(
        points.reshape(-1, 3),
        normal.reshape(-1, 3),
        tangent,
        np.ones((count, 3)),
        uv.reshape(-1, 2),
        _grid_triangles(rows, columns).astype(np.int32),
    )


def torso(head: HeadModel, base: np.ndarray, look: ClothLook, breadth: float, collar: bool = True) -> Piece:
    """Shoulders around the bust of `base` (V, 3), `breadth` times as broad as usual, and the collar if there is one."""
    heights = _rows()
    angle = np.linspace(-np.pi, np.pi, AROUND)
    half, front, back = (np.interp(-heights, -np.array(_Y), values) for values in (_HALF_WIDTH, _FRONT, _BACK))
    half = half * np.interp(-heights, [9.4, 16], [1, breadth])
    middle, depth = (front + back) / 2, (front - back) / 2
    power = 2 / 2.5
    sine, cosine = np.sin(angle), np.cos(angle)
    x = half[:, None] * np.sign(sine) * np.abs(sine) ** power
    z = middle[:, None] + depth[:, None] * np.sign(cosine) * np.abs(cosine) ** power
    slope = 0.9 * np.clip(np.abs(x) / half[:, None], 0, 1) ** 2 * np.interp(-heights, [9.4, 13, 19], [0, 1, 0])[:, None]
    points = np.stack([x, np.broadcast_to(heights[:, None], x.shape) - slope, z], -1)
    bust = base[(head.neutral[:, 1] < -8.5)]
    if len(bust) > 200:
        axis = np.array([0.0, 0.0, -2.0])
        tree = cKDTree(bust)
        for _ in range(2):  # push what is under the skin out of it
            distance, nearest = tree.query(points)
            found = bust[nearest]
            away = unit((points - axis) * [1, 0, 1])
            inside = ((found - points) * away).sum(-1) + 0.45
            points = points + away * np.clip(np.where(distance < 4, inside, 0), 0, 4)[..., None]
    v = (heights - TOP) / (BOTTOM - TOP)
    pieces = [_piece(points, v**0.5)]
    if collar and look.neckline in ("shirt", "suit", "turtleneck"):
        pieces.append(_collar(bust if len(bust) else points.reshape(-1, 3), look.neckline))
    return join(pieces)


def _collar(bust: np.ndarray, neckline: str) -> Piece:
    """A band around the neck: turned down with points at the front, or standing."""
    neck = bust[(bust[:, 1] > -10.5)] if (bust[:, 1] > -10.5).sum() > 20 else bust
    half = np.abs(neck[:, 0]).max() + 0.25
    front, back = neck[:, 2].max() + 0.5, neck[:, 2].min() - 0.3
    angle = np.linspace(-np.pi, np.pi, 72)
    x, z = half * np.sin(angle), (front + back) / 2 + (front - back) / 2 * np.cos(angle)
    radial = np.stack([np.sin(angle), 0 * angle, np.cos(angle)], -1)
    ring = np.stack([x, 0 * x, z], -1)
    rise = 0.9 * (1 - np.cos(angle)) / 2  # higher at the back
    if neckline == "turtleneck":
        steps = np.array([(0.0, -11.5), (0.35, -10.4), (0.30, -9.2), (0.15, -8.3), (-0.15, -8.2)])
        points = np.stack([ring + radial * out + np.stack([0 * x, y + 1.0 * rise, 0 * x], -1) for out, y in steps])
        return _piece(points, np.full(len(points), 0.985))
    tip = np.exp(-(((np.abs(angle) - 0.42) / 0.22) ** 2))
    profile = ((0.0, -10.6, 0.0), (0.12, -9.5, 0.0), (0.45, -9.35, 0.0), (1.0, -10.4, 0.5), (1.5, -11.3, 1.0))
    points = np.stack(
        [
            ring
            + radial * (out + 0.5 * tip * fall)[:, None]
            + np.stack([0 * x, y + rise - 1.6 * tip * fall, 0 * x], -1)
            for out, y, fall in profile
        ]
    )
    return _piece(points, np.full(len(points), 0.999))


def cloth_texture(look: ClothLook, rng: np.random.Generator) -> np.ndarray:
    """(384, 768, 4) uint8: square root of the albedo, and 255 where there is cloth.

    The last rows hold the collar's cloth.
    """
    rows, columns = TEXTURE
    v = np.linspace(0, 1, rows)[:, None]
    angle = (np.linspace(0, 1, columns)[None] - 0.5) * 2 * np.pi
    y = TOP + (BOTTOM - TOP) * v**2
    x = np.sin(angle) * np.interp(-y, -np.array(_Y), _HALF_WIDTH)
    front = np.cos(angle) > 0.1
    albedo = _pattern(look, x, y, rng)
    edge = _neckline(look.neckline, x, front)
    covered = np.clip(0.5 + (edge - y) / 0.9, 0, 1)  # half way is the edge: smooth between texels
    if look.neckline == "suit":
        opening = -31.0 + 3.4 * np.abs(x)
        lapel = front & (y > opening - 7.0) & (y > -32) & (np.abs(x) > 0.4)
        albedo = np.where(lapel[..., None], albedo * 0.8, albedo)
        shirt = front & (y > opening)
        albedo = np.where(shirt[..., None], look.under, albedo)
        edge_line = front & (np.abs(y - opening) < 0.7) & (y > -32)
        albedo = np.where(edge_line[..., None], albedo * 0.4, albedo)
        if look.tie is not None:
            wide = np.interp(-y, [11, 12.2, 13, 30], [1.1, 0.8, 0.8, 2.6])
            knot = front & (np.abs(x) < wide) & (y < -10.8)
            albedo = np.where(knot[..., None], look.tie, albedo)
    elif look.neckline == "shirt":
        buttons = front & (np.abs(x) < 0.35)
        albedo = np.where(buttons[..., None], albedo * 0.85, albedo)
    elif look.neckline in ("crew", "vee"):
        hem = np.abs(y - edge) < 0.5
        albedo = np.where(hem[..., None], albedo * 0.72, albedo)
    folds = cv2.resize(rng.standard_normal((14, 22), np.float32), (columns, rows), interpolation=cv2.INTER_CUBIC)
    weave = rng.standard_normal((rows, columns), np.float32)
    albedo = albedo * np.clip(1 + 0.10 * folds + 0.04 * weave, 0.3, 1.6)[..., None]
    albedo = cv2.GaussianBlur(albedo, (0, 0), 1.1)  # no steps at the edges
    collar = look.under if look.neckline == "suit" else look.color
    albedo[-4:] = collar
    covered[-4:] = 1
    if look.neckline in ("shirt", "suit"):
        middle = np.abs(angle[0]) < 0.13
        covered[-2:, middle] = 0
    texture = np.dstack([np.sqrt(np.clip(albedo, 0, 1)), covered])
    return np.round(255 * texture).astype(np.uint8)


def _neckline(kind: str, x: np.ndarray, front: np.ndarray) -> np.ndarray:
    """The upper edge of the cloth, cm."""
    if kind == "crew":
        edge = -11.9 + 0.018 * x**2
    elif kind == "vee":
        edge = -16.5 + 1.25 * np.abs(x)
    elif kind == "boat":
        edge = -13.6 + 0.006 * x**2
    elif kind == "turtleneck":
        edge = -10.0 + 0 * x
    else:
        edge = -12.2 + 0.9 * np.abs(x)
    back = {"boat": -11.4, "turtleneck": -10.0}.get(kind, -10.6)
    return np.where(front, np.minimum(edge, back), back)


def _pattern(look: ClothLook, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(rows, columns, 3) of the cloth."""
    x, y = np.broadcast_arrays(x, y)
    size = 1.2 + 3.5 * look.scale
    if look.pattern == "stripes":
        second = np.sin(2 * np.pi * (y if rng.random() < 0.6 else x) / size) > 0.2
    elif look.pattern == "checks":
        second = (np.sin(2 * np.pi * y / size) > 0.3) ^ (np.sin(2 * np.pi * x / size) > 0.3)
    elif look.pattern == "dots":
        second = (np.sin(2 * np.pi * y / size) * np.sin(2 * np.pi * x / size)) > 0.55
    elif look.pattern == "mottled":
        noise = cv2.resize(rng.standard_normal((24, 48), np.float32), x.shape[::-1], interpolation=cv2.INTER_CUBIC)
        second = noise > 0.35
    else:
        second = np.zeros(x.shape, bool)
    return np.where(second[..., None], look.second, look.color)
