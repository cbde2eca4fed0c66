"""Which pixels of the face region are replaced: crop for the parser and masks from its class map."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

from musetalk.errors import ConfigError
from musetalk.face.landmarks import Box

PARSING_SIZE = 512
"""Side of the class map, published."""
CROP_EXPAND = 1.5
"""Side of the crop for parsing over the longer side of the face box, published."""

# Classes of the published face parser (CelebAMask-HQ, 19 classes).
SKIN, NOSE, MOUTH, UPPER_LIP, LOWER_LIP, NECK = 1, 10, 11, 12, 13, 14
LIPS_AND_MOUTH = (MOUTH, UPPER_LIP, LOWER_LIP)
PARSING_MODES = ("raw", "jaw", "neck")

DEFAULT_CHEEK_WIDTH = 90
"""Published for v1.5 inference, in pixels of the class map."""


def crop_box(box: Box, expand: float = CROP_EXPAND) -> Box:
    """The square around the face box that parser and blending work on; it may leave the image."""
    x1, y1, x2, y2 = box
    centre_x, centre_y = (x1 + x2) // 2, (y1 + y2) // 2
    half = int(max(x2 - x1, y2 - y1) // 2 * expand)
    return centre_x - half, centre_y - half, centre_x + half, centre_y + half


def cut_crop(frame: np.ndarray, crop: Box) -> np.ndarray:
    """Pixels of `crop` as a new array (H, W, ...); black where it leaves the frame."""
    x1, y1, x2, y2 = crop
    out = np.zeros((y2 - y1, x2 - x1, *frame.shape[2:]), frame.dtype)
    height, width = frame.shape[:2]
    left, top, right, bottom = max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)
    if left < right and top < bottom:
        out[top - y1 : bottom - y1, left - x1 : right - x1] = frame[top:bottom, left:right]
    return out


def jaw_kernel() -> np.ndarray:
    """(33, 33) uint8 0/1: a cone in rows 10–20 (1 to 21 wide) on a column of rows 21–32 (21 wide), published."""
    kernel = np.zeros((33, 33), np.uint8)
    for row in range(10, 33):
        half = min(row - 10, 10)
        kernel[row, 16 - half : 16 + half + 1] = 1
    return kernel


def cheek_kernel() -> np.ndarray:
    """(3, 35) uint8 0/1 ellipse, published."""
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (35, 3))


def check_parsing_mode(mode: str) -> None:
    """Raises ConfigError for a mode that is not one of `PARSING_MODES`."""
    if mode not in PARSING_MODES:
        raise ConfigError(f"unknown parsing mode {mode!r}", f"use one of {', '.join(PARSING_MODES)}")


def parsing_mask(
    labels: np.ndarray,
    mode: str = "jaw",
    left_cheek_width: int = DEFAULT_CHEEK_WIDTH,
    right_cheek_width: int = DEFAULT_CHEEK_WIDTH,
) -> np.ndarray:
    """The mask of the pixels to replace, from a class map.

    Args:
        labels: (512, 512) integer classes 0…18.
        mode: `raw` skin, mouth and lips (v1.0); `neck` those and the neck; `jaw` (v1.5) skin grown by the jaw kernel
            and pared at the cheeks, without the nose, and mouth and lips.
        left_cheek_width: `jaw`: the skin is pared further than this left of the centre (class map pixels).
        right_cheek_width: the same to the right.

    Returns:
        (512, 512) uint8, 0 or 255.

    Raises:
        ConfigError: unknown mode.
    """
    check_parsing_mode(mode)
    kept = [*LIPS_AND_MOUTH, *([] if mode == "jaw" else [SKIN]), *([NECK] if mode == "neck" else [])]
    table = np.zeros(256, np.uint8)
    table[kept] = 255
    labels = labels.astype(np.uint8, copy=False)
    mask = cv2.LUT(labels, table)
    if mode == "jaw":
        region = _jaw_region(labels, left_cheek_width, right_cheek_width)
        region[labels == NOSE] = 0
        mask = cv2.bitwise_or(mask, region)
    return mask


def _jaw_region(labels: np.ndarray, left_cheek_width: int, right_cheek_width: int) -> np.ndarray:
    skin = (labels == SKIN).astype(np.uint8) * 255
    # Cone and column apart: OpenCV dilates by a rectangle separably, which makes the whole twice as fast. The column's
    # rows lie 4 to 16 below the centre: a centred column of 13 rows, read 10 rows further down.
    cone = cv2.dilate(skin, jaw_kernel()[10:20], anchor=(16, 6))
    column = cv2.dilate(np.pad(skin, ((0, 10), (0, 0))), np.ones((13, 21), np.uint8))[10:]
    grown = cv2.max(cone, column)
    pared = cv2.erode(grown, cheek_kernel(), iterations=2)
    centre = labels.shape[1] // 2
    left, right = max(centre - left_cheek_width + 1, 0), max(centre + right_cheek_width, 0)  # both columns are pared
    grown[:, :left] = pared[:, :left]
    grown[:, right:] = pared[:, right:]
    return grown


def resize_mask(mask: np.ndarray, width: int, height: int) -> np.ndarray:
    """`mask` (h, w) uint8 scaled as published: Pillow, bicubic."""
    if mask.shape == (height, width):
        return mask
    return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.BICUBIC))
