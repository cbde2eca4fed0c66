"""What is measured between a generated frame and the frame beside it: likeness, seams, colour, sharpness."""

from __future__ import annotations

from dataclasses import dataclass, fields

import cv2
import numpy as np

from musetalk.evaluation.regions import Regions, cut_box, relative_to
from musetalk.evaluation.values import NotMeasurable
from musetalk.face.landmarks import Box

SSIM_SIDE, SSIM_SIGMA = 11, 1.5
"""Window of Wang et al. 2004."""
SSIM_C1, SSIM_C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
BEST_PSNR = 100.0
"""Decibel given to equal pictures, whose PSNR has no bound."""
_XYZ_OF_RGB = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
"""Of linear sRGB (IEC 61966-2-1)."""
LINE_REACH = 0.1
"""How far beyond the face box straight seams are looked for, in shares of its side."""
LINE_SHARE = 0.4
"""Share of the face box's width or height that a straight seam must have free of the mouth."""


@dataclass(frozen=True)
class FramePair:
    """Numbers of one generated frame and the frame beside it; NaN where a region has no pixel.

    Attributes:
        mse_face, mse_mouth, mse_background: Mean squared difference over all pixels and colours, grey levels².
        ssim_face, ssim_mouth, ssim_background: Structural similarity of the grey pictures, mean over the region.
        apart_face: Mean absolute difference in the face box outside the mouth box, grey levels.
        apart_background: The same in the background.
        edge, edge_beside: Mean squared gradient of the grey picture along the mask's edge, (grey levels per pixel)².
        line: Strongest straight edge that the frame beside does not have, grey levels.
        colour: Distance of the mean colours inside the mask without the mouth, CIE 1976 ΔE.
        sharpness, sharpness_beside: Variance of the Laplacian of the grey picture in the mouth box, grey levels².
    """

    mse_face: float
    mse_mouth: float
    mse_background: float
    ssim_face: float
    ssim_mouth: float
    ssim_background: float
    apart_face: float
    apart_background: float
    edge: float
    edge_beside: float
    line: float
    colour: float
    sharpness: float
    sharpness_beside: float


UNKNOWN = FramePair(**dict.fromkeys((field.name for field in fields(FramePair)), float("nan")))
"""Of a frame without a face or a partner."""


def compare(frame: np.ndarray, beside: np.ndarray, parts: Regions) -> FramePair:
    """Measure one pair of frames.

    Args:
        frame, beside: (H, W, 3) uint8 BGR of one size.
        parts: Regions of the frame beside.
    """
    difference = np.abs(frame.astype(np.int16) - beside)
    squared = np.square(difference, dtype=np.float32).mean(axis=2)
    absolute = difference.mean(axis=2, dtype=np.float32)
    grey, grey_beside = (cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32) for image in (frame, beside))
    likeness = ssim_map(grey, grey_beside)
    crop, crop_beside = cut_box(grey, parts.crop), cut_box(grey_beside, parts.crop)
    return FramePair(
        mse_face=_mean(cut_box(squared, parts.face)),
        mse_mouth=_mean(cut_box(squared, parts.mouth)),
        mse_background=_mean_outside(squared, parts.crop),
        ssim_face=_mean(cut_box(likeness, parts.face)),
        ssim_mouth=_mean(cut_box(likeness, parts.mouth)),
        ssim_background=_mean_outside(likeness, parts.crop),
        apart_face=_mean_outside(cut_box(absolute, parts.face), relative_to(parts.mouth, parts.face)),
        apart_background=_mean_outside(absolute, parts.crop),
        edge=_mean(squared_gradient(crop)[parts.edge]),
        edge_beside=_mean(squared_gradient(crop_beside)[parts.edge]),
        line=new_line(grey - grey_beside, parts.face, parts.mouth),
        colour=colour_distance(cut_box(frame, parts.crop), cut_box(beside, parts.crop), parts.inside),
        sharpness=laplacian_variance(cut_box(grey, parts.mouth)),
        sharpness_beside=laplacian_variance(cut_box(grey_beside, parts.mouth)),
    )


def ssim_map(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """SSIM of every pixel of two (h, w) float32 pictures of 0…255, as Wang et al. 2004; edges are mirrored."""

    def blur(image: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(image, (SSIM_SIDE, SSIM_SIDE), SSIM_SIGMA)

    mean_first, mean_second = blur(first), blur(second)
    variance_first = blur(first * first) - mean_first * mean_first
    variance_second = blur(second * second) - mean_second * mean_second
    covariance = blur(first * second) - mean_first * mean_second
    above = (2 * mean_first * mean_second + SSIM_C1) * (2 * covariance + SSIM_C2)
    below = (mean_first**2 + mean_second**2 + SSIM_C1) * (variance_first + variance_second + SSIM_C2)
    return above / below


def squared_gradient(grey: np.ndarray) -> np.ndarray:
    """(h, w) squared length of the central-difference gradient, (grey levels per pixel)²."""
    down, across = np.gradient(grey) if min(grey.shape) > 1 else (np.zeros_like(grey), np.zeros_like(grey))
    return down * down + across * across


def new_line(difference: np.ndarray, face: Box, mouth: Box) -> float:
    """The strongest straight edge, upright or level, that one picture has and the other has not.

    At every row boundary the step of the difference from one row to the next is averaged over the width of the face
    box; an edge that runs across stays, texture and noise cancel. The same for columns over the box's lower half, where
    faces are replaced. The mouth box is left out: lips differ.

    Args:
        difference: (H, W) float, one grey picture minus the other.
        face, mouth: Boxes.

    Returns:
        Grey levels, the largest mean step; 0 where the box is too small.
    """
    x1, y1, x2, y2 = face
    free = np.ones(difference.shape, bool)
    free[mouth[1] : mouth[3], mouth[0] : mouth[2]] = False
    reach_x, reach_y = round(LINE_REACH * (x2 - x1)), round(LINE_REACH * (y2 - y1))
    rows = slice(max(y1 - reach_y, 0), y2 + reach_y), slice(x1, x2)
    columns = slice((y1 + y2) // 2, y2), slice(max(x1 - reach_x, 0), x2 + reach_x)
    level = _steps(difference[rows], free[rows])
    upright = _steps(difference[columns].T, free[columns].T)
    return max(level, upright)


def _steps(picture: np.ndarray, free: np.ndarray) -> float:
    """Largest absolute mean step from one row to the next, over the columns that are free in both."""
    usable = free[1:] & free[:-1]
    counts = usable.sum(axis=1)
    enough = counts >= max(LINE_SHARE * picture.shape[1], 2)
    if not enough.any():
        return 0.0
    sums = (np.diff(picture, axis=0) * usable).sum(axis=1)
    return float(np.abs(sums[enough] / counts[enough]).max())


def colour_distance(first: np.ndarray, second: np.ndarray, where: np.ndarray) -> float:
    """CIE 1976 ΔE of the mean L*a*b* colours of two (h, w, 3) uint8 BGR pictures over a mask; NaN without pixels."""
    if not where.any():
        return float("nan")
    return float(np.linalg.norm(lab(first[where]).mean(axis=0) - lab(second[where]).mean(axis=0)))


def lab(pixels: np.ndarray) -> np.ndarray:
    """L*, a*, b* (n, 3) float64 of sRGB pixels (n, 3) uint8 BGR, D65. OpenCV's own table is off by up to 0.2."""
    curved = np.arange(256) / 255
    straight = np.where(curved <= 0.04045, curved / 12.92, ((curved + 0.055) / 1.055) ** 2.4)
    ratios = straight[pixels[:, ::-1]] @ (_XYZ_OF_RGB / _XYZ_OF_RGB.sum(axis=1, keepdims=True)).T
    x, y, z = np.where(ratios > (6 / 29) ** 3, np.cbrt(ratios), ratios / (3 * (6 / 29) ** 2) + 4 / 29).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def laplacian_variance(grey: np.ndarray) -> float:
    """Variance of the Laplacian (4 neighbours) of a (h, w) picture, grey levels²: how much fine detail it has."""
    return float(cv2.Laplacian(np.ascontiguousarray(grey), cv2.CV_32F).var())


def psnr(squared_errors: np.ndarray) -> float:
    """Decibel of the mean of per-frame mean squared errors against a peak of 255; equal pictures: 100.

    Raises:
        NotMeasurable: No frame has one.
    """
    error = mean_of(squared_errors)
    return BEST_PSNR if error == 0 else min(float(10 * np.log10(255**2 / error)), BEST_PSNR)


def mean_of(curve: np.ndarray) -> float:
    """Mean over the frames that have a value.

    Raises:
        NotMeasurable: No frame has one.
    """
    known = curve[np.isfinite(curve)]
    if not len(known):
        raise NotMeasurable("no frame of the pair has a face and this region")
    return float(known.mean())


def ratio_of(curve: np.ndarray, beside: np.ndarray, root: bool = False) -> float:
    """Mean of one curve over the mean of the other, in the frames that have both; its square root on demand.

    Raises:
        NotMeasurable: No frame has both, or the other is zero throughout.
    """
    both = np.isfinite(curve) & np.isfinite(beside)
    below = mean_of(beside[both])
    if below <= 0:
        raise NotMeasurable("the source is perfectly smooth there")
    ratio = mean_of(curve[both]) / below
    return float(np.sqrt(ratio)) if root else ratio


def _mean(values: np.ndarray) -> float:
    return float(values.mean(dtype=np.float64)) if values.size else float("nan")


def _mean_outside(picture: np.ndarray, box: Box) -> float:
    """Mean over the pixels outside a box (clipped to the picture), NaN where there are none."""
    x1, y1, x2, y2 = max(box[0], 0), max(box[1], 0), max(box[2], 0), max(box[3], 0)
    inner = picture[y1:y2, x1:x2]
    count = picture.size - inner.size
    if count == 0:
        return float("nan")
    return float((picture.sum(dtype=np.float64) - inner.sum(dtype=np.float64)) / count)
