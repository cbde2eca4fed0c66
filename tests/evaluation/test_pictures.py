"""Pictures with known faults."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from score_factory import face_of, face_points, texture

from musetalk.evaluation.pictures import (
    BEST_PSNR,
    colour_distance,
    compare,
    laplacian_variance,
    mean_of,
    new_line,
    psnr,
    ratio_of,
    ssim_map,
)
from musetalk.evaluation.regions import mouth_box, regions, replaced_area
from musetalk.evaluation.values import NotMeasurable
from musetalk.face.blending import blend

SIZE = (320, 320)
FACE = face_of(face_points(4, at=(160.0, 110.0)))


@pytest.fixture(scope="module")
def source():
    return texture(size=SIZE)


@pytest.fixture(scope="module")
def parts():
    found = regions((FACE,), SIZE)
    assert found is not None
    return found


def test_regions_lie_in_one_another(parts):
    face, mouth, crop = parts.face, parts.mouth, parts.crop
    assert crop[0] < face[0] < mouth[0] < mouth[2] < face[2] < crop[2]
    assert crop[1] <= face[1] < mouth[1] < mouth[3] < face[3] < crop[3]
    assert parts.inside.shape == parts.edge.shape == (crop[3] - crop[1], crop[2] - crop[0])
    assert parts.inside.any() and parts.edge.any()
    rows = np.flatnonzero(parts.inside.any(axis=1)) + crop[1]
    assert rows.min() > face[1] + 0.3 * (face[3] - face[1])  # the eyes are not replaced


def test_the_mouth_box_covers_the_lips_of_both():
    wide = face_of(face_points(40, at=(160.0, 110.0)))
    alone, both = regions((FACE,), SIZE), regions((FACE, wide), SIZE)
    assert both.mouth[3] > alone.mouth[3]
    assert both.face == alone.face
    assert mouth_box(face_points()[48:68] - 1000, SIZE) is None


def test_a_face_at_the_border_has_regions_inside_the_frame():
    found = regions((face_of(face_points(at=(20.0, 150.0))),), (220, 160))
    assert found.crop[0] == 0 and found.crop[3] <= 220
    assert found.edge.shape == (found.crop[3] - found.crop[1], found.crop[2] - found.crop[0])
    assert regions((face_of(face_points(at=(-500.0, 150.0))),), (220, 160)) is None


def test_equal_frames(source, parts):
    same = compare(source, source, parts)
    assert same.mse_face == same.mse_mouth == same.mse_background == 0
    assert same.ssim_face == same.ssim_mouth == pytest.approx(1)
    assert same.apart_face == same.apart_background == same.line == same.colour == 0
    assert same.edge == same.edge_beside and same.sharpness == same.sharpness_beside
    assert psnr(np.array([same.mse_face])) == BEST_PSNR


def test_a_change_counts_in_its_region_only(source, parts):
    changed = source.copy()
    x1, y1, x2, y2 = parts.mouth
    changed[y1:y2, x1:x2] += 10
    pair = compare(changed, source, parts)
    assert pair.mse_mouth == 100
    assert psnr(np.array([pair.mse_mouth])) == pytest.approx(10 * np.log10(255**2 / 100))
    assert pair.mse_background == pair.apart_background == pair.apart_face == pair.colour == 0
    assert 0 < pair.mse_face < 100
    outside = source.copy()
    outside[:, :20] += 30
    pair = compare(outside, source, parts)
    assert pair.mse_face == 0
    assert 0 < pair.apart_background < 30 and pair.ssim_background < 1 == pytest.approx(pair.ssim_face)


def test_a_pasted_square_gives_a_seam(source, parts):
    """A brighter lower half of the face box: a straight edge of 12 grey levels on three sides."""
    x1, y1, x2, y2 = parts.face
    pasted = source.copy()
    pasted[(y1 + y2) // 2 : y2, x1:x2] += 12
    pair = compare(pasted, source, parts)
    assert pair.line == pytest.approx(12, abs=0.5)
    assert np.sqrt(pair.edge / pair.edge_beside) > 1.15
    assert pair.colour > 3


def test_a_square_blended_softly_gives_less_of_a_seam_than_a_hard_one(source, parts):
    square = parts.crop
    alpha = replaced_area(FACE, parts.face, square, SIZE)
    cut = np.where(alpha < 128, 0, 255).astype(np.uint8)
    brighter = source[square[1] : square[3], square[0] : square[2]] + 12
    soft, hard = (compare(blend(source, brighter, square, square, mask), source, parts) for mask in (alpha, cut))
    assert hard.edge - hard.edge_beside > 3 * (soft.edge - soft.edge_beside) > 0
    assert soft.line < 0.5 * hard.line
    assert soft.colour == pytest.approx(hard.colour, rel=0.15) and soft.colour > 3


def test_noise_is_no_straight_edge(source, parts):
    noisy = np.clip(source + np.random.default_rng(1).normal(0, 4, source.shape), 0, 255).astype(np.uint8)
    assert compare(noisy, source, parts).line < 2.5


def test_lines_inside_the_mouth_do_not_count(parts):
    difference = np.zeros(SIZE, np.float32)
    x1, y1, x2, y2 = parts.mouth
    difference[y1 + 3 : y2 - 3, x1:x2] = 50
    assert new_line(difference, parts.face, parts.mouth) == 0


def test_a_blurred_mouth_is_less_sharp(source, parts):
    blurred = source.copy()
    x1, y1, x2, y2 = parts.mouth
    blurred[y1:y2, x1:x2] = cv2.GaussianBlur(source, (0, 0), 2)[y1:y2, x1:x2]
    pair = compare(blurred, source, parts)
    assert pair.sharpness < 0.1 * pair.sharpness_beside
    assert laplacian_variance(np.full((9, 9), 7, np.float32)) == 0


def test_colour_distance_is_that_of_cie_1976():
    grey = np.full((4, 4, 3), 119, np.uint8)
    lighter = np.full((4, 4, 3), 143, np.uint8)
    where = np.ones((4, 4), bool)
    # L* of sRGB grey 119 is 50.03, of 143 59.40.
    assert colour_distance(grey, lighter, where) == pytest.approx(9.37, abs=0.05)
    assert np.isnan(colour_distance(grey, lighter, ~where))


def test_ssim_of_flat_pictures_follows_from_their_means():
    first, second = np.full((20, 20), 100, np.float32), np.full((20, 20), 120, np.float32)
    expected = (2 * 100 * 120 + 6.5025) / (100**2 + 120**2 + 6.5025)
    assert ssim_map(first, second) == pytest.approx(expected, abs=1e-4)


def test_ssim_equals_scikit_image_s_definition_at_a_pixel():
    rng = np.random.default_rng(0)
    first, second = (rng.uniform(0, 255, (11, 11)).astype(np.float32) for _ in range(2))
    weights = np.outer(*[cv2.getGaussianKernel(11, 1.5)[:, 0]] * 2)
    mean = [(weights * image).sum() for image in (first, second)]
    variance = [(weights * (image - m) ** 2).sum() for image, m in zip((first, second), mean, strict=True)]
    covariance = (weights * (first - mean[0]) * (second - mean[1])).sum()
    c1, c2 = 6.5025, 58.5225
    expected = (2 * mean[0] * mean[1] + c1) * (2 * covariance + c2)
    expected /= (mean[0] ** 2 + mean[1] ** 2 + c1) * (variance[0] + variance[1] + c2)
    assert ssim_map(first, second)[5, 5] == pytest.approx(expected, rel=1e-3)


def test_means_pass_over_frames_without_a_value():
    assert mean_of(np.array([1.0, np.nan, 3.0])) == 2
    assert ratio_of(np.array([4.0, 9.0, np.nan]), np.array([2.0, np.nan, 5.0])) == 2
    assert ratio_of(np.array([4.0]), np.array([1.0]), root=True) == 2
    for nothing in (np.array([np.nan]), np.array([])):
        with pytest.raises(NotMeasurable):
            mean_of(nothing)
    with pytest.raises(NotMeasurable, match="smooth"):
        ratio_of(np.array([4.0]), np.array([0.0]))
