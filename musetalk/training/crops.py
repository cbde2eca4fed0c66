"""Where a face is cut out for training, and where its mouth then lies: pure geometry."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np

from musetalk.face.boxes import SMOOTHING_RADIUS, face_box, lower_chin, smooth_faces
from musetalk.face.landmarks import OUTER_LIPS, Box, Face
from musetalk.pipeline.generator import cut_face

LIPS = slice(OUTER_LIPS.start, 67)
"""Landmarks 48…66, which the mouth box is drawn around (published: the last one is left out)."""


def union_boxes(detections: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The published training crop of each frame: the least box around the detector's box and the landmarks.

    Args:
        detections: (n, 4) x1, y1, x2, y2.
        landmarks: (n, 68, 2).

    Returns:
        (n, 4) float64 in pixels; NaN where an input is.
    """
    by_point = np.ascontiguousarray(landmarks.swapaxes(0, 1))  # ten times as fast to reduce as pairs of numbers
    low = np.minimum(detections[:, :2], by_point.min(axis=0))
    high = np.maximum(detections[:, 2:], by_point.max(axis=0))
    return np.concatenate([low, high], axis=1).astype(np.float64)


def union_box(detection: np.ndarray, landmarks: np.ndarray, frame_shape: tuple[int, int], margin: float = 0.0) -> Box:
    """The published crop of one frame, lowered by a margin and kept inside the frame.

    Args:
        detection: (4,) x1, y1, x2, y2.
        landmarks: (68, 2).
        frame_shape: (height, width).
        margin: Pixels that the lower edge is moved down.
    """
    x1, y1, x2, y2 = (int(edge) for edge in union_boxes(detection[None], landmarks[None])[0])
    return inside((x1, y1, x2, y2 + round(margin)), frame_shape)


def inference_boxes(
    landmarks: np.ndarray, detections: np.ndarray, frame_shape: tuple[int, int], first: int, count: int, smoothing: int
) -> list[Box | None]:
    """The boxes that inference puts around `count` frames from `first` on, smoothed over time, before any margin.

    Args:
        landmarks: (n, 68, 2) of the clip, NaN where a frame has no face.
        detections: (n, 4) alike.
        frame_shape: (height, width).
        first: First frame.
        count: How many frames.
        smoothing: Frames to each side that faces are smoothed over, as `DubSettings.smooth_boxes`; 0: not at all.

    Returns:
        None for frames without a face.
    """
    begin = max(first - smoothing, 0)  # a smoothed face depends on no frame further away
    end = min(first + count + smoothing, len(landmarks))
    faces = (_face(landmarks[index], detections[index]) for index in range(begin, end))
    smooth = list(smooth_faces(faces, smoothing))[first - begin : first - begin + count]
    return [None if face is None else face_box(face, frame_shape) for face in smooth]


def _face(landmarks: np.ndarray, detection: np.ndarray) -> Face | None:
    if np.isnan(detection[0]) or np.isnan(landmarks[0, 0]):
        return None
    x1, y1, x2, y2 = detection.tolist()
    return Face(landmarks.astype(np.float64), (x1, y1, x2, y2))


def clip_boxes(
    landmarks: np.ndarray, detections: np.ndarray, frame_shape: tuple[int, int], geometry: str, margin: float
) -> list[Box | None]:
    """The crop of every frame of a video, as a SyncNet sees it.

    Args:
        landmarks: (n, 68, 2), NaN where a frame has no face.
        detections: (n, 4) alike.
        frame_shape: (height, width).
        geometry: `inference`, the box that dubbing works in, or `published`, that around detection and landmarks.
        margin: Pixels of the frame that the lower edge is moved down.

    Returns:
        None for frames without a face, or with nothing of one inside the picture.
    """
    if geometry == "inference":
        found = inference_boxes(landmarks, detections, frame_shape, 0, len(landmarks), SMOOTHING_RADIUS)
        boxes = [box if box is None else lowered(box, margin, frame_shape) for box in found]
    else:
        seen = np.isfinite(detections[:, 0]) & np.isfinite(landmarks[:, 0, 0])
        boxes = [
            union_box(detection, points, frame_shape, margin) if known else None
            for detection, points, known in zip(detections, landmarks, seen.tolist(), strict=True)
        ]
    return [box if has_area(box) else None for box in boxes]


def lowered(box: Box, margin: float, frame_shape: tuple[int, int]) -> Box:
    """A box of inference as it is cut out: lowered by the margin, at most to the frame's edge."""
    return inside(lower_chin(box, round(margin), frame_shape[0]), frame_shape)


def inside(box: Box, frame_shape: tuple[int, int]) -> Box:
    """The part of a box inside a frame; it has no area where there is none."""
    height, width = frame_shape
    x1, y1, x2, y2 = box
    return max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)


def has_area(box: Box | None) -> bool:
    """Whether a box can be cut out: two pixels each way are the least that inference takes."""
    return box is not None and box[2] - box[0] >= 2 and box[3] - box[1] >= 2


def cut(image: np.ndarray, origin: tuple[int, int], scale: Fraction | float, box: Box, size: int) -> np.ndarray:
    """A box of a frame, of which only a region is known, resized to (size, size, 3) as inference does.

    Where the region is stored at full scale this equals a cut of the whole frame. Parts of the box outside the region
    repeat its edge.

    Args:
        image: (h, w, 3) uint8, the region.
        origin: x, y of its upper left corner in the frame.
        scale: Pixels of the region for each pixel of the frame.
        box: In pixels of the frame.
        size: Side of the result.
    """
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (round((edge - origin[axis % 2]) * scale) for axis, edge in enumerate(box))
    x2, y2 = max(x2, x1 + 1), max(y2, y1 + 1)
    left, top, right, bottom = max(-x1, 0), max(-y1, 0), max(x2 - width, 0), max(y2 - height, 0)
    if left or top or right or bottom:
        image = cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_REPLICATE)
    return cut_face(image, (x1 + left, y1 + top, x2 + left, y2 + top), size)


def mouth_box(
    landmarks: np.ndarray,
    face_size: tuple[float, float],
    padding: int,
    image_size: int,
    margin: float = 0.0,
    limits: tuple[float, float] | None = None,
) -> Box | None:
    """The mouth in a face that is scaled to image_size: the lips with padding at the sides, half as high as wide.

    Args:
        landmarks: (68, 2) from the upper left corner of the face's crop, in its pixels.
        face_size: (width, height) of the crop.
        padding: Pixels of the scaled face at each side.
        image_size: Side of the scaled face.
        margin: Pixels of the scaled face that the box is moved up. The published code computes face_size without the
            margin by which the crop was lowered and moves the mouth up by it instead, which is not quite the place;
            with the crop's true size none is needed.
        limits: (width, height) that the box is cut to; None: the scaled face. The published code cuts at the size
            before scaling, and so loses the mouths of small faces.

    Returns:
        None where nothing is left.
    """
    lips = landmarks[LIPS] * image_size / np.asarray(face_size, np.float64)
    (left, top), (right, bottom) = lips.min(axis=0), lips.max(axis=0)
    left, right = left - padding, right + padding
    centre, half_height = (top + bottom) / 2, (right - left) / 4
    edges = np.array([left, centre - half_height - margin, right, centre + half_height - margin])
    most = np.array(limits if limits is not None else (image_size, image_size))
    edges = np.clip(np.round(edges), 0, np.tile(most, 2))
    x1, y1, x2, y2 = (int(edge) for edge in edges)
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def mouth_in_crop(landmarks: np.ndarray, box: Box, padding: int, image_size: int) -> Box | None:
    """`mouth_box` of a face that was cut out at `box`, landmarks (68, 2) in pixels of the frame."""
    x1, y1, x2, y2 = box
    return mouth_box(landmarks - np.array([x1, y1]), (x2 - x1, y2 - y1), padding, image_size)
