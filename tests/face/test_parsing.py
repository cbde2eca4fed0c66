"""Face parsers: the published one end to end, and the one drawn from landmarks."""

from __future__ import annotations

from pathlib import Path

import formula_weights
import numpy as np
import pytest
import torch

from musetalk.errors import ConfigError
from musetalk.face.blending import blend, blend_mask
from musetalk.face.boxes import face_box, lower_chin
from musetalk.face.landmarks import Face
from musetalk.face.masks import crop_box, cut_crop
from musetalk.face.parsing import BiSeNetParser, LandmarkParser, network_input
from musetalk.models.bisenet import BiSeNet

GOLDEN = Path(__file__).parents[1] / "data/golden/end_to_end.npz"


@pytest.mark.parametrize(("version", "mode", "margin"), [("v1", "raw", 0), ("v15", "jaw", 10)])
def test_crops_parsed_and_blended_equal_the_published_frames(version: str, mode: str, margin: int) -> None:
    parser = BiSeNetParser(formula_weights.fill(BiSeNet(), 1.2), mode=mode, batch_size=2)
    with np.load(GOLDEN) as data:
        frames, generated, expected = data["frames"], data[f"generated_{version}"], data[f"composited_{version}"]
        boxes = data["boxes"].tolist()
    sources = [0, 3]  # of output frames 0 and 3
    placed = [lower_chin(tuple(boxes[source]), margin, frames.shape[1]) for source in sources]
    crops = [crop_box(box) for box in placed]
    masks = parser.masks([cut_crop(frames[source], crop) for source, crop in zip(sources, crops, strict=True)])
    for i, (source, box, crop) in enumerate(zip(sources, placed, crops, strict=True)):
        out = blend(frames[source], generated[i], box, crop, blend_mask(masks[i], box, crop))
        far = (np.abs(out.astype(int) - expected[3 * i]) > 2).any(axis=-1)
        assert far.mean() <= 0.001


def test_network_input_is_normalised_rgb() -> None:
    crop = np.zeros((40, 40, 3), np.uint8)
    crop[..., 2] = 255  # red in BGR
    image = network_input(crop)
    assert image.shape == (3, 512, 512) and image.dtype == np.float32
    np.testing.assert_allclose(image[:, 0, 0], [(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225], rtol=1e-5)


def test_low_precision_labels_stay_class_numbers() -> None:
    parser = BiSeNetParser(formula_weights.fill(BiSeNet(), 1.2), dtype=torch.bfloat16)
    labels = parser.labels([np.zeros((30, 30, 3), np.uint8)])
    assert labels.shape == (1, 512, 512) and labels.dtype == np.uint8 and labels.max() < 19


def drawn_face(size: float, x: float, y: float, turn: float = 0.0) -> Face:
    """An egg-shaped face around (x, y), `size` pixels wide; `turn` moves nose and mouth sideways (of the width)."""
    angle = np.linspace(np.pi, 0, 17)
    points = np.zeros((68, 2))
    points[:17] = np.stack([0.5 * np.cos(angle), -0.1 + 0.65 * np.sin(angle)], axis=1)
    for start, side in ((17, -1), (22, 1)):
        across = np.linspace(-0.15, 0.15, 5)
        points[start : start + 5] = np.stack([side * 0.25 + across, np.full(5, -0.3)], axis=1)
    points[27:31] = np.stack([np.full(4, turn), np.linspace(-0.15, 0.15, 4)], axis=1)
    points[31:36] = np.stack([turn + np.linspace(-0.08, 0.08, 5), np.full(5, 0.2)], axis=1)
    for start, side in ((36, -1), (42, 1)):
        ring = np.arange(6) * np.pi / 3
        points[start : start + 6] = np.stack([side * 0.22 - 0.08 * np.cos(ring), -0.15 - 0.03 * np.sin(ring)], axis=1)
    for start, count, width, height in ((48, 12, 0.18, 0.07), (60, 8, 0.14, 0.02)):
        ring = np.arange(count) * 2 * np.pi / count
        points[start : start + count] = np.stack([turn - width * np.cos(ring), 0.33 - height * np.sin(ring)], axis=1)
    return Face(points * size + (x, y), (x - size / 2, y - size / 2, x + size / 2, y + size / 2))


@pytest.mark.parametrize("turn", [-0.12, 0.0, 0.12])
@pytest.mark.parametrize("size", [60, 300])
def test_landmark_mask_covers_mouth_and_chin_but_not_nose_neck_and_background(size: int, turn: float) -> None:
    face = drawn_face(size, 400, 300, turn)
    box = lower_chin(face_box(face, (800, 800)) or (0, 0, 0, 0), size // 30, 800)
    crop = crop_box(box)
    side = crop[2] - crop[0]
    inner = Face(face.landmarks - crop[:2], face.detection)
    (mask,) = LandmarkParser().masks([np.zeros((side, side, 3), np.uint8)], [inner])
    assert mask.shape == (side, side) and mask.dtype == np.uint8
    alpha = blend_mask(mask, box, crop)

    def at(x: float, y: float) -> int:
        return int(alpha[round(y * size + 300 - crop[1]), round(x * size + 400 - crop[0])])

    for x, y in ((face.landmarks[48:68] - (400, 300)) / size).tolist():
        assert at(x, y) > (250 if size > 100 else 200)  # all of the lips
    assert at(turn, 0.48) > 250 and at(-0.2, 0.35) > 250 and at(0.2, 0.35) > 250  # chin and lower cheeks
    assert at(0, 0.54) > 120  # to the chin's edge
    assert at(turn, 0.12) < 60  # nose tip
    assert at(0, 0.66) == 0 and at(-0.45, 0.5) == 0 and at(0.45, 0.5) == 0  # neck and background
    assert at(-0.56, 0.1) == 0 and at(0.56, 0.1) == 0  # beside the face
    assert at(0, -0.1) == 0  # eyes


def test_landmark_mask_follows_the_cheek_width() -> None:
    face = drawn_face(300, 225, 215)
    crop = np.zeros((450, 450, 3), np.uint8)
    wide = LandmarkParser("jaw", 90, 90).masks([crop], [face])[0]
    narrow = LandmarkParser("jaw", 90, 40).masks([crop], [face])[0]
    assert not ((narrow > 128) & (wide <= 128)).any()
    assert np.array_equal(narrow[:, :200], wide[:, :200]) and narrow[:, 280:].sum() < wide[:, 280:].sum()


def test_landmarks_outside_the_crop_are_drawn_as_far_as_it_goes() -> None:
    (mask,) = LandmarkParser("raw").masks([np.zeros((100, 100, 3), np.uint8)], [drawn_face(300, 10, -40)])
    assert mask.shape == (100, 100) and mask[60, 20] == 255


def test_unknown_modes_are_refused_before_any_work() -> None:
    with pytest.raises(ConfigError):
        LandmarkParser("beard")
    with pytest.raises(ConfigError):
        BiSeNetParser(BiSeNet(), mode="beard")
