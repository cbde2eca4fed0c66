"""A crude head in the packed format: an ellipsoid with a mouth, for tests that must not need the real model."""

from __future__ import annotations

from pathlib import Path

import numpy as np

MATERIALS = [
    "M_Face", "M_BackHead", "M_GumsTongue", "M_Teeth", "M_ScleraLeft", "M_IrisLeft",
    "M_ScleraRight", "M_IrisRight", "M_LacrimalFluid", "M_EyeBlend", "M_EyeOcclusion", "M_EyeLashes",
]  # fmt: skip


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
    points[48:60] = np.stack([2.6 * np.cos(angle), -3.4 + 1.0 * np.sin(angle)], 1)
    angle = np.linspace(np.pi, -np.pi, 9)[:8]
    points[60:68] = np.stack([2.0 * np.cos(angle), -3.4 + 0.1 * np.sin(angle)], 1)
    return points


def write_head(path: Path) -> Path:
    """Write the npz."""
    grid = 48
    theta, phi = np.meshgrid(np.linspace(0.02, np.pi - 0.02, grid), np.linspace(0, 2 * np.pi, grid, endpoint=False))
    shell = np.stack([9 * np.sin(theta) * np.sin(phi), 13 * np.cos(theta) - 1, 11 * np.sin(theta) * np.cos(phi)], -1)
    cells = np.arange(grid * grid).reshape(grid, grid)
    a, b = cells[:, :-1].ravel(), cells[:, 1:].ravel()
    c, d = np.roll(cells, -1, 0)[:, 1:].ravel(), np.roll(cells, -1, 0)[:, :-1].ravel()
    shell_faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    flat = landmark_positions()
    depth = 11 * np.sqrt(np.clip(1 - (flat[:, 0] / 9) ** 2 - ((flat[:, 1] + 1) / 13) ** 2, 0, 1))
    points = np.column_stack([flat, depth])
    parts, faces, materials = [shell.reshape(-1, 3), points], [shell_faces], [np.zeros(len(shell_faces), int)]
    first = grid * grid + 68
    for index in range(1, len(MATERIALS)):  # a small triangle inside the head for every other material
        x = 3.0 if "Left" in MATERIALS[index] else -3.0
        parts.append(np.array([[x, 3, 5], [x + 0.5, 3, 5], [x, 3.5, 5]]))
        faces.append(np.array([[first, first + 1, first + 2]]))
        materials.append(np.array([index]))
        first += 3
    neutral = np.concatenate(parts).astype(np.float32)
    lower = np.clip((-3.4 - neutral[:, 1]) / 0.05, 0, 1)[:, None]
    deltas = {
        "identity000": neutral * [0.05, 0, 0],
        "identity001": lower * [0, -0.3, 0],  # parts the resting lips
        "jawOpen": lower * [0, -2.0, 0],
        "mouthSmile_L": np.where(neutral[:, :1] > 0, 1.0, 0.0) * [0.5, 0.2, 0],
        "mouthSmile_R": np.where(neutral[:, :1] < 0, 1.0, 0.0) * [-0.5, 0.2, 0],
    }
    np.savez(
        path,
        neutral=neutral,
        names=np.array(list(deltas)),
        deltas=np.stack(list(deltas.values())).astype(np.float16),
        faces=np.concatenate(faces).astype(np.int32),
        mat=np.concatenate(materials).astype(np.int8),
        mats=np.array(MATERIALS),
        lmk=np.arange(grid * grid, grid * grid + 68),
    )
    return path
