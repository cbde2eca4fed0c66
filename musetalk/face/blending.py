"""Putting a generated face back into its frame: the alpha mask (once per source frame) and the compositing."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from musetalk.face.landmarks import Box

Blur = Literal["offline", "prepared"]
BLUR_FRACTION: dict[Blur, float] = {"offline": 0.05, "prepared": 0.1}
"""Blur kernel over the crop's side, published: offline dubbing and prepared avatars."""
UPPER_BOUNDARY_RATIO = 0.5
"""Published: rows of the crop above this share of its height keep the original."""


def blur_kernel_size(side: int, blur: Blur = "offline") -> int:
    """Odd Gaussian kernel size in pixels for a crop `side` pixels wide, published."""
    return int(BLUR_FRACTION[blur] * side // 2 * 2) + 1


def blend_mask(
    mask: np.ndarray,
    box: Box,
    crop_box: Box,
    upper_boundary_ratio: float = UPPER_BOUNDARY_RATIO,
    blur: Blur = "offline",
    *,
    chin_margin: int | None = None,
) -> np.ndarray:
    """The alpha mask of a crop from the parser's mask.

    Args:
        mask: (crop height, crop width) uint8 0…255, the parser's.
        box: face box in frame pixels.
        crop_box: crop box in frame pixels.
        upper_boundary_ratio: share of the crop's height, from the top, that keeps the original.
        blur: which of the published blur widths.
        chin_margin: None as published: the mask is cut at the box and then blurred, so alpha is still about one half
            on a box edge that it reaches, a seam. Otherwise it fades out inside the box: at the sides it is cut half a
            kernel further in, and below in these pixels, those that the box reaches below the chin. All of the chin is
            replaced then; that of an open mouth would else be seen below one that is shut. 0: below as at the sides.

    Returns:
        (crop height, crop width) uint8 alpha.
    """
    x1, y1, x2, y2 = crop_box
    height, width = y2 - y1, x2 - x1
    if mask.shape != (height, width):
        raise ValueError(f"mask of shape {mask.shape} for a crop of {height} rows and {width} columns")
    kernel = blur_kernel_size(width, blur)
    inset = 0 if chin_margin is None else kernel // 2
    left, right = max(box[0] - x1 + inset, 0), max(min(box[2] - x1 - inset, width), 0)
    top = max(box[1] - y1, int(height * upper_boundary_ratio), 0)
    bottom = height if chin_margin else max(min(box[3] - y1 - inset, height), 0)
    alpha = np.zeros((height, width), np.uint8)
    alpha[top:bottom, left:right] = mask[top:bottom, left:right]
    blurred: np.ndarray = cv2.GaussianBlur(alpha, (kernel, kernel), 0)
    if not chin_margin:
        return blurred
    fading = np.clip((box[3] - y1 - np.arange(0.5, height)) / chin_margin, 0, 1)
    return np.rint(blurred * fading[:, None]).astype(np.uint8)


def blend(
    frame: np.ndarray,
    generated_face: np.ndarray,
    box: Box,
    crop_box: Box,
    alpha: np.ndarray,
) -> np.ndarray:
    """A copy of `frame` with the generated face in `box`, weighted by `alpha`.

    Args:
        frame: (H, W, 3) uint8 BGR.
        generated_face: (h, w, 3) uint8 BGR of any size, scaled to the box (bilinear).
        box: face box in frame pixels; parts outside the frame are left out.
        crop_box: where `alpha` lies in the frame.
        alpha: (crop height, crop width) uint8; 0 keeps the frame's pixel exactly, 255 takes the face's.

    Returns:
        (H, W, 3) uint8 BGR.
    """
    out = frame.copy()
    left, top = max(box[0], crop_box[0], 0), max(box[1], crop_box[1], 0)
    right, bottom = min(box[2], crop_box[2], frame.shape[1]), min(box[3], crop_box[3], frame.shape[0])
    if left >= right or top >= bottom:
        return out
    weights = alpha[top - crop_box[1] : bottom - crop_box[1], left - crop_box[0] : right - crop_box[0]]
    used_x, used_y, used_width, used_height = cv2.boundingRect(weights)
    if not used_width:
        return out
    left, top = left + used_x, top + used_y
    right, bottom = left + used_width, top + used_height
    weights = weights[used_y : used_y + used_height, used_x : used_x + used_width]

    size = box[2] - box[0], box[3] - box[1]
    if generated_face.shape[1::-1] != size:
        generated_face = cv2.resize(generated_face, size, interpolation=cv2.INTER_LINEAR)
    new = generated_face[top - box[1] : bottom - box[1], left - box[0] : right - box[0]]
    old = out[top:bottom, left:right]
    # Whole-number alpha compositing, rounded to nearest; 255 · 255 + 128 and its last step still fit in 16 bits.
    weight = cv2.merge([weights] * 3).astype(np.uint16)
    total = new * weight + old * (255 - weight) + np.uint16(128)
    out[top:bottom, left:right] = (total + (total >> 8)) >> 8
    return out
