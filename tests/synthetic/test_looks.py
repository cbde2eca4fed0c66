"""Random people, lights, lenses and movements: seeded, varied, and within what can be drawn."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from musetalk.synthetic.appearance import random_look
from musetalk.synthetic.backgrounds import dead_leaves, random_background
from musetalk.synthetic.lens import Lens, apply_lens, blur_motion, paint_over, random_lens
from musetalk.synthetic.lighting import random_lighting
from musetalk.synthetic.looks import HAIR_KINDS, NECKLINES, StyleLook
from musetalk.synthetic.motion import KINDS, blinks, random_motion


def flat(value):
    """All numbers of nested dataclasses."""
    if hasattr(value, "__dataclass_fields__"):
        return np.concatenate([flat(getattr(value, field.name)) for field in fields(value)])
    if isinstance(value, dict):
        return np.array(list(value.values()), float)
    if value is None or isinstance(value, str):
        return np.zeros(0)
    return np.atleast_1d(np.asarray(value, float)).ravel()


def picture(seed=0, size=64):
    return dead_leaves(np.random.default_rng(seed), size, 60)


def test_a_look_is_decided_by_its_seed():
    first, again, other = (flat(random_look(np.random.default_rng(seed), 5)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[:5], other[:5])


def test_people_are_of_many_kinds():
    looks = [random_look(np.random.default_rng(seed), 3) for seed in range(300)]
    assert {look.hair.kind for look in looks} == set(HAIR_KINDS)
    assert {look.cloth.neckline for look in looks} == set(NECKLINES)
    assert 0.15 < np.mean([look.style.toon > 0 for look in looks]) < 0.4
    assert 0.1 < np.mean([look.props.glasses is not None for look in looks]) < 0.3
    assert 0.2 < np.mean([max(look.beard.stubble, look.beard.chin, look.beard.moustache) > 0 for look in looks]) < 0.5
    brightness = np.array([look.skin.tone.mean() for look in looks])
    assert np.quantile(brightness, 0.9) > 5 * np.quantile(brightness, 0.1)
    contrast = [np.abs(look.lips.color - look.skin.tone).mean() / look.skin.tone.mean() for look in looks]
    assert np.quantile(contrast, 0.1) < 0.15 < 0.5 < np.quantile(contrast, 0.9)


def test_colours_are_light():
    for seed in range(100):
        look = random_look(np.random.default_rng(seed), 3)
        for color in (look.skin.tone, look.lips.color, look.hair.color, look.teeth.color, look.eyes.iris):
            assert color.min() > 0
            assert color.max() <= 1
        lighting = random_lighting(np.random.default_rng(seed))
        np.testing.assert_allclose(np.linalg.norm(lighting.directions, axis=1), 1)
        assert lighting.colors.min() >= 0
        assert lighting.colors[0].max() + lighting.sky.max() > 0.3


def test_a_plain_lens_and_style_leave_the_picture():
    image = picture()
    assert np.abs(apply_lens(image, Lens(), np.random.default_rng(0)).astype(int) - image).max() <= 1
    np.testing.assert_array_equal(paint_over(image, StyleLook()), image)
    np.testing.assert_array_equal(blur_motion(image, (0.3, 0.2)), image)


@pytest.mark.parametrize(
    "lens",
    [Lens(noise=3.0), Lens(blur=1.0), Lens(jpeg=60), Lens(low_resolution=0.6), Lens(vignette=0.5), Lens(contrast=0.8)],
)
def test_a_lens_changes_the_picture_alike_for_a_seed(lens):
    image = picture()
    first, again = (apply_lens(image, lens, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == image.shape
    assert first.dtype == np.uint8
    assert 0.5 < np.abs(first.astype(int) - image).mean() < 40


def test_noise_has_its_deviation_and_differs_from_frame_to_frame():
    grey = np.full((64, 64, 3), 128, np.uint8)
    first, second = (apply_lens(grey, Lens(noise=4.0, color_noise=0.0), np.random.default_rng(s)) for s in (1, 2))
    assert first.std() == pytest.approx(4, rel=0.15)
    np.testing.assert_array_equal(first[..., 0], first[..., 1])
    assert not np.array_equal(first, second)


def test_painters_flatten_and_band():
    image = picture()
    smeared = paint_over(image, StyleLook(smear=3))
    calm = np.abs(np.diff(smeared.astype(int), axis=0)) < 3
    assert calm.mean() > (np.abs(np.diff(image.astype(int), axis=0)) < 3).mean()
    assert len(np.unique(paint_over(image, StyleLook(levels=5)))) < 0.6 * len(np.unique(image))
    inked = paint_over(image, StyleLook(outlook=0.9))
    assert (inked <= image).all()
    assert inked.mean() < image.mean()


def test_motion_blurs_along_its_way():
    dot = np.zeros((33, 33, 4), np.uint8)
    dot[16, 16] = 255
    blurred = blur_motion(dot, (8.0, 0.0))[..., 0]
    rows, columns = np.nonzero(blurred)
    assert np.ptp(columns) >= 6
    assert np.ptp(rows) <= 2


def test_lenses_and_backgrounds_are_seeded():
    first, again = (random_lens(np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(flat(first), flat(again))
    for seed in range(12):
        one, two = (random_background(np.random.default_rng(seed), 48) for _ in range(2))
        np.testing.assert_array_equal(one, two)
        assert one.shape == (48, 48, 3)
        assert one.dtype == np.uint8


def test_motion_is_smooth_and_of_every_kind():
    kinds = set()
    for seed in range(60):
        motion = random_motion(np.random.default_rng(seed), 100, np.linspace(0, 1, 100))
        kinds.add(motion.kind)
        assert all(len(getattr(motion, field.name)) == 100 for field in fields(motion) if field.name != "kind")
        assert np.abs(np.diff(motion.yaw)).max() < 0.15
        assert np.abs(motion.yaw).max() < 1.2
        assert motion.nearer.min() > 0.6
        assert 0 <= motion.lids.min() <= motion.lids.max() <= 1
    assert kinds == set(KINDS)


def test_still_heads_move_less_than_lively_ones():
    moved = {"still": [], "lively": []}
    for seed in range(120):
        motion = random_motion(np.random.default_rng(seed), 100)
        if motion.kind in moved:
            moved[motion.kind].append(np.ptp(motion.yaw))
    assert max(moved["still"]) < np.median(moved["lively"])


def test_blinks_shut_the_eyes_for_a_moment():
    lids = blinks(np.random.default_rng(2), 500)
    shut = lids > 0.9
    assert 3 <= np.count_nonzero(np.diff(shut.astype(int)) == 1) <= 25
    assert shut.mean() < 0.2
    assert (lids == 0).mean() > 0.5


def test_replacing_a_style_keeps_the_person():
    look = random_look(np.random.default_rng(1), 4)
    np.testing.assert_array_equal(replace(look, style=StyleLook()).identity, look.identity)
