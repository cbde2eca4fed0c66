"""Alpha masks and compositing against the published numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from musetalk.face.blending import blend, blend_mask, blur_kernel_size
from musetalk.face.masks import crop_box, parsing_mask, resize_mask

GOLDEN = Path(__file__).parents[1] / "data/golden/blending.npz"


def difference(a: np.ndarray, b: np.ndarray) -> int:
    assert a.shape == b.shape and a.dtype == b.dtype == np.uint8
    return int(np.abs(a.astype(int) - b).max())


def test_blending_equals_the_published_one() -> None:
    with np.load(GOLDEN) as data:
        for case in json.loads(str(data["cases"])):
            number, box = case["case"], tuple(case["box"])
            crop = crop_box(box)
            frame, face = data[f"frame_{number}"], data[f"face_{number}"]
            mask = parsing_mask(data[f"labels_{number}"], case["mode"])
            mask = resize_mask(mask, crop[2] - crop[0], crop[3] - crop[1])
            offline = blend_mask(mask, box, crop, case["upper_boundary_ratio"], "offline")
            prepared = blend_mask(mask, box, crop, case["upper_boundary_ratio"], "prepared")
            assert difference(prepared, data[f"mask_realtime_{number}"]) <= 1
            assert difference(blend(frame, face, box, crop, offline), data[f"offline_{number}"]) <= 1
            assert difference(blend(frame, face, box, crop, prepared), data[f"realtime_{number}"]) <= 1


@pytest.fixture
def frame() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (160, 200, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "box",
    [(75, 45, 145, 130), (-20, 5, 40, 75), (150, 100, 230, 190), (0, 0, 200, 160), (300, 9, 340, 60), (-90, 3, -5, 60)],
)
def test_pixels_without_alpha_stay_as_they_are(frame: np.ndarray, box: tuple[int, int, int, int]) -> None:
    crop = crop_box(box)
    side = crop[2] - crop[0]
    rng = np.random.default_rng(1)
    alpha = blend_mask(rng.integers(0, 2, (side, side), dtype=np.uint8) * 255, box, crop)
    before = frame.copy()
    out = blend(frame, np.full((256, 256, 3), 128, np.uint8), box, crop, alpha)
    assert np.array_equal(frame, before) and out is not frame
    in_frame = np.zeros(frame.shape[:2], np.uint8)
    for y in range(max(crop[1], 0), min(crop[3], frame.shape[0])):
        for x in range(max(crop[0], 0), min(crop[2], frame.shape[1])):
            if box[0] <= x < box[2] and box[1] <= y < box[3]:
                in_frame[y, x] = alpha[y - crop[1], x - crop[0]]
    assert np.array_equal(out[in_frame == 0], frame[in_frame == 0])
    full = in_frame == 255
    assert (out[full] == 128).all()
    mixed = (in_frame[..., None] * 128.0 + (255.0 - in_frame[..., None]) * frame) / 255
    assert np.abs(out - mixed).max() <= 0.51


def test_nothing_above_the_upper_boundary() -> None:
    box = (20, 20, 60, 70)
    crop = crop_box(box)
    side = crop[2] - crop[0]
    full = np.full((side, side), 255, np.uint8)
    reach = blur_kernel_size(side) // 2
    alpha = blend_mask(full, box, crop, upper_boundary_ratio=0.6)
    assert not alpha[: int(side * 0.6) - reach].any() and alpha[int(side * 0.6) + reach].any()


def test_inside_box_fades_out_before_the_edge() -> None:
    box = (100, 100, 400, 450)
    crop = crop_box(box)
    side = crop[2] - crop[0]
    full = np.full((side, side), 255, np.uint8)
    published = blend_mask(full, box, crop)
    inside = blend_mask(full, box, crop, chin_margin=0)
    bottom, left, middle = box[3] - 1 - crop[1], box[0] - crop[0], side // 2
    assert published[bottom, middle] > 100 and published[bottom - 30, left] > 100
    assert inside[bottom, middle] <= 3 and inside[bottom - 30, left] <= 3
    assert inside[bottom - 60, middle] == 255


def test_all_of_the_chin_is_replaced_and_the_mask_fades_out_below_it() -> None:
    box, margin = (100, 100, 400, 450), 12
    crop = crop_box(box)
    side = crop[2] - crop[0]
    full = np.full((side, side), 255, np.uint8)
    alpha = blend_mask(full, box, crop, chin_margin=margin)
    bottom, middle = box[3] - crop[1], side // 2
    column = alpha[:, middle].astype(int)
    assert (column[bottom - 60 : bottom - margin] == 255).all() and not column[bottom:].any()
    assert (np.diff(column[bottom - margin : bottom]) < 0).all() and column[bottom - 1] < 15
    beside = blend_mask(full, box, crop, chin_margin=0)
    assert np.array_equal(alpha[: bottom - 60], beside[: bottom - 60])


def test_blur_kernels_are_odd_and_published() -> None:
    assert [blur_kernel_size(side) for side in (126, 450, 10)] == [7, 23, 1]
    assert [blur_kernel_size(side, "prepared") for side in (126, 450, 10)] == [13, 45, 1]


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="crop of 126 rows"):
        blend_mask(np.zeros((10, 10), np.uint8), (75, 45, 145, 130), (47, 24, 173, 150))
