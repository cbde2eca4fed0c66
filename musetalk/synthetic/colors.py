"""Colours as the renderer counts them: linear RGB, 0…1."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def linear(rgb: ArrayLike) -> np.ndarray:
    """sRGB 0…255 → linear 0…1 (gamma 2.2)."""
    return (np.asarray(rgb, np.float64) / 255.0) ** 2.2


SKIN_TONES = linear(
    [[246, 219, 203], [240, 204, 181], [229, 184, 150], [203, 150, 115], [160, 110, 80], [114, 74, 54], [76, 49, 38]]
)
HAIR_TONES = linear(
    [
        [24, 19, 17], [40, 29, 22], [64, 42, 28], [110, 74, 42], [176, 138, 84], [206, 178, 126], [128, 62, 34],
        [150, 148, 145], [225, 222, 216],
    ]
)  # fmt: skip
EYE_TONES = linear([[70, 45, 25], [50, 32, 20], [95, 70, 40], [80, 105, 125], [95, 120, 85], [60, 75, 95]])


def between(tones: np.ndarray, place: float) -> np.ndarray:
    """The colour at `place` (0 … number of tones − 1) on the way through `tones` (n, 3)."""
    index = min(int(place), len(tones) - 2)
    return tones[index] * (1 - place + index) + tones[index + 1] * (place - index)


def random_paint(rng: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """Any colour at all: hue at random, saturation up to `strength`."""
    hue, value = rng.uniform(0, 6), rng.uniform(0.08, 0.95)
    pure = np.clip(np.abs((hue + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1, 0, 1)
    saturation = strength * np.sqrt(rng.uniform(0, 1))
    return (value * (1 - saturation + saturation * pure)) ** 2.2 + 0.003
