"""How much light from all around reaches each point of the head: nostrils, eye corners and the throat get less."""

from __future__ import annotations

from typing import Any

import numpy as np

from musetalk.synthetic.camera import Pose, light_matrix, view_matrix
from musetalk.synthetic.head_model import HeadModel

DIRECTIONS, SIZE = 40, 192

_VERTEX = """
#version 330
in vec3 position; uniform mat4 transform;
void main() { gl_Position = transform * vec4(position, 1.0); }
"""


def sphere(count: int) -> np.ndarray:
    """(count, 3) unit vectors spread evenly."""
    index = np.arange(count) + 0.5
    polar, azimuth = np.arccos(1 - 2 * index / count), np.pi * (1 + 5**0.5) * index
    return np.stack([np.cos(azimuth) * np.sin(polar), np.cos(polar), np.sin(azimuth) * np.sin(polar)], axis=1)


def openness(context: Any, head: HeadModel) -> np.ndarray:
    """(V,) float32 0…1 on the neutral head: the cosine-weighted share of directions that is not blocked."""
    skin = np.isin(head.triangle_material, ("M_Face", "M_BackHead", "M_ScleraLeft", "M_ScleraRight"))
    program = context.program(vertex_shader=_VERTEX, fragment_shader="#version 330\nvoid main() {}")
    points = context.buffer(head.neutral.astype("f4").tobytes())
    array = context.vertex_array(
        program, [(points, "3f", "position")], context.buffer(head.triangles[skin].astype("i4").tobytes())
    )
    depth = context.depth_texture((SIZE, SIZE))
    target = context.framebuffer([], depth)
    target.use()
    context.enable_only(context.DEPTH_TEST)
    normals = head.normals(head.neutral)
    lifted = np.hstack([head.neutral + 0.25 * normals, np.ones((len(normals), 1))])
    pose = Pose()
    camera = view_matrix(pose)
    free, total = np.zeros(len(normals)), np.zeros(len(normals))
    for direction in sphere(DIRECTIONS):
        transform = light_matrix(pose, direction, 20.0) @ camera
        program["transform"].write(transform.T.astype("f4").tobytes())
        target.clear(depth=1.0)
        array.render()
        seen = np.frombuffer(depth.read(), np.float32).reshape(SIZE, SIZE)
        at = (lifted @ transform.T)[:, :3] * 0.5 + 0.5
        column, row = (np.clip((at[:, i] * SIZE).astype(int), 0, SIZE - 1) for i in (0, 1))
        weight = np.maximum(normals @ direction, 0)
        total += weight
        free += weight * (at[:, 2] < seen[row, column] + 0.004)
    for resource in (array, points, target, depth, program):
        resource.release()
    return np.clip(free / np.maximum(total, 1e-6), 0.05, 1).astype(np.float32)
