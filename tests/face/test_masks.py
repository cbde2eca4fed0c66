"""Crop geometry and masks against the published numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from musetalk.errors import ConfigError
from musetalk.face.masks import cheek_kernel, crop_box, cut_crop, jaw_kernel, parsing_mask, resize_mask

GOLDEN = Path(__file__).parents[1] / "data/golden"


@pytest.fixture(scope="module")
def parsing() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "parsing_masks.npz") as data:
        return dict(data)


def test_kernels(parsing: dict[str, np.ndarray]) -> None:
    assert np.array_equal(jaw_kernel(), parsing["jaw_kernel"])
    assert np.array_equal(cheek_kernel(), parsing["cheek_kernel"])


def test_masks_equal_the_published_ones(parsing: dict[str, np.ndarray]) -> None:
    for case in json.loads(str(parsing["cases"])):
        number = case["case"]
        mask = parsing_mask(
            parsing[f"labels_{number}"], case["mode"], case["left_cheek_width"], case["right_cheek_width"]
        )
        assert np.array_equal(mask, parsing[f"mask_{number}"]), case


def test_jaw_grows_to_the_last_row() -> None:
    labels = np.zeros((512, 512), np.uint8)
    labels[511, 256] = 1
    rows = np.flatnonzero(parsing_mask(labels, "jaw", 500, 500)[:, 256])
    assert rows.tolist() == list(range(511 - 16, 512))


def test_unknown_mode_is_named() -> None:
    with pytest.raises(ConfigError, match="chin"):
        parsing_mask(np.zeros((512, 512), np.uint8), "chin")


def test_crop_box_equals_the_published_one() -> None:
    with np.load(GOLDEN / "blending.npz") as data:
        cases = json.loads(str(data["cases"]))
    for case in cases:
        assert list(crop_box(tuple(case["box"]))) == case["crop_box"]


def test_a_crop_outside_the_frame_is_black() -> None:
    frame = np.full((10, 12, 3), 7, np.uint8)
    crop = cut_crop(frame, (-3, 6, 5, 14))
    assert crop.shape == (8, 8, 3)
    assert (crop[:4, 3:] == 7).all()
    crop[:4, 3:] = 0
    assert not crop.any()
    assert not cut_crop(frame, (20, 20, 24, 24)).any()
    assert (frame == 7).all()


def test_resized_mask_has_the_crops_size() -> None:
    mask = np.zeros((512, 512), np.uint8)
    mask[256:] = 255
    resized = resize_mask(mask, 90, 91)
    assert resized.shape == (91, 90) and resized[80, 40] == 255 and resized[10, 40] == 0
