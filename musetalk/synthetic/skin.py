"""Paints a person's skin into the head's texture tiles: tone, texture, lips, make-up, brows and stubble."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

from musetalk.synthetic import strokes
from musetalk.synthetic.looks import BALD, Look
from musetalk.synthetic.surface import Anatomy, bump, smooth_step
from musetalk.synthetic.unwrap import Tile

SLOPE_RANGE = 0.8
"""What a texel of the normal texture can lean, either way."""


@dataclass
class Paint:
    """A tile being painted, all float32: albedo (S, S, 3) linear RGB, height (S, S) cm, wet and hairy (S, S) 0…1."""

    albedo: np.ndarray
    height: np.ndarray
    wet: np.ndarray
    hairy: np.ndarray

    def layer(self, color: np.ndarray, amount: np.ndarray) -> None:
        """Lay `color` (3,) or (S, S, 3) over the albedo, `amount` (S, S) thick."""
        self.albedo += amount[..., None] * (color - self.albedo)

    def tint(self, factor: tuple[float, float, float], amount: np.ndarray) -> None:
        """Multiply the albedo by `factor` where `amount` (S, S) is 1."""
        self.albedo *= 1 + amount[..., None] * (np.array(factor, np.float32) - 1)


def pixel_noise(rng: np.random.Generator, size: int, grain: float) -> np.ndarray:
    """Smooth noise (size, size) of about unit deviation whose grains are `grain` texels wide."""
    count = max(2, round(size / grain))
    coarse = rng.standard_normal((count, count), np.float32)
    if count == size:
        return coarse
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC) * 1.25


class SolidNoise:
    """Noise in space, the same on every tile: it runs on across their borders."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._volume = rng.standard_normal((24, 24, 24), np.float32)

    def __call__(self, tile: Tile, grain: float, shift: float = 0.0) -> np.ndarray:
        """(S, S) of about unit deviation, grains `grain` cm wide."""
        step = max(1, tile.size // 192)
        at = tile.position[::step, ::step] / grain + shift * 7.3 + 11.0
        coarse = ndimage.map_coordinates(self._volume, at.transpose(2, 0, 1), order=1, mode="grid-wrap")
        return cv2.resize(coarse, (tile.size, tile.size), interpolation=cv2.INTER_CUBIC) * 1.5


def paint_skin(tile: Tile, anatomy: Anatomy, look: Look, part: int) -> tuple[np.ndarray, np.ndarray]:
    """Two textures (S, S, 4) uint8 of a tile.

    The first holds the square root of the albedo and how wet it is; the second how the normal leans (±SLOPE_RANGE,
    object axes) and how hairy it is, which makes it shine less and lets less light through.

    Args:
        part: Number of the tile, so that its noise differs from the others'.
    """
    solid = SolidNoise(np.random.default_rng((look.seed, 0)))
    rng = np.random.default_rng((look.seed, 1 + part))
    size = tile.size
    paint = Paint(
        np.broadcast_to(look.skin.tone.astype(np.float32), (size, size, 3)).copy(),
        np.zeros((size, size), np.float32),
        np.full((size, size), 0.10 + 0.55 * look.skin.shine, np.float32),
        np.zeros((size, size), np.float32),
    )
    _complexion(paint, tile, anatomy, look, solid, rng)
    if part == 0:
        _make_up(paint, tile, anatomy, look, solid)
        if look.skin.age > 0.05:
            strokes.wrinkles(paint, tile, anatomy, look.skin.age, rng)
        _lips(paint, tile, anatomy, look, rng)
        strokes.brows(paint, tile, anatomy, look.brows, rng)
    strokes.stubble(paint, tile, anatomy, look.beard, rng)
    _scalp(paint, tile, anatomy, look, solid, rng)
    if look.skin.strokes > 0:
        strokes.brush(paint, look.skin.strokes, rng)
    return _textures(paint, tile, look.style.detail)


def _complexion(
    paint: Paint, tile: Tile, anatomy: Anatomy, look: Look, solid: SolidNoise, rng: np.random.Generator
) -> None:
    skin, size, position = look.skin, tile.size, tile.position
    large, middle = solid(tile, 4.5), solid(tile, 1.4, 1.0)
    fine, dust = pixel_noise(rng, size, 7), pixel_noise(rng, size, 2.2)
    paint.albedo *= 1 + skin.mottling * (
        np.array([0.05, 0.10, 0.11], np.float32) * large[..., None]
        + np.array([0.03, 0.05, 0.055], np.float32) * middle[..., None]
        + 0.035 * fine[..., None]
        + 0.02 * dust[..., None]
    )
    paint.tint((1.06, 0.70, 0.70), skin.blush * anatomy.cheeks(position) * np.clip(0.8 + 0.3 * middle, 0.2, 1.3))
    if skin.blotches > 0:
        paint.tint((0.80, 0.62, 0.55), skin.blotches * smooth_step(0.9, 1.6, solid(tile, 2.2, 2.0)))
        paint.tint((1.25, 1.3, 1.35), skin.blotches * 0.7 * smooth_step(1.0, 1.5, solid(tile, 2.8, 3.0)))
    if skin.freckles > 0:
        face = smooth_step(-7, 1, position[..., 1]) * (0.35 + 0.65 * anatomy.cheeks(position))
        spots = smooth_step(1.25, 1.9, pixel_noise(rng, size, 5) + 0.35 * middle)
        paint.tint((0.66, 0.48, 0.40), skin.freckles * face * spots)
    if skin.paint is not None:
        patch = smooth_step(0.2, 0.5, solid(tile, 5.0, 5.0))
        paint.layer(skin.paint.astype(np.float32), 0.85 * patch)
    for _ in range(skin.spots if len(position) >= 512 else 0):
        strokes.spot(paint, tile, rng)
    relief = 0.0035 * pixel_noise(rng, size, 2.6) + 0.004 * fine
    if size >= 1024:  # pores are finer than the texels of smaller tiles
        paint.height += skin.pores * relief
    paint.height += 0.012 * skin.mottling * middle * (0.3 + skin.age)
    rough = np.clip(1 - 0.25 * np.abs(middle) - 0.12 * dust, 0.4, 1.2)
    oily = bump(position[..., 0], 0, 2.2) * (position[..., 2] > 8)
    paint.wet *= rough * (0.75 + 0.5 * oily)


def _make_up(paint: Paint, tile: Tile, anatomy: Anatomy, look: Look, solid: SolidNoise) -> None:
    eyes, position = look.eyes, tile.position
    distance, height = anatomy.eye(position), anatomy.above_eye(position)
    lid = smooth_step(-0.9, -0.15, distance) * smooth_step(0.0, 0.35, height)
    paint.layer(
        eyes.shadow.astype(np.float32), eyes.shadow_amount * lid * np.clip(0.9 + 0.2 * solid(tile, 0.7), 0.4, 1)
    )
    under = bump(height, -0.75, 0.45) * smooth_step(-1.4, -0.6, distance)
    paint.tint((0.80, 0.70, 0.74), eyes.rings * under)
    rim = smooth_step(-0.16, -0.03, distance)
    upper = 0.35 + 0.65 * smooth_step(-0.1, 0.2, height)
    paint.tint((0.85, 0.68, 0.68), 0.5 * rim)  # the red rim of a lid
    paint.layer(np.array([0.012, 0.008, 0.008], np.float32), eyes.liner * upper * rim)


def _lips(paint: Paint, tile: Tile, anatomy: Anatomy, look: Look, rng: np.random.Generator) -> None:
    lips, position, size = look.lips, tile.position, tile.size
    distance = anatomy.lip(position) + lips.height
    seam = np.abs(anatomy.seam(position))
    waver = 0.03 * pixel_noise(rng, size, 9) * (1 - lips.edge)
    soft = 0.16 - 0.13 * lips.edge
    on = smooth_step(-soft, soft * 0.6, distance + waver)
    # creases run across the lips: they are long where the noise is stretched along the height of the face
    crease = cv2.resize(
        rng.standard_normal((max(2, size // 26), size // 3), np.float32), (size, size), interpolation=cv2.INTER_LINEAR
    )
    fine = pixel_noise(rng, size, 4)
    shade = 1 + lips.creases * (0.10 * crease + 0.05 * fine)
    color = lips.color.astype(np.float32) * shade[..., None]
    inside = smooth_step(0.55, 0.05, seam) * lips.inner
    color = color * (1 - inside[..., None] * np.array([0.30, 0.50, 0.45], np.float32))
    paint.layer(color, on)
    paint.tint((0.55, 0.42, 0.42), lips.liner * np.exp(-(((distance - 0.02) / 0.06) ** 2)))
    paint.tint((0.72, 0.62, 0.62), 0.6 * on * smooth_step(0.09, 0.0, seam))
    paint.wet = paint.wet * (1 - on) + on * np.clip(
        lips.wet * (0.75 + 0.2 * crease) + 0.35 * smooth_step(0.3, 0.0, seam), 0.05, 1
    )
    paint.height = paint.height * (1 - on) + on * lips.creases * (0.010 * crease + 0.004 * fine)
    rim = np.exp(-(((distance + 0.05) / 0.09) ** 2))
    paint.height += 0.012 * rim
    paint.tint((1.10, 1.08, 1.06), 0.45 * rim * (1 - lips.edge))


def _scalp(paint: Paint, tile: Tile, anatomy: Anatomy, look: Look, solid: SolidNoise, rng: np.random.Generator) -> None:
    hair = look.hair
    line = anatomy.hairline(tile.position) - hair.shift
    ragged = 0.25 * solid(tile, 0.8, 4.0) + 0.15 * pixel_noise(rng, tile.size, 3)
    if hair.kind == BALD:
        fringe = smooth_step(0.0, 1.0, line + ragged) * 0.16
        paint.layer(hair.color.astype(np.float32), fringe)
        return
    on = smooth_step(-0.35, 0.35, line + ragged)
    lock = solid(tile, 0.9, 6.0)
    strand = pixel_noise(rng, tile.size, 2.5)
    color = hair.color.astype(np.float32) * np.clip(0.62 + 0.14 * lock + 0.13 * strand, 0.2, 1.3)[..., None]
    paint.layer(color, on)
    paint.height = paint.height * (1 - on) + on * (0.03 * lock + 0.012 * strand)
    paint.wet = paint.wet * (1 - on) + on * 0.25 * hair.gloss
    paint.hairy = np.maximum(paint.hairy, on)


def _textures(paint: Paint, tile: Tile, detail: float) -> tuple[np.ndarray, np.ndarray]:
    if detail < 1:
        smooth = cv2.GaussianBlur(paint.albedo, (0, 0), tile.size / 130)
        paint.albedo = smooth + detail * (paint.albedo - smooth)
    slope = np.clip(-tile.slope(paint.height) * detail, -SLOPE_RANGE, SLOPE_RANGE)
    first = np.dstack([np.sqrt(np.clip(paint.albedo, 0, 1)), np.clip(paint.wet, 0, 1)])
    second = np.dstack([slope / (2 * SLOPE_RANGE) + 0.5, np.clip(paint.hairy, 0, 1)])
    return np.round(255 * first).astype(np.uint8), np.round(255 * second).astype(np.uint8)
