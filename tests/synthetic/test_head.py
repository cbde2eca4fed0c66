"""The morphable head, its two forms, and its crop geometry."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from musetalk.errors import InputError
from musetalk.face.boxes import face_box
from musetalk.face.landmarks import Face
from musetalk.synthetic.head_model import HeadModel

sys.path.insert(0, str(Path(__file__).parent))
from head_factory import GRID, head_arrays, write_folder, write_head


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    return HeadModel.load(write_head(tmp_path_factory.mktemp("head") / "head.npz"))


def inner_lip_gap(head, vertices):
    points = vertices[head.landmark_vertices]
    return float((points[[61, 62, 63], 1] - points[[67, 66, 65], 1]).mean())


def test_a_name_without_a_side_moves_both(head):
    both = head.expression(head.neutral, {"mouthSmile": 0.5})
    sides = head.expression(head.neutral, {"mouthSmile_L": 0.5, "mouthSmile_R": 0.5})
    np.testing.assert_array_equal(both, sides)
    assert np.abs(both - head.neutral).max() > 0.2


def test_jaw_open_opens_the_lips_in_proportion(head):
    closed, half, wide = (
        inner_lip_gap(head, head.expression(head.neutral, {"jawOpen": weight})) for weight in (0, 0.5, 1)
    )
    assert half - closed == pytest.approx((wide - closed) / 2, abs=1e-3)
    assert wide > closed + 1


def test_an_identity_rests_with_closed_lips(head):
    parted = head.identity(np.array([0.0, 2.0]))
    assert inner_lip_gap(head, parted) > inner_lip_gap(head, head.neutral) + 0.3
    assert inner_lip_gap(head, head.with_closed_lips(parted)) <= inner_lip_gap(head, head.neutral) + 0.01


def test_normals_point_outward_and_have_unit_length(head):
    shell = np.unique(head.triangles)
    shell = shell[shell < GRID * GRID]
    normals = head.normals(head.neutral)[shell]
    outward = head.neutral[shell] - head.neutral[: GRID * GRID].mean(axis=0)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-3)
    assert (np.sum(normals * outward, axis=1) > 0).mean() > 0.99


def test_the_folder_of_obj_files_is_the_same_head(tmp_path, head):
    read = HeadModel.load(write_folder(tmp_path / "FaceXModel"))
    np.testing.assert_allclose(read.neutral, head.neutral, atol=1e-5)
    np.testing.assert_allclose(read.identity_deltas, head.identity_deltas, atol=1e-2)
    assert set(read.expression_deltas) == set(head.expression_deltas)
    np.testing.assert_allclose(read.expression_deltas["jawOpen"], head.expression_deltas["jawOpen"], atol=1e-2)
    np.testing.assert_array_equal(read.landmark_vertices, head.landmark_vertices)
    order = np.lexsort(read.triangles.T), np.lexsort(head.triangles.T)
    np.testing.assert_array_equal(read.triangles[order[0]], head.triangles[order[1]])
    np.testing.assert_allclose(read.triangle_uv[order[0]], head.triangle_uv[order[1]], atol=1e-5)
    np.testing.assert_array_equal(read.triangle_material[order[0]], head.triangle_material[order[1]])


def test_a_quad_becomes_two_triangles(tmp_path):
    folder = write_folder(tmp_path / "FaceXModel")
    mesh = folder / "generic_neutral_mesh.obj"
    before = len(HeadModel.load(folder).triangles)
    mesh.write_text(mesh.read_text() + "usemtl M_Face\nf 1/1/1 2/2/2 3/3/3 4/4/4\n")
    assert len(HeadModel.load(folder).triangles) == before + 2


def test_packing_keeps_the_head(tmp_path):
    from musetalk.synthetic.head_files import read_head_files

    files = read_head_files(write_folder(tmp_path / "FaceXModel"))
    files.pack(tmp_path / "packed.npz")
    again = HeadModel.load(tmp_path / "packed.npz")
    np.testing.assert_allclose(again.neutral, head_arrays()["neutral"], atol=1e-5)
    assert [path.name for path in tmp_path.glob("*.npz")] == ["packed.npz"]


def _remove_jaw(folder):
    (folder / "jawOpen.obj").unlink()


def _shorten(folder):
    (folder / "identity000.obj").write_text("v 0 0 0\n")


def _garble(folder):
    (folder / "identity000.obj").write_text("v a b c\n")


def _no_texture(folder):
    mesh = folder / "generic_neutral_mesh.obj"
    mesh.write_text(mesh.read_text() + "f 1 2 3\n")


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (_remove_jaw, "jawOpen"),
        (_shorten, "identity000"),
        (_garble, "identity000"),
        (_no_texture, "generic_neutral_mesh"),
        (lambda folder: (folder / "generic_neutral_mesh.obj").unlink(), "generic_neutral_mesh"),
        (lambda folder: (folder / "vertex_indices.json").write_text("{"), "vertex_indices"),
    ],
)
def test_a_damaged_folder_is_an_input_error(tmp_path, damage, named):
    folder = write_folder(tmp_path / "FaceXModel")
    damage(folder)
    with pytest.raises(InputError, match=named):
        HeadModel.load(folder)


@pytest.mark.parametrize("content", [None, b"not an archive"])
def test_a_missing_or_foreign_file_is_an_input_error(tmp_path, content):
    path = tmp_path / "head.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"head\.npz"):
        HeadModel.load(path)


def test_the_training_crop_is_the_box_of_inference():
    pytest.importorskip("moderngl")
    from musetalk.synthetic.scenes import face_view

    rng = np.random.default_rng(0)
    landmarks = rng.uniform(100, 300, (68, 2)).round()
    landmarks[29] = (200, 180)
    view = face_view(landmarks)
    assert tuple(map(int, view)) == face_box(Face(landmarks, (90.0, 60.0, 310.0, 310.0)), (512, 512, 3))
