"""The head as it is drawn: vertices split where their texture points differ, and what the shaders know about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from musetalk.synthetic.head_model import HeadModel
from musetalk.synthetic.mouth_parts import CHEEK, TEETH
from musetalk.synthetic.person import Body
from musetalk.synthetic.surface import smooth_step


@dataclass(frozen=True)
class HeadMesh:
    """r vertices.

    Attributes:
        source: (r,) vertices of the model.
        uv: (r, 2) float32 within the material's tile; of teeth the second is cm from the biting edge.
        marks: (r, 4) float32: openness to light; 0 … 1 how far the body carries it and not the head; part of the mouth;
            number: of a tooth, with the place across it as its fraction, or how long lashes grow.
        groups: (t, 3) int32 of `face`, `back`, `cavity` (the mouth's walls), `mouth` (what is in it), `eyes`, `lashes`.
    """

    source: np.ndarray
    uv: np.ndarray
    marks: np.ndarray
    groups: dict[str, np.ndarray]


def head_mesh(body: Body, open_share: np.ndarray) -> HeadMesh:
    """Split the vertices and mark them; `open_share` (V,) is from `openness`."""
    head, parts = body.head, body.parts
    material, triangles = head.triangle_material, head.triangles
    inner = (parts.part[triangles] == CHEEK).all(axis=1)
    chosen = {
        "face": material == "M_Face",
        "back": (material == "M_BackHead") & ~inner,
        "cavity": inner,
        "mouth": np.isin(material, ("M_GumsTongue", "M_Teeth")),
        "eyes": np.isin(material, ("M_ScleraLeft", "M_ScleraRight")),
        "lashes": material == "M_EyeLashes",
    }
    tile = np.floor(head.triangle_uv.mean(axis=1, keepdims=True))
    uv = (head.triangle_uv - tile).reshape(-1, 2)
    keys = np.column_stack([triangles.reshape(-1), (uv * 65536).round()])
    keys, index = np.unique(keys, axis=0, return_inverse=True)
    index = index.reshape(-1, 3).astype("i4")
    source = keys[:, 0].astype(np.int64)
    uv = (keys[:, 1:] / 65536).astype(np.float32)
    part, neutral = parts.part[source], head.neutral[source]
    marks = np.zeros((len(source), 4), np.float32)
    marks[:, 0] = open_share[source]
    neck = smooth_step(-7.0, -12.0, neutral[:, 1]) * smooth_step(8.0, 5.5, neutral[:, 2])
    marks[:, 1] = np.where(part < 0, neck, 0)
    marks[:, 2] = np.maximum(part, 0)
    teeth = part == TEETH
    marks[teeth, 3] = parts.tooth[source][teeth] + (parts.across[source][teeth] * 0.8 + 1) / 2
    uv[teeth, 1] = parts.edge[source][teeth]
    lashes = np.isin(source, head.materials["M_EyeLashes"])
    uv[lashes], marks[lashes, 3] = _lashes(head, source[lashes])
    return HeadMesh(source, uv, marks, {name: index[mask] for name, mask in chosen.items()})


def _lashes(head: HeadModel, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Along the lid and away from it, (n, 2) 0…1; and how long lashes grow there, (n,): the lower ones are shorter."""
    points = head.neutral[vertices]
    distance, _ = cKDTree(head.neutral[head.materials["M_Face"]]).query(points)
    side = np.sign(points[:, 0])
    place = np.zeros((len(points), 2))
    middle = np.median(points[:, 1])
    for left in (-1, 1):
        for upper in (False, True):
            chosen = (side == left) & ((points[:, 1] > middle) == upper)
            if chosen.any():
                x = points[chosen, 0]
                place[chosen, 0] = (x - x.min()) / max(float(np.ptp(x)), 1e-6)
                place[chosen, 1] = distance[chosen] / max(float(distance[chosen].max()), 1e-6)
    return place, np.where(points[:, 1] > middle, 1.0, 0.4)
