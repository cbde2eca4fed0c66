"""A sample as another camera, or a mirror, would show it: few people stand for many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FACES = ("target", "reference", "mask_source")
GAMMA, GAIN, CONTRAST, BRIGHTNESS, SATURATION = 0.18, 0.06, 0.12, 0.03, 0.25
"""Standard deviations: of logarithms, but for brightness, a share of white."""
GREY_RATE = 0.05
"""Share of the cameras that see no colours: else the mouths of a black-and-white film are painted pink."""


@dataclass(frozen=True)
class Grading:
    """How a camera renders colours.

    Attributes:
        gamma, contrast, saturation: 1: as they are.
        gains: Of blue, green and red; 1: as they are.
        brightness: Added, a share of white.
    """

    gamma: float = 1.0
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    contrast: float = 1.0
    brightness: float = 0.0
    saturation: float = 1.0


def draw_grading(rng: np.random.Generator) -> Grading:
    """Any ordinary camera."""
    blue, green, red = np.exp(rng.normal(0, GAIN, 3)).tolist()
    return Grading(
        gamma=float(np.exp(rng.normal(0, GAMMA))),
        gains=(blue, green, red),
        contrast=float(np.exp(rng.normal(0, CONTRAST))),
        brightness=float(rng.normal(0, BRIGHTNESS)),
        saturation=float(np.exp(rng.normal(0, SATURATION))) if rng.random() >= GREY_RATE else 0.0,
    )


def graded(sample: dict[str, np.ndarray], grading: Grading) -> dict[str, np.ndarray]:
    """A sample of `draw_sample` with the colours of all its faces changed alike; contrast is about their mean."""
    values = {name: _exposed(sample[name], grading) for name in FACES}
    middle = np.float32(np.mean([face.mean() for face in values.values()]))
    return sample | {name: _toned(face, middle, grading) for name, face in values.items()}


def _exposed(faces: np.ndarray, grading: Grading) -> np.ndarray:
    levels = (np.arange(256, dtype=np.float32) / 255) ** grading.gamma
    return levels[faces] * np.array(grading.gains, np.float32)


def _toned(faces: np.ndarray, middle: np.float32, grading: Grading) -> np.ndarray:
    faces = (faces - middle) * np.float32(grading.contrast) + middle + np.float32(grading.brightness)
    grey = faces.mean(axis=-1, keepdims=True)
    faces = grey + (faces - grey) * np.float32(grading.saturation)
    return (faces.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def mirrored(sample: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A sample of `draw_sample` with left and right exchanged; true mouths have no sides, and sound stays."""
    faces = {name: np.ascontiguousarray(sample[name][:, :, ::-1]) for name in FACES}
    width = sample["target"].shape[2]
    boxes = sample["mouth_box"].copy()
    boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
    return sample | faces | {"mouth_box": boxes}
