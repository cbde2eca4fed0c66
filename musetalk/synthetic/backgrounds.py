"""What is behind a person: walls, rooms out of focus, clutter, crowds."""

from __future__ import annotations

import cv2
import numpy as np


def dead_leaves(rng: np.random.Generator, size: int, count: int = 220) -> np.ndarray:
    """Overlapping ellipses and polygons with power-law sizes, BGR uint8 (size, size, 3): natural image statistics."""
    image = np.empty((size, size, 3), np.uint8)
    image[:] = rng.integers(0, 256, 3)
    grey = rng.uniform(0, 255, (count, 1))
    palette = np.clip(grey + rng.normal(0, 30, 3) + rng.normal(0, rng.uniform(10, 60), (count, 3)), 0, 255)
    radii = size * 0.5 * np.clip(rng.pareto(1.6, count) * 0.05 + 0.012, 0, 0.6)
    for radius, color in zip(np.sort(radii)[::-1], palette, strict=True):
        center = tuple(int(v) for v in rng.uniform(0, size, 2))
        shade = tuple(float(v) for v in color)
        if rng.random() < 0.6:
            axes = (max(1, int(radius)), max(1, int(radius * rng.uniform(0.3, 1))))
            cv2.ellipse(image, center, axes, float(rng.uniform(0, 180)), 0, 360, shade, -1, cv2.LINE_AA)
        else:
            angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 7)))
            points = np.stack([np.cos(angles), np.sin(angles)], 1) * radius + center
            cv2.fillPoly(image, [points.astype(np.int32)], shade, cv2.LINE_AA)
    low = cv2.resize(rng.normal(0, 1, (5, 5, 3)), (size, size), interpolation=cv2.INTER_CUBIC)
    fine = rng.normal(0, rng.uniform(0, 10), (size, size, 1))
    return np.clip(image + 14 * low + fine, 0, 255).astype(np.uint8)


def _gradient(rng: np.random.Generator, size: int) -> np.ndarray:
    base = rng.uniform(20, 240, 3)
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
    ramp = (np.cos(angle) * x + np.sin(angle) * y)[..., None] * rng.uniform(-45, 45, 3)
    if rng.random() < 0.5:
        ramp = ramp - (x * x + y * y)[..., None] * rng.uniform(5, 40)
    low = cv2.resize(rng.normal(0, 1, (6, 6, 3)), (size, size), interpolation=cv2.INTER_CUBIC)
    picture = base + ramp + rng.uniform(0, 20) * low
    grey = picture.mean(axis=2, keepdims=True)
    return grey + (picture - grey) * rng.uniform(0.1, 1.0)  # most walls are dull


def _room(rng: np.random.Generator, size: int) -> np.ndarray:
    """Wall, floor, windows, shelves and lamps, out of focus."""
    image = np.empty((size, size, 3), np.float32)
    wall = rng.uniform(40, 225, 3) * rng.uniform(0.7, 1) * [1, 1, 1]
    image[:] = wall.mean() + 0.5 * (wall - wall.mean())
    floor = int(size * rng.uniform(0.6, 1.0))
    image[floor:] = image[0, 0] * rng.uniform(0.3, 0.8)
    for _ in range(rng.integers(3, 12)):
        w, h = (rng.uniform(0.05, 0.5, 2) * size).astype(int)
        x, y = (rng.uniform(-0.2, 1.0, 2) * size).astype(int)
        color = np.clip(rng.uniform(10, 245) + rng.normal(0, 30, 3), 0, 255)
        cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), color.tolist(), -1)
        if rng.random() < 0.5:  # a shelf, a window with bars
            for part in np.linspace(x, x + w, rng.integers(3, 9)):
                shade = (color * rng.uniform(0.3, 1.2)).clip(0, 255)
                cv2.line(image, (int(part), int(y)), (int(part), int(y + h)), shade.tolist(), int(rng.integers(1, 8)))
    for _ in range(rng.integers(0, 4)):
        place = tuple(int(v) for v in rng.uniform(0, size, 2))
        glow = np.clip(rng.uniform(200, 255) + rng.normal(0, 12, 3), 0, 255)
        cv2.circle(image, place, int(rng.uniform(0.02, 0.1) * size), glow.tolist(), -1)
    grey = image.mean(axis=2, keepdims=True)
    image = grey + (image - grey) * rng.uniform(0.2, 1.0)
    return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.004, 0.035) * size)


def _crowd(rng: np.random.Generator, size: int) -> np.ndarray:
    """Many small upright rectangles and heads."""
    image = np.empty((size, size, 3), np.uint8)
    image[:] = rng.integers(20, 235, 3)
    for y in np.sort(rng.uniform(0.2, 1.1, rng.integers(40, 160))) * size:
        scale = size * (0.02 + 0.08 * y / size) * rng.uniform(0.7, 1.3)
        x = rng.uniform(0, size)
        cloth, skin = rng.integers(10, 246, 3), np.array([120, 150, 190]) * rng.uniform(0.3, 1.2)
        corner = (int(x - 0.6 * scale), int(y)), (int(x + 0.6 * scale), int(y + 2.6 * scale))
        cv2.rectangle(image, *corner, cloth.tolist(), -1)
        axes = (int(0.36 * scale) + 1, int(0.45 * scale) + 1)
        cv2.ellipse(image, (int(x), int(y - 0.3 * scale)), axes, 0, 0, 360, skin.clip(0, 255).tolist(), -1, cv2.LINE_AA)
    return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.8, 0.02 * size)).astype(np.float32)


def _studio(rng: np.random.Generator, size: int) -> np.ndarray:
    """One even colour, a key screen or a painter's grey."""
    shade = rng.choice(4)
    color = ([rng.uniform(20, 245)] * 3, [60, 190, 70], [200, 90, 40], rng.uniform(30, 230, 3))[shade]
    y = np.linspace(-1, 1, size)[:, None, None]
    return np.array(color) * (1 + rng.uniform(-0.15, 0.15) * y) + np.zeros((size, size, 3))


def random_background(rng: np.random.Generator, size: int) -> np.ndarray:
    """A background at random; BGR uint8 (size, size, 3)."""
    kind = rng.choice(5, p=(0.22, 0.3, 0.26, 0.12, 0.1))
    if kind == 0:
        image = _gradient(rng, size)
    elif kind == 1:
        image = _room(rng, size)
    elif kind == 2:
        image = dead_leaves(rng, size).astype(np.float32)
        if rng.random() < 0.75:
            image = cv2.GaussianBlur(image, (0, 0), rng.uniform(1.5, size / 20))
    elif kind == 3:
        image = _crowd(rng, size)
    else:
        image = _studio(rng, size)
    return np.clip(image, 0, 255).astype(np.uint8)
