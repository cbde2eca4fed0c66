"""What happens to the drawn picture before it is a video frame: a painter's hand, or lens, sensor and compression."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from musetalk.synthetic.looks import StyleLook

_NOISE_MARGIN = 64


@dataclass(frozen=True)
class Lens:
    """What the sensor does to the finished picture.

    Attributes:
        blur: Sigma in pixels.
        noise: Sigma in grey levels; `color_noise` is the share of it that differs between the channels.
        jpeg: Quality; 0: none.
        saturation, contrast: Factors.
        white_balance: (3,) RGB gain.
        fade: Grey levels by which black is lifted.
        vignette: 0…1 how dark the corners are.
        low_resolution: Factor at which the picture was once taken; 1: as it is.
        shutter: Share of the time between frames during which it is open; blurs motion.
    """

    blur: float = 0.0
    noise: float = 0.0
    jpeg: int = 0
    saturation: float = 1.0
    white_balance: np.ndarray | tuple[float, float, float] = (1.0, 1.0, 1.0)
    contrast: float = 1.0
    fade: float = 0.0
    vignette: float = 0.0
    color_noise: float = 0.3
    low_resolution: float = 1.0
    shutter: float = 0.0


def random_lens(rng: np.random.Generator) -> Lens:
    """From a clean studio camera to an old phone."""
    return Lens(
        blur=float(rng.choice([0.0, rng.uniform(0, 0.6), rng.uniform(0.4, 1.4)], p=(0.4, 0.4, 0.2))),
        noise=float(rng.choice([0.0, rng.uniform(0.3, 2.5), rng.uniform(2, 6)], p=(0.3, 0.55, 0.15))),
        jpeg=int(rng.choice([0, rng.integers(50, 96)], p=(0.7, 0.3))),
        saturation=rng.uniform(0.65, 1.3) if rng.random() > 0.04 else 0.0,
        white_balance=rng.normal(1, 0.05, 3),
        contrast=rng.uniform(0.8, 1.2),
        fade=float(rng.choice([0.0, rng.uniform(2, 24)], p=(0.75, 0.25))),
        vignette=float(rng.choice([0.0, rng.uniform(0.1, 0.5)], p=(0.75, 0.25))),
        color_noise=rng.uniform(0, 0.8),
        low_resolution=float(rng.choice([1.0, rng.uniform(0.5, 0.9)], p=(0.85, 0.15))),
        shutter=float(rng.choice([0.0, rng.uniform(0.2, 0.8)], p=(0.4, 0.6))),
    )


@lru_cache(maxsize=4)
def _noise_sheet(size: int) -> np.ndarray:
    """(size + margin, size + margin, 4) int8 of deviation 32: three channels, and one that all share."""
    rng = np.random.default_rng(size)
    side = size + _NOISE_MARGIN
    return np.clip(rng.normal(0, 32, (side, side, 4)), -127, 127).astype(np.int8)


@lru_cache(maxsize=8)
def _vignette(size: int, amount: float) -> np.ndarray:
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    shade = 1 - amount * np.clip((x * x + y * y) / 2, 0, 1) ** 1.5
    return np.round(255 * np.dstack([shade] * 3)).astype(np.uint8)


def _motion_kernel(motion: tuple[float, float]) -> np.ndarray | None:
    length = float(np.hypot(*motion))
    if length < 0.9:
        return None
    side = 2 * int(np.ceil(length / 2)) + 1
    kernel = np.zeros((side * 8, side * 8), np.float32)
    middle, half = side * 4, np.array(motion) * 4
    a, b = middle - half, middle + half
    cv2.line(kernel, (int(a[0]), int(a[1])), (int(b[0]), int(b[1])), (1.0,), 8)
    small: np.ndarray = cv2.resize(kernel, (side, side), interpolation=cv2.INTER_AREA)
    return small / small.sum()


def blur_motion(layer: np.ndarray, motion: tuple[float, float]) -> np.ndarray:
    """A drawn layer (h, w, 4) smeared along `motion` (x, y) in pixels."""
    kernel = _motion_kernel(motion)
    return layer if kernel is None else cv2.filter2D(layer, -1, kernel)


def apply_lens(image: np.ndarray, lens: Lens, rng: np.random.Generator) -> np.ndarray:
    """BGR uint8 (s, s, 3) → the same, as the sensor would deliver it."""
    size = image.shape[0]
    picture = image
    if lens.low_resolution < 1:
        small = max(16, round(size * lens.low_resolution))
        picture = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
    if lens.blur > 0.15:
        picture = cv2.GaussianBlur(picture, (0, 0), lens.blur)
    picture = cv2.transform(picture, _color_matrix(lens))
    if lens.vignette:
        picture = cv2.multiply(picture, _vignette(picture.shape[0], lens.vignette), scale=1 / 255)
    shift = rng.integers(0, _NOISE_MARGIN, 2)
    if lens.noise:
        side = picture.shape[0]
        sheet = _noise_sheet(size)[shift[0] : shift[0] + side, shift[1] : shift[1] + side]
        scale = lens.noise / 32
        mixing = np.hstack([np.eye(3) * lens.color_noise, np.full((3, 1), 1 - lens.color_noise)]) * scale
        grain = cv2.transform(sheet.astype(np.float32), mixing.astype(np.float32))
        picture = cv2.add(picture, grain, dtype=cv2.CV_8U)
    if picture.shape[0] != size:
        picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_CUBIC)
    if lens.jpeg:
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, lens.jpeg])
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return picture


def _color_matrix(lens: Lens) -> np.ndarray:
    """(3, 4) on BGR: saturation, white balance, contrast about middle grey, lifted black."""
    grey = np.full((3, 3), 1 / 3)
    matrix = grey + (np.eye(3) - grey) * lens.saturation
    matrix = np.diag(np.asarray(lens.white_balance, np.float64)[::-1]) @ matrix * lens.contrast
    offset = 118 * (1 - lens.contrast)
    lift = 1 - lens.fade / 255
    return np.hstack([matrix * lift, np.full((3, 1), offset * lift + lens.fade)]).astype(np.float32)


def paint_over(image: np.ndarray, style: StyleLook) -> np.ndarray:
    """BGR uint8 → the same as the style's painter would leave it."""
    picture = image
    if style.smear:
        picture = _smeared(picture, style.smear)
    if style.levels:
        table = np.arange(256, dtype=np.float32) / 255 * (style.levels - 1)
        steps = np.floor(table) + np.clip((table - np.floor(table) - 0.5) * 4 + 0.5, 0, 1)
        picture = cv2.LUT(picture, np.round(steps / (style.levels - 1) * 255).astype(np.uint8))
    if style.outlook:
        grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), (0, 0), 1.0)
        ink = cv2.subtract(cv2.GaussianBlur(grey, (0, 0), 2.2), grey)
        ink = np.clip(ink.astype(np.float32) * 9 - 30, 0, 255) * style.outlook
        rest = np.round(255 - ink).astype(np.uint8)
        picture = cv2.multiply(picture, cv2.merge([rest, rest, rest]), scale=1 / 255)
    return picture


def _smeared(image: np.ndarray, radius: int) -> np.ndarray:
    """Each pixel as the calmest of the four squares at whose corner it lies (Kuwahara)."""
    side = radius + 1
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    mean = cv2.blur(image, (side, side))
    first = cv2.blur(grey, (side, side))
    spread = cv2.blur(grey * grey, (side, side)) - first * first
    reach = side // 2
    best: np.ndarray | None = None
    result = mean
    for dy in (-reach, reach):
        for dx in (-reach, reach):
            shift = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
            size = image.shape[1::-1]
            moved = cv2.warpAffine(spread, shift, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
            colors = cv2.warpAffine(mean, shift, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
            if best is None:
                best, result = moved, colors
            else:
                calmer = moved < best
                best = np.minimum(best, moved)
                result = np.where(calmer[..., None], colors, result)
    return result
