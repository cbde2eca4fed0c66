"""What a refiner found for a face, applied to it at the size of its frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

FIRST_ROW = 0.375
"""Share of a face's height above which nothing is refined: well above what is painted, the lower half."""


def first_row(height: int) -> int:
    """The first of `height` rows, of pixels or latents, that is refined."""
    return round(FIRST_ROW * height)


@dataclass(frozen=True, eq=False)
class Refinement:
    """Of one face with sides of s pixels, the rows from FIRST_ROW on.

    Attributes:
        mask: (h, s) float32 0…1, how much of the frame's own pixels is seen.
        flow: (h/4, s/4, 2) float32, x and y to where those come from, in sides of the face.
        residual: (h, s, 3) BGR int16, grey levels that are added to the mixture of both.
    """

    mask: np.ndarray
    flow: np.ndarray
    residual: np.ndarray


def refined_face(frame_face: np.ndarray, painted: np.ndarray, refinement: Refinement) -> np.ndarray:
    """A face with its refinement at the size of the frame's, so that what comes from the frame is as sharp as there.

    Args:
        frame_face: (H, W, 3) BGR uint8, what the frame shows in the face box.
        painted: (s, s, 3) BGR uint8, the face that was refined.
        refinement: What was found.

    Returns:
        (H, W, 3) BGR uint8; above the first refined row the painted face as it is.
    """
    height, width = frame_face.shape[:2]
    out = cv2.resize(painted, (width, height), interpolation=cv2.INTER_LINEAR)
    top = first_row(height)
    size = width, height - top
    parts = refinement.flow, refinement.mask, refinement.residual
    flow, mask, residual = (cv2.resize(part, size, interpolation=cv2.INTER_LINEAR) for part in parts)
    x = np.arange(width, dtype=np.float32) + flow[:, :, 0] * np.float32(width)
    y = np.arange(top, height, dtype=np.float32)[:, None] + flow[:, :, 1] * np.float32(height)
    moved = cv2.remap(frame_face, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    out[top:] = cv2.add(cv2.blendLinear(moved, out[top:], mask, 1 - mask), residual, dtype=cv2.CV_8U)
    return out
