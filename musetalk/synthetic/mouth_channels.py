"""The channels of a mouth, named as the head model names its expressions; both sides move alike."""

from __future__ import annotations

import numpy as np

CHANNELS: tuple[str, ...] = (
    "jawOpen",
    "mouthClose",
    "mouthFunnel",
    "mouthPucker",
    "mouthStretch",
    "mouthSmile",
    "mouthUpperUp",
    "mouthLowerDown",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthPress",
    "mouthShrugUpper",
    "mouthShrugLower",
)
SPREAD = np.array([0.15, 0.02, 0.09, 0.19, 0.11, 0.25, 0.11, 0.14, 0.05, 0.03, 0.08, 0.05, 0.05], np.float32)
"""About how far each channel varies in speech: the unit in which networks are told mouths."""
JAW, CLOSE = CHANNELS.index("jawOpen"), CHANNELS.index("mouthClose")
NEUTRAL_GAP = 0.08
WIDTH_WEIGHTS = np.array([0, 0, -0.5, -1.5, 1, 1, 0, 0, 0, 0, 0, 0, 0], np.float32)
"""About how the channels widen the mouth, in no particular unit."""
GAP_WEIGHTS = np.array([3.28, -3.89, 1.37, -0.05, -0.03, 0.01, 0.71, 0.68, -0.37, 0.18, -0.25, 0.53, -0.69], np.float32)
"""Centimetres between the inner lips of the head model: of the neutral face, and added by each channel at 1."""


def pose(weights: dict[str, float]) -> np.ndarray:
    """Named weights as (C,) float32 in the order of `CHANNELS`."""
    return np.array([weights.get(name, 0.0) for name in CHANNELS], np.float32)


def lip_gap(curves: np.ndarray) -> np.ndarray:
    """Centimetres between the inner lips, (...,), of curves (..., C) on the mean head; negative: pressed together."""
    return NEUTRAL_GAP + curves @ GAP_WEIGHTS
