"""Reading the head model's files: a folder of ICT-FaceKit's OBJ files, or all of them packed in one npz.

ICT-FaceKit's light model (USC Institute for Creative Technologies, MIT licence) is not part of this project; tools take
its path. The folder is `FaceXModel` of a clone: `generic_neutral_mesh.obj`, `identity000.obj` …, one OBJ per expression
and `vertex_indices.json`. The packed form holds `neutral` (V, 3) cm, `names` and `deltas` (K, V, 3), `faces` (T, 3),
`fuv` (T, 3) into `vt` (U, 2), `mat` (T,) into `mats`, `lmk` (68,).
"""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from musetalk.errors import InputError

NEUTRAL = "generic_neutral_mesh.obj"
INDICES = "vertex_indices.json"
FIX = "Give the folder FaceXModel of a clone of ICT-FaceKit, or its packed form (ict_light.npz)."
LANDMARKS = (
    1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924, 2608, 3272, 4088, 3443, 268, 493, 1914,
    2044, 1401, 3615, 4240, 4114, 2734, 2509, 978, 4527, 4942, 4857, 1140, 2075, 1147, 4269, 3360, 1507, 1542, 1537,
    1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732, 5708, 5695, 2081, 0, 4275, 6200, 6213, 6346, 6461, 5518,
    5957, 5841, 5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966,
)  # fmt: skip
"""Vertices of the 68 Multi-PIE points in the light model's topology (published with ICT-FaceKit), used where the
folder's `vertex_indices.json` does not say."""


@dataclass(frozen=True)
class HeadFiles:
    """What the files hold; see the module's first lines. `deltas` are differences from `neutral`."""

    neutral: np.ndarray
    names: list[str]
    deltas: np.ndarray
    faces: np.ndarray
    face_uv: np.ndarray
    uv: np.ndarray
    face_material: np.ndarray
    materials: list[str]
    landmarks: np.ndarray

    def pack(self, target: Path) -> None:
        """Write the packed form; `target` is replaced when it is whole."""
        partial = target.with_name(f".{target.name}.partial.npz")
        np.savez(
            partial,
            neutral=self.neutral,
            names=np.array(self.names),
            deltas=self.deltas.astype(np.float16),
            faces=self.faces,
            fuv=self.face_uv,
            vt=self.uv,
            mat=self.face_material,
            mats=np.array(self.materials),
            lmk=self.landmarks,
        )
        os.replace(partial, target)


def read_head_files(path: str | Path) -> HeadFiles:
    """Read either form.

    Raises:
        InputError: nothing is there, or it is something else.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path)
    if not path.is_file():
        raise InputError(f"no head model at {path}", FIX)
    try:
        with np.load(path, allow_pickle=False) as data:
            return HeadFiles(
                neutral=data["neutral"].astype(np.float32),
                names=[str(name) for name in data["names"]],
                deltas=data["deltas"],
                faces=data["faces"].astype(np.int32),
                face_uv=data["fuv"].astype(np.int32),
                uv=data["vt"].astype(np.float32),
                face_material=data["mat"].astype(np.int32),
                materials=[str(name) for name in data["mats"]],
                landmarks=data["lmk"].astype(np.int64),
            )
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not a packed head model: {' '.join(str(error).split())}", FIX) from None


def _read_folder(folder: Path) -> HeadFiles:
    if not (folder / NEUTRAL).is_file():
        raise InputError(f"{folder}: holds no {NEUTRAL}", FIX)
    neutral, uv, faces, face_uv, face_material, materials = _read_mesh(folder / NEUTRAL)
    paths = sorted(path for path in folder.glob("*.obj") if path.name != NEUTRAL)
    paths.sort(key=lambda path: not path.name.startswith("identity"))
    if not any(path.stem == "jawOpen" for path in paths):
        raise InputError(f"{folder}: holds no jawOpen.obj", FIX)
    deltas = np.empty((len(paths), *neutral.shape), np.float16)
    for index, path in enumerate(paths):
        vertices = _read_vertices(path)
        if vertices.shape != neutral.shape:
            raise InputError(f"{path}: has {len(vertices)} vertices, {NEUTRAL} has {len(neutral)}", FIX)
        deltas[index] = vertices - neutral
    landmarks = _landmarks(folder / INDICES, len(neutral))
    names = [path.stem for path in paths]
    return HeadFiles(neutral, names, deltas, faces, face_uv, uv, face_material, materials, landmarks)


def _landmarks(path: Path, vertices: int) -> np.ndarray:
    """The 68 vertices that the folder's index file names, else those that are known."""
    found: list[int] = list(LANDMARKS)
    if path.is_file():
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read: {error}", FIX) from None
        if isinstance(content, dict):
            for name, value in content.items():
                if "landmark" in name and isinstance(value, list) and len(value) == 68:
                    found = [int(index) for index in value]
    landmarks = np.array(found, np.int64)
    if landmarks.max() >= vertices or landmarks.min() < 0:
        raise InputError(f"{path.parent}: its {vertices} vertices do not hold the landmarks' vertices", FIX)
    return landmarks


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}", FIX) from None


def _numbers(lines: list[bytes], columns: int, path: Path) -> np.ndarray:
    try:
        values = np.array(b" ".join(lines).split(), np.float32).reshape(len(lines), -1)[:, :columns]
    except ValueError as error:
        raise InputError(f"{path}: is not an OBJ file: {error}", FIX) from None
    return np.ascontiguousarray(values)


def _read_vertices(path: Path) -> np.ndarray:
    return _numbers([line[2:] for line in _lines(path) if line.startswith(b"v ")], 3, path)


def _read_mesh(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Vertices, texture points, triangles, their texture points and materials; polygons become fans."""
    lines = _lines(path)
    vertices = _numbers([line[2:] for line in lines if line.startswith(b"v ")], 3, path)
    uv = _numbers([line[3:] for line in lines if line.startswith(b"vt ")], 2, path)
    materials: list[str] = []
    faces, face_uv, face_material = [], [], []
    try:
        for line in lines:
            if line.startswith(b"usemtl"):
                name = line.split()[1].decode("utf-8", "replace")
                materials.append(name) if name not in materials else None
                current = materials.index(name)
            elif line.startswith(b"f "):
                corners = [corner.split(b"/") for corner in line.split()[1:]]
                at = [int(corner[0]) - 1 for corner in corners]
                texture = [int(corner[1]) - 1 for corner in corners]
                for last in range(2, len(corners)):
                    faces.append((at[0], at[last - 1], at[last]))
                    face_uv.append((texture[0], texture[last - 1], texture[last]))
                    face_material.append(current)
    except (ValueError, IndexError, UnboundLocalError):
        raise InputError(f"{path}: its faces lack texture points or a material", FIX) from None
    triangles = np.array(faces, np.int32).reshape(-1, 3)
    points = np.array(face_uv, np.int32).reshape(-1, 3)
    if not len(triangles) or triangles.max() >= len(vertices) or points.max() >= len(uv):
        raise InputError(f"{path}: its faces do not fit its vertices", FIX)
    return vertices, uv, triangles, points, np.array(face_material, np.int32), materials
