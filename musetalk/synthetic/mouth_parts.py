"""Teeth, gums and tongue of the head: which vertices they are, and how they are moved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from musetalk.synthetic.head_model import MOUTH_SOCKET, HeadModel

CHEEK, GUMS, TONGUE, TEETH = range(4)
"""Parts as the shader numbers them."""


@dataclass(frozen=True)
class MouthParts:
    """Of every vertex of the head.

    Attributes:
        part: (V,) CHEEK, GUMS, TONGUE or TEETH; −1 outside the mouth.
        tooth: (V,) number of the tooth, or −1.
        across: (V,) −1…1 from one side of a tooth to the other.
        edge: (V,) cm from a tooth's biting edge.
        tongue_tip: (V,) 0…1: how far a vertex follows the tongue's tip.
    """

    part: np.ndarray
    tooth: np.ndarray
    across: np.ndarray
    edge: np.ndarray
    tongue_tip: np.ndarray

    @property
    def teeth(self) -> int:
        """How many teeth there are."""
        return int(self.tooth.max()) + 1


def _components(triangles: np.ndarray) -> list[np.ndarray]:
    """Vertices of each connected part, in order of their first."""
    vertices, index = np.unique(triangles, return_inverse=True)
    index = index.reshape(-1, 3)
    pairs = (np.concatenate([index[:, i] for i in range(3)]), np.concatenate([index[:, (i + 1) % 3] for i in range(3)]))
    graph = sparse.coo_matrix((np.ones(len(pairs[0])), pairs), (len(vertices), len(vertices)))
    count, label = connected_components(graph, directed=False)
    return [vertices[label == number] for number in range(count)]


def _tongue(head: HeadModel) -> np.ndarray:
    """Vertices of the tongue: the islands of the gums' texture that are narrow and reach far down and forward."""
    chosen = head.triangle_material == "M_GumsTongue"
    triangles, uv = head.triangles[chosen], head.triangle_uv[chosen].reshape(-1, 2)
    _, corner = np.unique(uv.round(6), axis=0, return_inverse=True)
    owner = np.zeros(corner.max() + 1, np.int64)
    owner[corner] = triangles.ravel()
    found = [np.zeros(0, np.int64)]
    for island in _components(corner.reshape(-1, 3)):
        vertices = np.unique(owner[island])
        points = head.neutral[vertices]
        if len(vertices) > 100 and np.abs(points[:, 0]).max() < 2.2 and points[:, 1].min() < -4.5:
            found.append(vertices)
    return np.unique(np.concatenate(found))


def mouth_parts(head: HeadModel) -> MouthParts:
    """Find them on the neutral head."""
    count = len(head.neutral)
    part = np.full(count, -1)
    tooth = np.full(count, -1)
    across, edge, tip = (np.zeros(count, np.float32) for _ in range(3))
    if count > MOUTH_SOCKET.stop:
        part[MOUTH_SOCKET] = CHEEK
    part[head.materials["M_GumsTongue"]] = GUMS
    tongue = _tongue(head)
    part[tongue] = TONGUE
    z = head.neutral[tongue, 2]
    if len(tongue):
        tip[tongue] = np.clip((z - 5.5) / max(float(z.max()) - 5.5, 1e-3), 0, 1) ** 1.5
    teeth = head.materials["M_Teeth"]
    part[teeth] = TEETH
    middle_y = head.neutral[teeth, 1].mean()
    for number, vertices in enumerate(_components(head.triangles[head.triangle_material == "M_Teeth"])):
        points = head.neutral[vertices]
        tooth[vertices] = number
        upper = points[:, 1].mean() > middle_y
        edge[vertices] = points[:, 1] - points[:, 1].min() if upper else points[:, 1].max() - points[:, 1]
        angle = np.arctan2(points[:, 0], points[:, 2] - 4.5)  # along the arch
        across[vertices] = 2 * (angle - angle.min()) / max(float(np.ptp(angle)), 1e-6) - 1
    return MouthParts(part, tooth, across, edge, tip)


def set_teeth(
    parts: MouthParts, vertices: np.ndarray, crooked: float, missing: int, rng: np.random.Generator
) -> np.ndarray:
    """`vertices` (V, 3) with every tooth moved a little (cm, deviation `crooked`) and one of them gone."""
    if parts.teeth == 0:
        return vertices
    moved = vertices.copy()
    shift = rng.normal(0, crooked, (parts.teeth, 3)).clip(-0.12, 0.12) * [1, 1, 0.6]
    every = np.flatnonzero(parts.tooth >= 0)
    moved[every] += shift[parts.tooth[every]].astype(np.float32)
    gone = np.flatnonzero(parts.tooth == missing)
    if missing >= 0 and len(gone):
        moved[gone] = moved[gone].mean(axis=0) + np.array([0, 0, -2.0], np.float32)
    return moved


def move_tongue(parts: MouthParts, vertices: np.ndarray, raised: float, out: float) -> None:
    """Raise the tongue's tip to the palate and put it forward (both 0…1), in place."""
    if abs(raised) < 1e-3 and abs(out) < 1e-3:
        return
    chosen = np.flatnonzero(parts.tongue_tip > 0)
    weight = parts.tongue_tip[chosen, None]
    vertices[chosen] += weight * np.array([0.0, 0.85 * raised + 0.25 * out, 0.15 * raised + 1.0 * out], np.float32)
