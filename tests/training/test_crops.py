"""Crops of both geometries and mouth boxes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from musetalk.face.boxes import face_box, lower_chin, smooth_faces
from musetalk.face.landmarks import Face
from musetalk.pipeline.generator import cut_face
from musetalk.training.crops import (
    cut,
    has_area,
    inference_boxes,
    lowered,
    mouth_box,
    mouth_in_crop,
    union_box,
)

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "mouth_masks.json"
SHAPE = (240, 320)


def test_mouth_boxes_are_the_published_ones() -> None:
    cases = json.loads(GOLDEN.read_text())
    assert len(cases) == 12
    for case in cases:
        box = mouth_box(
            np.array(case["landmarks68"]),
            tuple(case["face_shape"]),
            case["padding"],
            case["image_size"],
            case["crop_margin"],
            limits=tuple(case["face_shape"]),
        )
        assert box == (tuple(case["mask_box"]) if case["mask_box"] is not None else None)


def test_the_mouth_of_a_small_face_is_not_cut() -> None:
    landmarks = np.zeros((68, 2))
    landmarks[48:67] = [[50 + x, 80] for x in range(19)]  # a face of 100 × 100: scaled by 2.56
    assert mouth_box(landmarks, (100, 100), 10, 256) == (118, 188, 184, 221)
    assert mouth_box(landmarks, (100, 100), 10, 256, limits=(100, 100)) is None  # what the published code gives


def test_the_mouth_is_where_the_crop_shows_it() -> None:
    frame = np.zeros((200, 300, 3), np.uint8)
    frame[120:130, 130:170] = 255
    landmarks = np.full((68, 2), 100.0)
    landmarks[48:67] = np.stack([np.linspace(130, 170, 19), np.where(np.arange(19) % 2, 120.0, 130.0)], axis=1)
    box = (90, 40, 210, 180)
    x1, y1, x2, y2 = mouth_in_crop(landmarks, box, 10, 256) or (0, 0, 0, 0)
    face = cut(frame, (0, 0), 1, box, 256)[..., 0]
    rows, columns = np.flatnonzero(face.max(axis=1) > 128), np.flatnonzero(face.max(axis=0) > 128)
    assert abs(x1 + 10 - columns[0]) <= 1 and abs(x2 - 10 - columns[-1] - 1) <= 1
    assert abs((y1 + y2) - (rows[0] + rows[-1] + 1)) <= 2
    assert abs((x2 - x1) - 2 * (y2 - y1)) <= 2


def clip_faces(frames: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    shape = rng.uniform([100, 60], [200, 190], (68, 2))
    landmarks = (shape + rng.normal(0, 1.5, (frames, 1, 2)) + rng.normal(0, 0.7, (frames, 68, 2))).astype(np.float32)
    detections = np.concatenate([landmarks.min(axis=1) + 4, landmarks.max(axis=1) - 3], axis=1)
    return landmarks, detections


@pytest.mark.parametrize("smoothing", [0, 3])
def test_inference_boxes_are_those_of_inference(smoothing: int) -> None:
    landmarks, detections = clip_faces(30)
    for gap in (11, 12, 20):
        landmarks[gap] = detections[gap] = np.nan
    landmarks[25:] += 150  # another shot
    detections[25:] += 150
    faces = [
        None if np.isnan(d[0]) else Face(m.astype(np.float64), tuple(float(v) for v in d))
        for m, d in zip(landmarks, detections, strict=True)
    ]
    expected = [None if face is None else face_box(face, SHAPE) for face in smooth_faces(faces, smoothing)]
    for first in range(30):
        for count in (1, 4):
            boxes = inference_boxes(landmarks, detections, SHAPE, first, count, smoothing)
            assert boxes == expected[first : first + count]
    assert expected[11] is None and expected[10] is not None


def test_margins_lower_a_box_down_to_the_frames_edge() -> None:
    box = (100, 50, 200, 190)
    assert lowered(box, 10.4, SHAPE) == lower_chin(box, 10, SHAPE[0]) == (100, 50, 200, 200)
    assert lowered(box, 80, SHAPE) == (100, 50, 200, 240)
    landmarks = np.array([[90.0, 60.0]] * 67 + [[210.0, 195.0]])
    assert union_box(np.array([100.0, 50.0, 200.0, 190.0]), landmarks, SHAPE) == (90, 50, 210, 195)
    assert union_box(np.array([100.0, 50.0, 200.0, 190.0]), landmarks, SHAPE, 20.0) == (90, 50, 210, 215)
    assert union_box(np.array([-9.0, -5.0, 400.0, 190.0]), landmarks, SHAPE, 99.0) == (0, 0, 320, 240)


def test_boxes_without_area_cannot_be_cut() -> None:
    assert has_area((1, 1, 3, 3)) and not has_area((1, 1, 2, 3)) and not has_area((5, 5, 4, 9)) and not has_area(None)


def test_a_cut_of_a_region_equals_the_cut_of_the_frame() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), np.uint8)
    box = (95, 42, 203, 188)
    region = frame[30:230, 80:260]
    assert np.array_equal(cut(region, (80, 30), 1, box, 256), cut_face(frame, box, 256))


def test_a_smaller_region_shows_the_same_place() -> None:
    y, x = np.mgrid[0:600, 0:800]
    frame = np.stack([x * 255 / 800, y * 255 / 600, (x + y) * 255 / 1400], axis=-1).astype(np.uint8)
    region = frame[100:500:2, 200:700:2]
    small = cut(region, (200, 100), 0.5, (300, 150, 556, 406), 64).astype(int)
    large = cut(frame, (0, 0), 1, (300, 150, 556, 406), 64).astype(int)
    assert np.abs(small - large).max() <= 2


def test_what_lies_outside_the_region_repeats_its_edge() -> None:
    region = np.full((40, 40, 3), 50, np.uint8)
    region[:, -10:] = 200
    face = cut(region, (10, 10), 1, (30, 0, 70, 40), 80)
    assert (face[:, -35:] == 200).all()
    assert (abs(face[:20, :5].astype(int) - 50) <= 2).all()
