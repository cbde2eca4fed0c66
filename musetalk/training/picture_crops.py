"""Pictures that a VAE learns from: squares of any place and size in other colours, and procedural ones."""

from __future__ import annotations

import cv2
import numpy as np

from musetalk.synthetic.backgrounds import dead_leaves


def procedural_picture(size: int, rng: np.random.Generator) -> np.ndarray:
    """Dead leaves (overlapping shapes with the statistics of natural images), (size, size, 3) BGR uint8."""
    return other_colors(cut_random(dead_leaves(rng, int(1.5 * size)), size, rng), rng)


def cut_random(image: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A square of ¾ to 1½ times `size`, scaled to (size, size, 3), mirrored or not."""
    span = min(int(size * rng.uniform(0.75, 1.5)), *image.shape[:2])
    y, x = (int(rng.integers(0, side - span + 1)) for side in image.shape[:2])
    crop = image[y : y + span, x : x + span]
    crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA if span > size else cv2.INTER_CUBIC)
    return crop[:, ::-1] if rng.random() < 0.5 else crop


def other_colors(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """In 6 of 10 pictures, other saturation, white balance and brightness."""
    if rng.random() >= 0.6:
        return np.ascontiguousarray(image)
    pixels = image.astype(np.float32)
    grey = pixels.mean(axis=2, keepdims=True)
    pixels = grey + (pixels - grey) * rng.uniform(0.3, 1.6)
    pixels = (pixels - 127.5) * rng.uniform(0.6, 1.25, 3) + 127.5 + 127.5 * rng.uniform(-0.3, 0.3, 3)
    return np.clip(np.round(pixels), 0, 255).astype(np.uint8)
