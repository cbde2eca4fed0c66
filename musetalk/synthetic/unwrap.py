"""The head's skin laid flat: for every texel of a material's tile, where on the neutral head it lies.

Skin is painted into such tiles once per person, so that a frame costs two texture reads and not a page of noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from musetalk.synthetic.head_model import HeadModel

_VERTEX = """
#version 330
in vec2 uv; in vec3 value; out vec3 v;
void main() { v = value; gl_Position = vec4(2.0 * uv - 1.0, 0.0, 1.0); }
"""
_FRAGMENT = """
#version 330
in vec3 v; out vec4 color;
void main() { color = vec4(v, 1.0); }
"""


@dataclass(frozen=True)
class Tile:
    """A square of texture; row 0 is v = 0.

    Attributes:
        position: (S, S, 3) float32 cm on the neutral head; outside the islands, that of the nearest texel inside.
        inside: (S, S) bool, what triangles cover.
        per_cm: (S, S, 2, 3) float32: dot the first (second) row with a vector in cm to get texels along u (v).
    """

    position: np.ndarray
    inside: np.ndarray
    per_cm: np.ndarray

    @property
    def size(self) -> int:
        """Texels on a side."""
        return len(self.position)

    def slope(self, height: np.ndarray) -> np.ndarray:
        """Gradient (S, S, 3) on the surface of `height` (S, S) cm: the normal leans against it."""
        along_v, along_u = np.gradient(height)
        return along_u[..., None] * self.per_cm[:, :, 0] + along_v[..., None] * self.per_cm[:, :, 1]


def unwrap(context: Any, head: HeadModel, material: str, size: int) -> Tile:
    """Lay one material's triangles flat.

    Args:
        context: A moderngl context.
        head: The head.
        material: Its material's name.
        size: Texels on a side.
    """
    chosen = head.triangle_material == material
    corners = head.triangles[chosen].ravel()
    uv = head.triangle_uv[chosen].reshape(-1, 2)
    uv = uv - np.floor(uv.mean(axis=0))
    data = np.hstack([uv, head.neutral[corners]]).astype("f4")
    program = context.program(vertex_shader=_VERTEX, fragment_shader=_FRAGMENT)
    buffer = context.buffer(np.ascontiguousarray(data).tobytes())
    array = context.vertex_array(program, [(buffer, "2f 3f", "uv", "value")])
    target = context.framebuffer([context.renderbuffer((size, size), 4, dtype="f4")])
    target.use()
    context.disable(context.DEPTH_TEST | context.CULL_FACE)
    target.clear(0, 0, 0, 0)
    array.render()
    raw = np.frombuffer(target.read(components=4, dtype="f4"), np.float32).reshape(size, size, 4)
    inside = raw[..., 3] > 0.5
    for resource in (array, buffer, target, program):
        resource.release()
    if not inside.any():
        inside = np.ones_like(inside)
    nearest = ndimage.distance_transform_edt(~inside, return_distances=False, return_indices=True)
    position = raw[..., :3][nearest[0], nearest[1]].copy()
    return Tile(position, inside, _texels_per_cm(position, inside))


def _texels_per_cm(position: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The dual of the tangents of a position map, (S, S, 2, 3)."""
    v_tangent, u_tangent = np.gradient(position, axis=(0, 1))
    uu, vv = (u_tangent**2).sum(-1), (v_tangent**2).sum(-1)
    uv = (u_tangent * v_tangent).sum(-1)
    determinant = uu * vv - uv * uv
    flat = determinant < 1e-10  # the border of an island, or outside
    determinant = np.where(flat, 1.0, determinant)[..., None]
    along_u = (vv[..., None] * u_tangent - uv[..., None] * v_tangent) / determinant
    along_v = (uu[..., None] * v_tangent - uv[..., None] * u_tangent) / determinant
    dual = np.stack([along_u, along_v], axis=2)
    usable = inside & ~flat
    dual[~usable] = 0
    longest = np.linalg.norm(dual, axis=3, keepdims=True)
    # a texel at a seam sees the far side of it as a cliff
    return (dual * np.minimum(1.0, 200.0 / np.maximum(longest, 1e-6))).astype(np.float32)
