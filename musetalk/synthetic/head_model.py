"""The morphable head: vertices, normals and landmarks from identity and expression weights.

The model is the ICT-FaceKit light model (USC Institute for Creative Technologies, MIT licence). It is not part of this
project; tools take its path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from musetalk.errors import InputError
from musetalk.synthetic.head_files import FIX, HeadFiles, read_head_files

HIDDEN_MATERIALS = ("M_LacrimalFluid", "M_EyeBlend", "M_EyeOcclusion", "M_IrisLeft", "M_IrisRight")
"""Transparent shells, and the irises behind the corneas: the shader paints the iris on the eyeball instead."""
VISIBLE_MATERIALS = ("M_Face", "M_BackHead", "M_GumsTongue", "M_Teeth", "M_ScleraLeft", "M_ScleraRight", "M_EyeLashes")
MOUTH_SOCKET = slice(11248, 13294)
"""Vertices of the inner mouth, which belong to the material of the back of the head."""


@dataclass(frozen=True)
class HeadModel:
    """Geometry of the head; centimetres, x to the subject's left, y up, z out of the face.

    Attributes:
        neutral: (V, 3) float32, mean identity, no expression.
        identity_deltas: (I, V, 3) float32, unit-normal weights.
        expression_deltas: name → (V, 3) float32, weights 0…1.
        triangles: (T, 3) int32, visible ones only.
        triangle_uv: (T, 3, 2) float32 texture points; the whole parts are the material's tile.
        triangle_material: (T,) names of materials.
        materials: material name → vertex indices.
        landmark_vertices: (68,) vertex indices of the Multi-PIE points.
        face_to_vertex: (V, T) sparse 0/1 matrix that sums triangle normals into vertex normals.
    """

    neutral: np.ndarray
    identity_deltas: np.ndarray
    expression_deltas: Mapping[str, np.ndarray]
    triangles: np.ndarray
    triangle_uv: np.ndarray
    triangle_material: np.ndarray
    materials: Mapping[str, np.ndarray]
    landmark_vertices: np.ndarray
    face_to_vertex: sparse.csr_matrix

    @classmethod
    def load(cls, path: str | Path) -> HeadModel:
        """Read the model: the folder FaceXModel of ICT-FaceKit, or its packed form.

        Raises:
            InputError: nothing is there, or it is something else.
        """
        files = read_head_files(path)
        missing = [name for name in VISIBLE_MATERIALS if name not in files.materials]
        if missing:
            raise InputError(f"{path}: the head model has no material {', '.join(missing)}", FIX)
        return cls._of(files)

    @classmethod
    def _of(cls, files: HeadFiles) -> HeadModel:
        hidden = [files.materials.index(name) for name in HIDDEN_MATERIALS if name in files.materials]
        visible = ~np.isin(files.face_material, hidden)
        faces, face_material = files.faces[visible], files.face_material[visible]
        count = len(faces)
        rows, columns = faces.ravel(), np.repeat(np.arange(count), 3)
        shape = (len(files.neutral), count)
        gather = sparse.csr_matrix((np.ones(3 * count, np.float32), (rows, columns)), shape)
        identity = [i for i, name in enumerate(files.names) if name.startswith("identity")]
        return cls(
            neutral=files.neutral,
            identity_deltas=files.deltas[identity].astype(np.float32),
            expression_deltas={
                name: files.deltas[i].astype(np.float32)
                for i, name in enumerate(files.names)
                if not name.startswith("identity")
            },
            triangles=faces,
            triangle_uv=files.uv[files.face_uv[visible]],
            triangle_material=np.array(files.materials)[face_material],
            materials={
                name: np.unique(faces[face_material == i]) for i, name in enumerate(files.materials) if i not in hidden
            },
            landmark_vertices=files.landmarks,
            face_to_vertex=gather,
        )

    def identity(self, weights: np.ndarray) -> np.ndarray:
        """Vertices (V, 3) of an identity; `weights` (I,) in standard deviations."""
        return self.neutral + np.tensordot(weights.astype(np.float32), self.identity_deltas, axes=1)

    def with_closed_lips(self, base: np.ndarray) -> np.ndarray:
        """`base` (V, 3) with the jaw shut as far as its identity lets the resting lips part."""
        upper, lower = self.landmark_vertices[[61, 62, 63]], self.landmark_vertices[[67, 66, 65]]
        jaw = self.expression_deltas["jawOpen"]
        gap = (base[upper, 1] - base[lower, 1]).mean()
        resting = (self.neutral[upper, 1] - self.neutral[lower, 1]).mean()
        opening = (jaw[upper, 1] - jaw[lower, 1]).mean()
        return base - np.float32(max(0.0, gap - resting + 0.04) / opening) * jaw

    def expression(self, base: np.ndarray, weights: Mapping[str, float]) -> np.ndarray:
        """`base` (V, 3) with named expression weights (0…1) applied; a new array.

        A name without `_L`/`_R` that only exists in both halves moves both sides alike.
        """
        vertices = base.copy()
        for name, weight in weights.items():
            if abs(weight) < 1e-4:
                continue
            sides = (name,) if name in self.expression_deltas else (f"{name}_L", f"{name}_R")
            for side in sides:
                vertices += self.expression_deltas[side] * np.float32(weight)
        return vertices

    def normals(self, vertices: np.ndarray) -> np.ndarray:
        """Area-weighted unit vertex normals (V, 3) float32."""
        a, b, c = (vertices[self.triangles[:, i]] for i in range(3))
        normals = self.face_to_vertex @ np.cross(b - a, c - a)
        return (normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9)).astype(np.float32)
