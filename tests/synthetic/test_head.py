"""The morphable head, its crop geometry, and a picture of it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from musetalk.errors import InputError
from musetalk.face.boxes import face_box
from musetalk.face.landmarks import Face
from musetalk.synthetic.head_model import HeadModel

sys.path.insert(0, str(Path(__file__).parent))
from head_factory import write_head


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
    normals = head.normals(head.neutral)[: 48 * 48]
    outward = head.neutral[: 48 * 48] - head.neutral[: 48 * 48].mean(axis=0)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-3)
    assert (np.abs(np.sum(normals * outward, axis=1)) > 0).mean() > 0.99


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


def test_a_part_of_the_view_is_that_part_of_the_picture(head):
    pytest.importorskip("moderngl")
    from musetalk.synthetic.appearance import random_lighting, random_look
    from musetalk.synthetic.renderer import Pose, Renderer, project

    try:
        renderer = Renderer(head, 128, samples=0)
    except Exception as error:  # noqa: BLE001  # moderngl raises bare exceptions where there is no EGL
        pytest.skip(f"no OpenGL here: {error}")
    rng = np.random.default_rng(1)
    look, lighting, pose = replace(random_look(rng, 2), mottling=0.0), random_lighting(rng), Pose(yaw=0.2)
    background = np.zeros((128, 128, 3), np.uint8)
    background[:] = (0, 255, 0)
    vertices = renderer.base_vertices(look)
    whole = renderer.draw(vertices, look, lighting, pose, background)
    assert (whole[0, 0] == (0, 255, 0)).all()
    nose = project(vertices[head.landmark_vertices[30:31]], pose)[0]
    x, y = (nose * 128).astype(int)
    assert not (whole[y, x] == (0, 255, 0)).all()
    part = renderer.draw(vertices, look, lighting, pose, background, view=(0.25, 0.25, 0.75, 0.75))
    green = (part == (0, 255, 0)).all(axis=2)
    expected = (whole[32:96, 32:96] == (0, 255, 0)).all(axis=2).repeat(2, 0).repeat(2, 1)
    assert (green == expected).mean() > 0.97
