"""Pictures of the crude head: where it is, what moves, and what stays when the mouth is another."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from musetalk.synthetic.appearance import random_look
from musetalk.synthetic.camera import Pose, project
from musetalk.synthetic.clips import Performer, Take, film, film_takes, random_shoot
from musetalk.synthetic.head_model import HeadModel
from musetalk.synthetic.lens import Lens
from musetalk.synthetic.lighting import random_lighting
from musetalk.synthetic.looks import BALD, Lighting
from musetalk.synthetic.motion import random_motion
from musetalk.synthetic.mouth_channels import pose
from musetalk.synthetic.person import Mouth
from musetalk.synthetic.visemes import VISEMES, rest_pose

sys.path.insert(0, str(Path(__file__).parent))
from head_factory import need_renderer, write_head

SIZE = 128
GREEN = (0, 255, 0)
EVEN = Lighting(
    np.array([[0.0, 0, 1], [0, 0, 1], [0, 0, -1]]),
    np.array([[1.0, 1, 1], [0, 0, 0], [0, 0, 0]]),
    np.full(3, 0.3),
    np.full(3, 0.3),
    1.0,
)


@pytest.fixture(scope="module")
def renderer(tmp_path_factory):
    return need_renderer(HeadModel.load(write_head(tmp_path_factory.mktemp("head") / "head.npz")), SIZE)


def plain_look(seed=1):
    look = random_look(np.random.default_rng(seed), 2)
    style = replace(look.style, toon=0.0, smear=0, levels=0, outlook=0.0, flat=0.0, line=0.0, detail=1.0)
    nobody = replace(look.beard, stubble=0, chin=0, jaw=0, moustache=0)
    skin = replace(look.skin, mottling=0.0, freckles=0.0, spots=0, paint=None, blotches=0.0, age=0.0)
    hair = replace(look.hair, kind=BALD)
    return replace(look, style=style, beard=nobody, skin=skin, hair=hair, identity=np.zeros(2))


def green():
    background = np.zeros((SIZE, SIZE, 3), np.uint8)
    background[:] = GREEN
    return background


def test_a_part_of_the_view_is_that_part_of_the_picture(renderer):
    camera = Pose(yaw=0.2)
    lighting = random_lighting(np.random.default_rng(1))
    with renderer.person(plain_look()) as person:
        vertices = person.shape(Mouth({}))
        whole = renderer.draw(vertices, lighting, camera, green())
        part = renderer.draw(vertices, lighting, camera, green(), view=(0.25, 0.25, 0.75, 0.75))
    assert (whole[0, 0] == GREEN).all()
    nose = project(person.landmarks(vertices)[30:31], camera)[0]
    x, y = (nose * SIZE).astype(int)
    assert not (whole[y, x] == GREEN).all()
    bare = (part == GREEN).all(axis=2)
    expected = (whole[32:96, 32:96] == GREEN).all(axis=2).repeat(2, 0).repeat(2, 1)
    assert (bare == expected).mean() > 0.97


def test_a_redrawn_part_is_that_part(renderer):
    camera, part = Pose(yaw=0.1, distance=70), (24, 40, 100, 128)
    with renderer.person(plain_look()) as person:
        vertices = person.shape(Mouth({"jawOpen": 0.5}))
        whole = renderer.draw_layer(vertices, EVEN, camera)
        drawn = renderer.draw_layer(vertices, EVEN, camera, only=part)
    assert drawn.shape == (88, 76, 4)
    np.testing.assert_array_equal(drawn, whole[40:128, 24:100])


def test_the_lips_part_where_the_landmarks_say(renderer):
    """Through the crude head's mouth one sees what is behind it."""
    camera = Pose(distance=60)
    seen = []
    with renderer.person(plain_look()) as person:
        for jaw in (0.0, 0.3, 0.6):
            vertices = person.shape(Mouth({"jawOpen": jaw}, 0.0 if jaw == 0 else None))
            image = renderer.draw(vertices, EVEN, camera, green()).astype(int)
            points = project(person.landmarks(vertices), camera) * SIZE
            upper, lower = points[62, 1], points[66, 1]
            column = image[int(upper) - 3 : int(lower) + 5, int(points[62, 0])]
            rows = np.flatnonzero((column[:, 1] > 150) & (column[:, 0] < 100)) + int(upper) - 3
            seen.append(len(rows))
            assert abs(len(rows) - (lower - upper)) <= 2
            if len(rows):
                assert abs(rows.mean() + 0.5 - (upper + lower) / 2) <= 1.5
    assert seen[0] == 0
    assert 2 < seen[1] < seen[2]


def test_the_same_seed_draws_the_same_pictures_and_another_seed_others(renderer):
    def pictures(seed):
        performer = random_shoot(np.random.default_rng(seed), renderer)
        rng = np.random.default_rng((seed, 1))
        return np.stack([image for image, _ in film(renderer, performer, np.tile(rest_pose(), (3, 1)), rng)])

    first = pictures(3)
    np.testing.assert_array_equal(first, pictures(3))
    assert np.abs(first.astype(int) - pictures(4)).mean() > 5


def closed_and_open(renderer, seed, frames=4, lens=None, shadow=None):
    performer = random_shoot(np.random.default_rng(seed), renderer)
    if lens is not None:
        performer = replace(performer, lens=lens)
    if shadow is not None:
        performer = replace(performer, lighting=replace(performer.lighting, shadow=shadow))
    motion = random_motion(np.random.default_rng(seed), frames)
    takes = [Take.of(np.tile(curves, (frames, 1))) for curves in (rest_pose(), pose(VISEMES["open"]))]
    return list(film_takes(renderer, performer, motion, takes, 5)), performer


@pytest.mark.parametrize("seed", range(4))
def test_twins_are_equal_but_for_the_lower_face(renderer, seed):
    frames, _ = closed_and_open(renderer, seed, lens=Lens(noise=2.0, saturation=0.8))
    for first, twin in frames:
        np.testing.assert_array_equal(first.landmarks[17:48], twin.landmarks[17:48])
        highest = int(min(first.landmarks[48:68, 1].min(), twin.landmarks[48:68, 1].min()))
        above = slice(0, max(0, highest - 16))
        # a painter's smear and ink look a few pixels around
        np.testing.assert_array_equal(first.image[above], twin.image[above])
        assert np.linalg.norm(twin.landmarks[66] - twin.landmarks[62]) > 3
        assert np.linalg.norm(first.landmarks[66] - first.landmarks[62]) < 0.02
        x1, y1 = np.maximum(twin.landmarks[48:68].min(axis=0).astype(int), 0)
        x2, y2 = twin.landmarks[48:68].max(axis=0).astype(int)
        if min(x2, y2) > 4 and max(x1, y1) < SIZE - 4:
            mouth = (slice(y1, y2), slice(x1, x2))
            assert np.abs(first.image[mouth].astype(int) - twin.image[mouth]).mean() > 2


def test_a_twin_is_what_the_take_alone_would_be(renderer):
    frames, performer = closed_and_open(renderer, 2, lens=Lens(noise=2.0), shadow=0.0)
    motion = random_motion(np.random.default_rng(2), 4)
    alone = film_takes(renderer, performer, motion, [Take.of(np.tile(pose(VISEMES["open"]), (4, 1)))], 5)
    for (_, twin), (shot,) in zip(frames, alone, strict=True):
        np.testing.assert_array_equal(twin.landmarks, shot.landmarks)
        different = np.abs(twin.image.astype(int) - shot.image).max(axis=2) > 3
        assert different.mean() < 0.01


def test_the_lips_have_their_colour(renderer):
    look = plain_look()
    lips = replace(
        look.lips, color=np.array([0.02, 0.02, 0.9]), edge=1.0, inner=0.0, creases=0.0, height=0.2, liner=0.0
    )
    look = replace(look, lips=lips)
    camera = Pose(distance=60)
    with renderer.person(look) as person:
        vertices = person.shape(Mouth({}, 0.0))
        image = renderer.draw(vertices, EVEN, camera, green()).astype(int)
        points = project(person.landmarks(vertices), camera) * SIZE
    x, y = points[[51, 57]].mean(axis=0).astype(int)
    lip = image[y + 4, x]
    assert lip[0] > lip[1] + 40
    assert lip[0] > lip[2] + 40
    cheek = image[int(points[33, 1]), int(points[35, 0]) + 12]
    assert cheek[2] > cheek[0]


def test_drawing_needs_a_person(renderer):
    with pytest.raises(RuntimeError, match="person"):
        renderer.draw(renderer.head.neutral, EVEN, Pose(), green())


def test_a_scene_shows_one_moment_with_several_mouths(renderer):
    from musetalk.synthetic.scenes import FACE_SIZE, render_scene

    scene = render_scene(renderer, [dict(VISEMES[name]) for name in ("rest", "open")], np.random.default_rng(0))
    assert scene.faces.shape == (2, FACE_SIZE, FACE_SIZE, 3)
    assert scene.faces.dtype == np.uint8
    heights = scene.lips[:, 3] - scene.lips[:, 1]
    assert heights[1] > heights[0] + 0.05
    assert scene.lips.min() > -0.2
    assert scene.lips.max() < 1.2


def test_every_performer_type_can_be_filmed(renderer):
    """Whatever is drawn at random, a frame comes out in which the face is neither missing nor black."""
    for seed in range(12):
        performer: Performer = random_shoot(np.random.default_rng((77, seed)), renderer)
        performer = replace(performer, lighting=replace(EVEN, shadow=performer.lighting.shadow))
        image, landmarks = next(film(renderer, performer, rest_pose()[None], np.random.default_rng(0)))
        assert np.isfinite(landmarks).all()
        box = image[slice(*(landmarks[[27, 8], 1].astype(int))), slice(*(landmarks[[36, 45], 0].astype(int)))]
        assert box.size
        assert box.mean() > 12
