"""Meshes that are added to a head: ribbons, tubes, balls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Piece:
    """A mesh. n vertices, t triangles; float32.

    Attributes:
        position, normal, tangent: (n, 3) cm and unit vectors; the tangent runs along a ribbon.
        color: (n, 3) linear RGB.
        uv: (n, 2); for ribbons across −1…1 and along 0…1.
        triangles: (t, 3) int32.
        anchor: (n,) model vertex that carries the vertex along, or None where the piece is rigid.
    """

    position: np.ndarray
    normal: np.ndarray
    tangent: np.ndarray
    color: np.ndarray
    uv: np.ndarray
    triangles: np.ndarray
    anchor: np.ndarray | None = None

    def packed(self) -> np.ndarray:
        """(n, 14) float32: position, normal, tangent, color, uv."""
        return np.hstack([self.position, self.normal, self.tangent, self.color, self.uv]).astype(np.float32)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (..., 3) at length 1."""
    return vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-9)


def join(pieces: list[Piece]) -> Piece:
    """One mesh of several, none of which is anchored."""
    offsets = np.cumsum([0] + [len(piece.position) for piece in pieces])

    def every(name: str) -> np.ndarray:
        return np.concatenate([getattr(piece, name) for piece in pieces])

    triangles = np.concatenate([piece.triangles + offset for piece, offset in zip(pieces, offsets, strict=False)])
    return Piece(
        every("position"), every("normal"), every("tangent"), every("color"), every("uv"), triangles.astype(np.int32)
    )


def ribbons(
    paths: np.ndarray, outward: np.ndarray, width: np.ndarray, color: np.ndarray, roots: np.ndarray | None = None
) -> Piece:
    """Tapered strips along paths.

    Args:
        paths: (n, k, 3) points.
        outward: (n, k, 3) which way the strip faces.
        width: (n, k) half widths.
        color: (n, 3), or (n, k, 3) along the path.
        roots: (n,) model vertices that carry the strips.
    """
    count, points = paths.shape[:2]
    tangent = unit(np.gradient(paths, axis=1))
    across = unit(np.cross(tangent, outward))
    facing = unit(np.cross(across, tangent))
    sides = np.array([-1.0, 1.0])
    position = paths[:, :, None] + across[:, :, None] * (width[:, :, None] * sides)[..., None]
    normal = unit(facing[:, :, None] + 0.75 * across[:, :, None] * sides[:, None])  # as if it were round
    color = color if color.ndim == 3 else np.broadcast_to(color[:, None], (count, points, 3))
    uv = np.empty((count, points, 2, 2))
    uv[..., 0] = sides
    uv[..., 1] = np.linspace(0, 1, points)[None, :, None]
    index = np.arange(count * points * 2).reshape(count, points, 2)
    a, b, c, d = index[:, :-1, 0], index[:, :-1, 1], index[:, 1:, 0], index[:, 1:, 1]
    triangles = np.stack([np.stack([a, b, c], -1), np.stack([b, d, c], -1)], axis=2).reshape(-1, 3)
    return Piece(
        position.reshape(-1, 3),
        normal.reshape(-1, 3),
        np.repeat(tangent, 2, axis=1).reshape(-1, 3),
        np.repeat(color, 2, axis=1).reshape(-1, 3),
        uv.reshape(-1, 2),
        triangles.astype(np.int32),
        None if roots is None else np.repeat(roots, points * 2),
    )


def tube(path: np.ndarray, radius: float, color: np.ndarray, closed: bool = False, sides: int = 6) -> Piece:
    """A round tube along a path (k, 3)."""
    if closed:
        path = np.vstack([path, path[:1]])
    tangent = unit(np.gradient(path, axis=0))
    if closed:
        tangent[0] = tangent[-1] = unit(tangent[0] + tangent[-1])
    helper = np.where(np.abs(tangent[:, 1:2]) < 0.9, [[0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]])
    first = unit(np.cross(tangent, helper))
    second = np.cross(tangent, first)
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    normal = first[:, None] * np.cos(angle)[:, None] + second[:, None] * np.sin(angle)[:, None]
    position = path[:, None] + radius * normal
    count = len(path)
    index = np.arange(count * sides).reshape(count, sides)
    a, b = index[:-1], np.roll(index, -1, axis=1)[:-1]
    c, d = index[1:], np.roll(index, -1, axis=1)[1:]
    triangles = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])
    total = count * sides
    return Piece(
        position.reshape(-1, 3),
        normal.reshape(-1, 3),
        np.repeat(tangent, sides, axis=0),
        np.broadcast_to(color, (total, 3)),
        np.zeros((total, 2)),
        triangles.astype(np.int32),
    )


def ball(middle: np.ndarray, radius: np.ndarray | float, color: np.ndarray, rings: int = 10) -> Piece:
    """A sphere, or an ellipsoid with three radii."""
    theta, phi = np.meshgrid(
        np.linspace(0.01, np.pi - 0.01, rings), np.linspace(0, 2 * np.pi, 2 * rings), indexing="ij"
    )
    normal = np.stack([np.sin(theta) * np.cos(phi), np.cos(theta), np.sin(theta) * np.sin(phi)], -1)
    index = np.arange(normal[..., 0].size).reshape(theta.shape)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    triangles = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])
    flat = normal.reshape(-1, 3)
    tangent = unit(np.stack([-flat[:, 2], np.zeros(len(flat)), flat[:, 0]], axis=1) + np.array([1e-6, 0, 0]))
    color = np.broadcast_to(color, (len(flat), 3))
    return Piece(middle + flat * radius, flat, tangent, color, np.zeros((len(flat), 2)), triangles.astype(np.int32))
