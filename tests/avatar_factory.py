"""Small avatars: a model of golden size, a source of a few frames, and a finder that knows where their face is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from model_factory import write_mini, write_published

from musetalk.face.landmarks import Box, Face
from musetalk.models.device import Placement
from musetalk.pipeline.backends import BackendChoice
from musetalk.pipeline.model import Model
from musetalk.pipeline.template import template_face

ON_CPU = Placement(torch.device("cpu"), torch.float32)
BACKENDS = BackendChoice("mediapipe", "landmarks")
WIDTH, HEIGHT = 96, 128
GOLDEN = Path(__file__).parent / "data" / "golden" / "end_to_end.npz"


class KnowingFinder:
    """Finds the faces that it was told of, by the number in each frame's first pixel."""

    name = "knowing"

    def __init__(self, boxes: dict[int, Box]) -> None:
        self.boxes = boxes

    def find(self, frames: Any) -> list[Face | None]:
        found = [self.boxes.get(int(frame[0, 0, 0])) for frame in frames]
        return [None if box is None else template_face(box) for box in found]


def source_frames(count: int, width: int = WIDTH, height: int = HEIGHT) -> list[np.ndarray]:
    """Frames that tell their number in their first pixel and move a little."""
    base = np.linspace(0, 255, height * width * 3).reshape(height, width, 3).astype(np.uint8)
    frames = [np.roll(base, 3 * i, axis=1) for i in range(count)]
    for number, frame in enumerate(frames):
        frame[0, 0] = number
    return frames


def box_of(number: int) -> Box:
    """Where the face of a source frame is."""
    return 24 + number % 3, 30 + number % 2, 72 + number % 3, 90 + number % 2


def write_source(folder: Path, count: int) -> Path:
    """A folder of numbered images."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(source_frames(count)):
        cv2.imwrite(str(folder / f"{number:04d}.png"), frame)
    return folder


def knowing(model: Model, count: int, without_face: Any = ()) -> Model:
    """The model with a finder that knows the frames of `write_source`."""
    model.finder = KnowingFinder({i: box_of(i) for i in range(count) if i not in without_face})
    return model


def mini_model(models_dir: Path) -> Model:
    """A tiny untrained model in the layout of mini."""
    return Model.load("mini", write_mini(models_dir), placement=ON_CPU, backends=BACKENDS)


def golden_model(models_dir: Path, version: str) -> Model:
    """The networks of the golden numbers, in the published layout."""
    configs = json.loads(str(np.load(GOLDEN)["configs"]))
    return Model.load(version, write_published(models_dir, **configs), placement=ON_CPU, backends=BACKENDS)
