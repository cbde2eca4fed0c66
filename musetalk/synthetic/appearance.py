"""How a rendered person, light, lens and background look: random draws, plain numbers only."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import ArrayLike


def linear(rgb: ArrayLike) -> np.ndarray:
    """sRGB 0…255 → linear 0…1 (gamma 2.2)."""
    return (np.asarray(rgb, np.float64) / 255.0) ** 2.2


SKIN_TONES = linear([[243, 208, 187], [229, 184, 150], [203, 150, 115], [160, 110, 80], [114, 74, 54], [80, 52, 40]])
HAIR_TONES = linear([[28, 22, 19], [64, 42, 28], [110, 74, 42], [176, 138, 84], [128, 62, 34], [150, 148, 145]])
EYE_TONES = linear([[70, 45, 25], [95, 70, 40], [80, 105, 125], [95, 120, 85], [60, 75, 95]])


@dataclass(frozen=True)
class Look:
    """Colours are linear RGB (3,); amounts 0…1 unless said otherwise."""

    identity: np.ndarray
    skin: np.ndarray
    lip: np.ndarray
    hair: np.ndarray
    eye: np.ndarray
    teeth: np.ndarray
    cloth: np.ndarray
    shine: float
    mottling: float
    freckles: float
    blush: float
    beard: float
    moustache: float
    brow: float
    lashes: float
    hair_style: float  # -1: bald; 0: short cap … 1: long at the sides
    hair_volume: float  # cm
    hairline_shift: float  # cm, positive: receding
    noise_offset: np.ndarray
    expression: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Lighting:
    """Three directional lights and an ambient term; linear RGB."""

    directions: np.ndarray  # (3, 3)
    colors: np.ndarray  # (3, 3)
    ambient: np.ndarray  # (3,)
    exposure: float
    flatness: float  # 0: physical shading … 1: flat, painted


@dataclass(frozen=True)
class Lens:
    """What the sensor does to the finished picture."""

    blur: float  # sigma in pixels of a 256-pixel face
    noise: float  # sigma in grey levels
    jpeg: int  # quality; 0: none
    saturation: float
    white_balance: np.ndarray  # (3,) RGB gain


def random_look(rng: np.random.Generator, identity_modes: int) -> Look:
    """A random person. `identity_modes` is the number of identity weights."""
    tone = rng.uniform(0, len(SKIN_TONES) - 1)
    index = int(tone)
    skin = SKIN_TONES[index] * (1 - tone + index) + SKIN_TONES[min(index + 1, len(SKIN_TONES) - 1)] * (tone - index)
    skin = skin * rng.normal(1, 0.05, 3) * rng.uniform(0.9, 1.1)
    lip = skin * np.array([rng.uniform(0.85, 1.1), rng.uniform(0.38, 0.75), rng.uniform(0.4, 0.8)])
    if rng.random() < 0.2:  # lipstick
        lip = 0.3 * lip + 0.7 * linear([rng.uniform(130, 210), rng.uniform(20, 80), rng.uniform(40, 100)])
    bearded = rng.random() < 0.35
    weights = rng.normal(0, 0.8, identity_modes)
    weights[:20] *= rng.uniform(0.8, 1.3)
    return Look(
        identity=weights,
        skin=skin,
        lip=lip,
        hair=HAIR_TONES[rng.integers(len(HAIR_TONES))] * rng.uniform(0.6, 1.3),
        eye=EYE_TONES[rng.integers(len(EYE_TONES))] * rng.uniform(0.6, 1.3),
        teeth=linear([rng.uniform(205, 240), rng.uniform(195, 232), rng.uniform(170, 225)]),
        cloth=linear(np.clip(rng.uniform(20, 235) + rng.normal(0, 35, 3), 5, 250)),
        shine=rng.uniform(0.05, 0.7),
        mottling=rng.uniform(0.2, 1.0),
        freckles=max(0.0, rng.uniform(-1.0, 0.8)),
        blush=rng.uniform(0, 0.6),
        beard=rng.uniform(0.15, 0.95) if bearded else 0.0,
        moustache=rng.uniform(0.0, 0.95) if bearded else 0.0,
        brow=rng.uniform(0.35, 0.95),
        lashes=rng.uniform(0.3, 1.0),
        hair_style=-1.0 if rng.random() < 0.1 else rng.uniform(0, 1),
        hair_volume=rng.uniform(0.2, 1.4),
        hairline_shift=rng.normal(0, 0.6),
        noise_offset=rng.uniform(0, 50, 3),
        expression={
            "browInnerUp": max(0.0, rng.normal(0, 0.25)),
            "browDown": max(0.0, rng.normal(0, 0.25)),
            "eyeBlink": float(rng.choice([0, 0, 0, rng.uniform(0, 1)])),
            "eyeSquint": max(0.0, rng.normal(0, 0.25)),
            "eyeWide": max(0.0, rng.normal(-0.1, 0.2)),
        },
    )


def random_lighting(rng: np.random.Generator) -> Lighting:
    """A key light on either side, a fill, and a rim from behind."""
    side = rng.choice([-1.0, 1.0])
    key = [side * rng.uniform(0.0, 1.2), rng.uniform(-0.1, 0.9), rng.uniform(0.5, 1.2)]
    fill = [-side * rng.uniform(0.2, 1.0), rng.uniform(-0.4, 0.5), rng.uniform(0.4, 1.0)]
    rim = [rng.uniform(-1, 1), rng.uniform(0.2, 1), -1.0]
    directions = np.array([key, fill, rim])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    warmth = rng.uniform(-0.16, 0.16)
    tint = np.array([1 + warmth, 1.0, 1 - warmth])
    strength = rng.uniform(0.6, 1.5)
    colors = np.stack(
        [
            tint * strength,
            rng.uniform(0.1, 0.6) * np.array([1 - warmth, 1, 1 + warmth]),
            np.full(3, rng.uniform(0, 0.9)),
        ]
    )
    flat = max(0.0, rng.uniform(-1.2, 0.9))
    return Lighting(directions, colors, rng.uniform(0.1, 0.45) * rng.normal(1, 0.06, 3), rng.uniform(0.75, 1.3), flat)


def random_lens(rng: np.random.Generator) -> Lens:
    return Lens(
        blur=float(rng.choice([0.0, rng.uniform(0, 0.6), rng.uniform(0.4, 1.4)])),
        noise=float(rng.choice([0.0, rng.uniform(0, 2.5)])),
        jpeg=int(rng.choice([0, rng.integers(55, 96)])),
        saturation=rng.uniform(0.7, 1.25),
        white_balance=rng.normal(1, 0.05, 3),
    )


def apply_lens(image: np.ndarray, lens: Lens, rng: np.random.Generator) -> np.ndarray:
    """BGR uint8 (H, W, 3) → the same, as the sensor would deliver it."""
    picture: np.ndarray = image.astype(np.float32)
    if lens.blur > 0.15:
        picture = cv2.GaussianBlur(picture, (0, 0), lens.blur)
    grey = picture.mean(axis=2, keepdims=True)
    picture = (grey + (picture - grey) * lens.saturation) * lens.white_balance[::-1]
    if lens.noise:
        picture = picture + rng.normal(0, lens.noise, picture.shape[:2])[..., None]
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    if lens.jpeg:
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, lens.jpeg])
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return picture


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


def random_background(rng: np.random.Generator, size: int) -> np.ndarray:
    """A wall, an out-of-focus room or clutter; BGR uint8 (size, size, 3)."""
    kind = rng.random()
    if kind < 0.4:
        base = rng.uniform(20, 240, 3)
        ramp = np.linspace(-1, 1, size)[:, None, None] * rng.uniform(-40, 40, 3)
        low = cv2.resize(rng.normal(0, 1, (6, 6, 3)), (size, size), interpolation=cv2.INTER_CUBIC)
        return np.clip(base + ramp + rng.uniform(0, 25) * low, 0, 255).astype(np.uint8)
    leaves = dead_leaves(rng, size)
    if kind < 0.85:
        leaves = cv2.GaussianBlur(leaves, (0, 0), rng.uniform(2, size / 20))
    return leaves
