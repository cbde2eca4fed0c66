"""Where in a frame face, mouth, background and the edge of the replaced area are: boxes and masks from landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from musetalk.face.blending import blend_mask
from musetalk.face.boxes import face_box, lower_chin
from musetalk.face.landmarks import Box, Face
from musetalk.face.masks import crop_box
from musetalk.face.parsing import LandmarkParser

LIPS = slice(48, 68)
MOUTH_PADDING = 0.25
"""Of the lips' width, on all sides of the mouth box."""
CHIN_MARGIN = 10
"""Pixels by which v1.5 lowers its box, published."""
EDGE_ALPHA = (26, 230)
"""The edge of the mask is where its alpha lies between 10 % and 90 %."""


@dataclass(frozen=True, eq=False)
class Regions:
    """The parts of one frame.

    Attributes:
        face: The published face box of the source.
        mouth: Box around the lips of both videos.
        crop: Square of 1.5 times the face box; all outside is background.
        inside: (h, w) bool of the crop, the frame's part: replaced by more than half, mouth box left out.
        edge: (h, w) bool of the crop: where the replaced area fades into the frame.
    """

    face: Box
    mouth: Box
    crop: Box
    inside: np.ndarray
    edge: np.ndarray


def regions(faces: tuple[Face, ...], frame_shape: tuple[int, int]) -> Regions | None:
    """The regions of a frame.

    Args:
        faces: The source's face first, whose mask it is; the mouth box covers the lips of all of them.
        frame_shape: (height, width).

    Returns:
        None where the face has no area inside the frame.
    """
    box = face_box(faces[0], frame_shape)
    mouth = mouth_box(np.concatenate([face.landmarks[LIPS] for face in faces]), frame_shape)
    if box is None or mouth is None:
        return None
    square = crop_box(box)
    if square[2] - square[0] < 2:
        return None
    alpha = replaced_area(faces[0], box, square, frame_shape)
    crop = clip(square, frame_shape)
    assert crop is not None  # it holds the face box
    alpha = alpha[crop[1] - square[1] : crop[3] - square[1], crop[0] - square[0] : crop[2] - square[0]]
    inside = alpha >= 128
    x1, y1, x2, y2 = relative_to(mouth, crop)
    inside[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)] = False
    return Regions(box, mouth, crop, inside, (alpha >= EDGE_ALPHA[0]) & (alpha <= EDGE_ALPHA[1]))


def mouth_box(lips: np.ndarray, frame_shape: tuple[int, int]) -> Box | None:
    """The box around lip points (n, 2) with a quarter of their width around it; None outside the frame."""
    (left, top), (right, bottom) = lips.min(axis=0), lips.max(axis=0)
    padding = MOUTH_PADDING * (right - left)
    edges = np.floor([left - padding, top - padding]), np.ceil([right + padding, bottom + padding])
    return clip((int(edges[0][0]), int(edges[0][1]), int(edges[1][0]), int(edges[1][1])), frame_shape)


def replaced_area(face: Face, box: Box, square: Box, frame_shape: tuple[int, int]) -> np.ndarray:
    """(h, w) uint8 alpha over the square: what v1.5's published blending replaces, drawn from the landmarks."""
    origin = np.array(square[:2], np.float64)
    blank = np.empty((square[3] - square[1], square[2] - square[0], 3), np.uint8)
    mask = LandmarkParser("jaw").masks([blank], [Face(face.landmarks - origin, face.detection)])[0]
    return blend_mask(mask, lower_chin(box, CHIN_MARGIN, frame_shape[0]), square)


def clip(box: Box, frame_shape: tuple[int, int]) -> Box | None:
    """The part of a box inside a frame (height, width), None where there is none."""
    height, width = frame_shape
    x1, y1, x2, y2 = max(box[0], 0), max(box[1], 0), min(box[2], width), min(box[3], height)
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def relative_to(box: Box, crop: Box) -> Box:
    """A box in pixels of a crop."""
    return box[0] - crop[0], box[1] - crop[1], box[2] - crop[0], box[3] - crop[1]


def cut_box(image: np.ndarray, box: Box) -> np.ndarray:
    """A view of the pixels of a box that lies inside the image."""
    return image[box[1] : box[3], box[0] : box[2]]


def square_around(face: Face, expand: float = 1.15) -> Box:
    """A square that shows the whole face, for looking at it; may leave the frame."""
    points = face.landmarks
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    half = max(right - left, bottom - top) * expand / 2
    x, y = (left + right) / 2, (top + bottom) / 2 - 0.05 * (bottom - top)
    return int(x - half), int(y - half), int(x + half) + 1, int(y + half) + 1
