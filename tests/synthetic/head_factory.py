"""A crude head in both forms: an ellipsoid with two lips before a hole, for tests that must not need the real model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

MATERIALS = [
    "M_Face", "M_BackHead", "M_GumsTongue", "M_Teeth", "M_ScleraLeft", "M_IrisLeft",
    "M_ScleraRight", "M_IrisRight", "M_LacrimalFluid", "M_EyeBlend", "M_EyeOcclusion", "M_EyeLashes",
]  # fmt: skip
GRID, COLUMNS, ROWS = 48, 21, 7
SEAM, HALF = -3.4, 2.6
"""Height of the line where the lips meet, and half the mouth's width, cm."""
STILL = (
    "mouthFunnel", "mouthPucker", "mouthRollLower", "mouthRollUpper", "mouthShrugUpper", "mouthShrugLower",
    "mouthStretch_L", "mouthStretch_R", "mouthPress_L", "mouthPress_R", "browDown_L", "browDown_R", "browInnerUp_L",
    "browInnerUp_R", "browOuterUp_L", "browOuterUp_R", "eyeBlink_L", "eyeBlink_R", "eyeSquint_L", "eyeSquint_R",
    "eyeWide_L", "eyeWide_R", "cheekSquint_L", "cheekSquint_R",
)  # fmt: skip
"""Expressions that do nothing on this head."""


def landmark_positions() -> np.ndarray:
    """68 points (x, y) on the front of the head, cm."""
    points = np.zeros((68, 2))
    angle = np.linspace(np.pi, 2 * np.pi, 17)
    points[:17] = np.stack([7 * np.cos(angle), 2 + 9 * np.sin(angle)], 1)
    points[17:22] = np.stack([np.linspace(-6, -1.5, 5), [4.6, 5.2, 5.4, 5.3, 5.0]], 1)
    points[22:27] = np.stack([np.linspace(1.5, 6, 5), [5.0, 5.3, 5.4, 5.2, 4.6]], 1)
    points[27:31] = np.stack([np.zeros(4), [3.6, 2.6, 1.6, 0.5]], 1)
    points[31:36] = np.stack([np.linspace(-1.4, 1.4, 5), np.full(5, -0.8)], 1)
    for start, x in ((36, -3), (42, 3)):
        angle = np.linspace(np.pi, -np.pi, 7)[:6]
        points[start : start + 6] = np.stack([x + 1.3 * np.cos(angle), 3.6 + 0.5 * np.sin(angle)], 1)
    angle = np.linspace(np.pi, -np.pi, 13)[:12]
    points[48:60] = np.stack([2.6 * np.cos(angle), SEAM + 1.0 * np.sin(angle)], 1)
    angle = np.linspace(np.pi, -np.pi, 9)[:8]
    points[60:68] = np.stack([2.0 * np.cos(angle), SEAM + 0.04 * np.sign(np.sin(angle).round(6))], 1)
    return points


def _depth(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 11 * np.sqrt(np.clip(1 - (x / 9) ** 2 - ((y + 1) / 13) ** 2, 0, 1))


def _sheet(rows: int, columns: int) -> np.ndarray:
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1].ravel(), index[:-1, 1:].ravel(), index[1:, :-1].ravel(), index[1:, 1:].ravel()
    return np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)])


def head_arrays() -> dict[str, np.ndarray]:
    """The arrays of the packed form."""
    theta, phi = np.meshgrid(
        np.linspace(0.02, np.pi - 0.02, GRID), np.linspace(-np.pi, np.pi, GRID), indexing="ij"
    )  # the first and the last column lie on each other at the back
    shell = np.stack([9 * np.sin(theta) * np.sin(phi), 13 * np.cos(theta) - 1, 11 * np.sin(theta) * np.cos(phi)], -1)
    skin = _sheet(GRID, GRID)[:, ::-1]
    middle = shell.reshape(-1, 3)[skin].mean(axis=1)
    hole = (np.abs(middle[:, 0]) < 1.6) & (np.abs(middle[:, 1] - SEAM + 0.3) < 1.0) & (middle[:, 2] > 0)
    parts, faces, materials = [shell.reshape(-1, 3)], [skin[~hole]], [np.zeros((~hole).sum(), int)]
    uv = [np.stack([0.02 + 0.8 * (phi / (2 * np.pi) + 0.5), 0.98 - 0.96 * theta / np.pi], -1).reshape(-1, 2)]
    first = GRID * GRID
    lips = []
    for side in (1, -1):
        x, rise = np.meshgrid(np.linspace(-HALF, HALF, COLUMNS), np.linspace(0.04, 0.9, ROWS))
        y = SEAM + side * rise
        lips.append(np.arange(first, first + x.size).reshape(ROWS, COLUMNS))
        parts.append(np.stack([x, y, _depth(x, y) + 0.4], -1).reshape(-1, 3))
        faces.append(_sheet(ROWS, COLUMNS)[:, ::side] + first)
        materials.append(np.zeros(len(faces[-1]), int))
        uv.append(np.stack([0.85 + 0.06 * (x / HALF), 0.5 + side * (0.05 + 0.2 * rise)], -1).reshape(-1, 2))
        first += x.size
    flat = landmark_positions()
    marks = np.column_stack([flat, _depth(*flat.T)])
    points = np.concatenate(parts)
    landmarks = np.array([int(np.argmin(((points - mark) ** 2).sum(1))) for mark in marks])
    middle = COLUMNS // 2
    for row, numbers in ((0, (61, 62, 63)), (1, (67, 66, 65))):
        landmarks[list(numbers)] = lips[row][0, [middle - 4, middle, middle + 4]]
    landmarks[[48, 60, 54, 64]] = lips[0][0, [0, 1, -1, -2]]
    for index in range(1, len(MATERIALS)):  # a small triangle inside the head for every other material
        x = 3.0 if "Left" in MATERIALS[index] else -3.0
        z = 5.0 if MATERIALS[index] != "M_Teeth" else 10.0
        y = 3.0 if MATERIALS[index] not in ("M_Teeth", "M_GumsTongue") else SEAM
        parts.append(np.array([[x, y, z], [x + 0.5, y, z], [x, y + 0.5, z]]))
        faces.append(np.array([[first, first + 1, first + 2]]))
        materials.append(np.array([index]))
        uv.append(np.array([[0.1, 0.1], [0.9, 0.1], [0.1, 0.9]]) + np.array([index, 0]))
        first += 3
    neutral = np.concatenate(parts).astype(np.float32)
    triangles = np.concatenate(faces).astype(np.int32)
    below = np.zeros(len(neutral), bool)
    below[lips[1]] = True
    below[: GRID * GRID] = neutral[: GRID * GRID, 1] < SEAM - 0.9
    lower = np.clip((1.2 * HALF - np.abs(neutral[:, 0])) / HALF, 0, 1) * below
    upper = np.zeros(len(neutral))
    upper[lips[0]] = 1
    left, right = (neutral[:, :1] > 0), (neutral[:, :1] < 0)
    down, up = np.array([0, -1.0, 0]), np.array([0, 1.0, 0])
    deltas = {
        "identity000": neutral * [0.05, 0, 0],
        "identity001": 0.3 * lower[:, None] * down,  # parts the resting lips
        "jawOpen": 3.3 * lower[:, None] * down,
        "mouthClose": 3.9 * lower[:, None] * up,
        "mouthSmile_L": left * np.array([0.5, 0.2, 0]) * (below | (upper > 0))[:, None],
        "mouthSmile_R": right * np.array([-0.5, 0.2, 0]) * (below | (upper > 0))[:, None],
        "mouthUpperUp_L": 0.7 * (upper[:, None] * left) * up,
        "mouthUpperUp_R": 0.7 * (upper[:, None] * right) * up,
        "mouthLowerDown_L": 0.7 * (lower[:, None] * left) * down,
        "mouthLowerDown_R": 0.7 * (lower[:, None] * right) * down,
    } | {name: np.zeros_like(neutral) for name in STILL}
    return {
        "neutral": neutral,
        "names": np.array(list(deltas)),
        "deltas": np.stack(list(deltas.values())).astype(np.float16),
        "faces": triangles,
        "fuv": triangles,
        "vt": np.concatenate(uv).astype(np.float32),
        "mat": np.concatenate(materials).astype(np.int8),
        "mats": np.array(MATERIALS),
        "lmk": landmarks.astype(np.int64),
    }


def write_head(path: Path) -> Path:
    """Write the npz."""
    np.savez(path, **head_arrays())
    return path


def write_folder(folder: Path) -> Path:
    """Write the OBJ files, with quads where two triangles would do."""
    folder.mkdir(parents=True)
    head = head_arrays()

    def points(vertices: np.ndarray) -> str:
        return "".join(f"v {x:.6f} {y:.6f} {z:.6f}\n" for x, y, z in vertices)

    lines = ["# a comment\n", points(head["neutral"])] + [f"vt {u:.6f} {v:.6f}\n" for u, v in head["vt"]]
    for number, name in enumerate(MATERIALS):
        lines.append(f"usemtl {name}\n")
        for face in head["faces"][head["mat"] == number] + 1:
            lines.append("f " + " ".join(f"{i}/{i}/{i}" for i in face) + "\n")
    (folder / "generic_neutral_mesh.obj").write_text("".join(lines))
    for name, delta in zip(head["names"], head["deltas"].astype(np.float32), strict=True):
        (folder / f"{name}.obj").write_text(points(head["neutral"] + delta) + "f 1/1/1 2/2/2 3/3/3\n")
    (folder / "vertex_indices.json").write_text(json.dumps({"idx_to_landmark_verts": head["lmk"].tolist()}))
    return folder


def need_renderer(head, size=128, **options):
    """A renderer, or the test is skipped where there is no OpenGL."""
    pytest.importorskip("moderngl")
    from musetalk.errors import DeviceError
    from musetalk.synthetic.renderer import Renderer

    try:
        return Renderer(head, size, face_texels=256, **options)
    except DeviceError as error:
        pytest.skip(error.what)
