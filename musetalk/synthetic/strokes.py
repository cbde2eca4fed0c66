"""Single marks on the skin: hairs of brows and stubble, wrinkles, moles, a painter's brush."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from musetalk.synthetic.looks import BeardLook, BrowLook
from musetalk.synthetic.surface import Anatomy, smooth_step
from musetalk.synthetic.unwrap import Tile

if TYPE_CHECKING:
    from musetalk.synthetic.skin import Paint

_SHIFT = 4
"""Binary digits of the fraction in drawn coordinates."""


def _texels(tile: Tile, roots: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Directions (n, 3) in cm at texels `roots` (n, 2: row, column) as (n, 2) texels (x, y)."""
    per_cm = tile.per_cm[roots[:, 0], roots[:, 1]]
    return np.einsum("nij,nj->ni", per_cm, direction)


def _draw(canvas: np.ndarray, lines: np.ndarray, strength: int, width: int = 1) -> None:
    """Draw lines (n, k, 2) of texels (x, y) into a uint8 canvas."""
    scaled = np.round(lines * (1 << _SHIFT)).astype(np.int32)
    cv2.polylines(canvas, list(scaled), False, (strength,), width, cv2.LINE_AA, _SHIFT)


def _scatter(rng: np.random.Generator, weight: np.ndarray, count: int) -> np.ndarray:
    """Texels (n, 2: row, column), about `count`, more of them where `weight` (S, S) 0…1 is larger."""
    candidates = rng.integers(0, len(weight), (6 * count, 2))
    kept = candidates[rng.random(len(candidates)) < weight[candidates[:, 0], candidates[:, 1]]]
    return kept[:count]


def _hairs(tile: Tile, roots: np.ndarray, direction: np.ndarray, length: np.ndarray, bend: np.ndarray) -> np.ndarray:
    """Curved lines (n, 4, 2) of texels from `roots`."""
    along = _texels(tile, roots, direction * length[:, None])
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) * bend[:, None]
    steps = np.linspace(0, 1, 4)[None, :, None]
    start = roots[:, None, ::-1].astype(np.float64)
    return start + along[:, None] * steps + across[:, None] * steps**2


def brows(paint: Paint, tile: Tile, anatomy: Anatomy, look: BrowLook, rng: np.random.Generator) -> None:
    """Brow hairs that rise at the inner end and lie down towards the temple."""
    if look.density <= 0.02:
        return
    distance = anatomy.brow(tile.position, look.thickness, look.arch, look.lift)
    distance = np.where(tile.inside, distance, -1)
    weight = smooth_step(-0.06, 0.14, distance)
    roots = _scatter(rng, weight * 0.99, int(420 * look.density * (look.thickness / 0.35)))
    near = np.argwhere(weight > 0.3)
    if len(near) and len(roots) < 50:  # the brows are a small part of the tile
        roots = near[rng.integers(len(near), size=int(500 * look.density))]
    if not len(roots):
        return
    x = tile.position[roots[:, 0], roots[:, 1], 0]
    outer = np.clip((np.abs(x) - 1.2) / 4.5, 0, 1)
    angle = 1.25 * (1 - outer) - 0.35 * outer + rng.normal(0, 0.18, len(roots))
    direction = np.stack([np.sign(x) * np.cos(angle), np.sin(angle), np.zeros(len(x))], axis=1)
    length = rng.uniform(0.25, 0.6, len(roots)) * (0.7 + look.thickness)
    canvas = np.zeros(weight.shape, np.uint8)
    _draw(canvas, _hairs(tile, roots, direction, length, rng.normal(0.1, 0.1, len(roots))), 255)
    amount = np.clip(canvas / 255.0 * (1 - look.drawn) + 0.35 * look.density * weight + look.drawn * weight, 0, 1)
    amount = (amount * (0.55 + 0.45 * look.density)).astype(np.float32)
    paint.layer(look.color.astype(np.float32), amount)
    paint.height += 0.01 * amount * (1 - look.drawn)
    paint.wet *= 1 - 0.7 * amount
    paint.hairy = np.maximum(paint.hairy, 0.8 * amount)


def beard_weight(anatomy: Anatomy, points: np.ndarray, look: BeardLook) -> np.ndarray:
    """How much beard grows at points (..., 3), 0…1; a shaved lip stays free."""
    jaw = anatomy.beard(points)
    chin = jaw * np.exp(-((points[..., 0] / 2.2) ** 2))
    grown = np.maximum(np.maximum(look.jaw * jaw, look.chin * chin), look.moustache * anatomy.moustache(points))
    return grown * smooth_step(0.06, -0.06, anatomy.lip(points))


def stubble(paint: Paint, tile: Tile, anatomy: Anatomy, look: BeardLook, rng: np.random.Generator) -> None:
    """The shadow of a beard and its short hairs."""
    whole = max(look.stubble, look.chin, look.jaw, look.moustache)
    if whole <= 0.02:
        return
    even = BeardLook(look.color, 0, look.stubble, look.stubble, look.stubble, 0, 0, 0)
    weight = np.maximum(beard_weight(anatomy, tile.position, even), beard_weight(anatomy, tile.position, look))
    weight = weight * tile.inside
    shadow = look.color * 0.6 + 0.4 * look.color.mean()
    paint.layer(shadow.astype(np.float32), (0.42 * weight).astype(np.float32))
    count = int(22000 * whole * (tile.size / 1024) ** 2)
    roots = _scatter(rng, weight, count)
    if not len(roots):
        return
    side = np.sign(tile.position[roots[:, 0], roots[:, 1], 0])
    direction = np.stack(
        [0.35 * side + rng.normal(0, 0.4, len(roots)), np.full(len(roots), -1.0), rng.normal(0, 0.3, len(roots))], 1
    )
    length = rng.uniform(0.06, 0.16, len(roots)) * (1 + 2.5 * max(look.chin, look.jaw, look.moustache))
    lines = _hairs(tile, roots, direction, length, rng.normal(0, 0.2, len(roots)))
    grey = rng.random(len(roots)) < look.grey
    for chosen, color in ((~grey, look.color), (grey, np.array([0.5, 0.49, 0.47]))):
        if not chosen.any():
            continue
        canvas = np.zeros(weight.shape, np.uint8)
        _draw(canvas, lines[chosen], 230)
        amount = (canvas / 255.0 * (0.5 + 0.5 * whole)).astype(np.float32)
        paint.layer(color.astype(np.float32), amount)
        paint.height += 0.006 * amount
        paint.hairy = np.maximum(paint.hairy, 0.6 * amount)
    paint.wet *= 1 - 0.5 * weight


def _project(tile: Tile, points: np.ndarray) -> np.ndarray:
    """The texels (n, 2: x, y) nearest to points (n, 3) on the front of the face."""
    step = 4
    coarse = tile.position[::step, ::step].reshape(-1, 3)
    inside = tile.inside[::step, ::step].ravel()
    candidates = np.flatnonzero(inside & (coarse[:, 2] > 0))
    distance = ((coarse[candidates][None, :, :2] - points[:, None, :2]) ** 2).sum(-1)
    # of equally near points the front one: lips and nostrils have layers
    nearest = candidates[np.argmin(distance - 0.01 * coarse[candidates][None, :, 2], axis=1)]
    side = tile.size // step
    return np.stack([nearest % side, nearest // side], axis=1) * float(step)


def _curves(anatomy: Anatomy, rng: np.random.Generator) -> list[tuple[np.ndarray, float, float]]:
    """Wrinkles as curves on the face (k, 2) cm, their width in cm and their depth."""
    marks = anatomy.landmarks
    found: list[tuple[np.ndarray, float, float]] = []
    steps = np.linspace(-1, 1, 14)
    for height in (6.6, 7.5, 8.4)[: rng.integers(1, 4)]:
        wave = height + 0.25 * np.cos(2.2 * steps) + 0.10 * np.sin(5 * steps + rng.uniform(0, 6))
        found.append((np.stack([steps * rng.uniform(3.0, 4.6), wave], 1), 0.16, rng.uniform(0.4, 1.0)))
    for side in (-1, 1):
        nose, corner = marks[35 if side > 0 else 31], marks[54 if side > 0 else 48]
        t = np.linspace(0, 1, 12)[:, None]
        start = nose[:2] + np.array([0.55 * side, 0.35])
        end = corner[:2] + np.array([0.75 * side, -0.3 - rng.uniform(0, 0.9)])
        line = start + (end - start) * t + np.array([0.45 * side, 0]) * np.sin(np.pi * t)
        found.append((line, 0.22, rng.uniform(0.7, 1.4)))
        eye = marks[45 if side > 0 else 36][:2]
        for angle in rng.normal([-0.45, -0.05, 0.35], 0.08):
            away = np.array([side * np.cos(angle), np.sin(angle)])
            found.append((eye + away * (0.35 + 1.2 * t) + np.array([0, 0.12]) * t**2, 0.08, rng.uniform(0.3, 0.9)))
        bag = marks[46 if side > 0 else 41][:2] + np.array([0, -0.65])
        found.append((bag + np.stack([1.3 * steps, -0.25 * np.cos(1.4 * steps)], 1), 0.14, rng.uniform(0.3, 0.8)))
        frown = np.array([0.45 * side, marks[27][1] + 1.2])
        found.append((frown + np.stack([0.05 * steps * side, 0.55 * steps], 1), 0.10, rng.uniform(0.0, 0.8)))
    return found


def wrinkles(paint: Paint, tile: Tile, anatomy: Anatomy, age: float, rng: np.random.Generator) -> None:
    """Forehead, eyes, nose to mouth."""
    texels = tile.size / 27.0  # of a centimetre, about
    for line, width, depth in _curves(anatomy, rng):
        canvas = np.zeros(tile.inside.shape, np.uint8)
        points = np.column_stack([line, np.zeros(len(line))])
        path = _project(tile, points)
        path = np.stack([np.convolve(np.pad(path[:, i], 2, "edge"), np.ones(5) / 5, "valid") for i in (0, 1)], 1)
        _draw(canvas, path[None], 255, 2)
        soft = cv2.GaussianBlur(canvas.astype(np.float32) / 255, (0, 0), width * texels)
        peak = float(soft.max())
        if peak <= 0:
            continue
        soft = soft * np.float32(age * depth / peak)
        paint.height -= 0.05 * soft
        paint.tint((0.86, 0.78, 0.76), 0.55 * soft)


def spot(paint: Paint, tile: Tile, rng: np.random.Generator) -> None:
    """A mole or a pimple somewhere."""
    x, y = rng.integers(0, tile.size, 2)
    radius = rng.uniform(0.03, 0.13) * tile.size / 27.0
    canvas = np.zeros(tile.inside.shape, np.uint8)
    cv2.circle(canvas, (int(x), int(y)), max(1, round(radius)), (255,), -1, cv2.LINE_AA)
    soft = cv2.GaussianBlur(canvas.astype(np.float32) / 255, (0, 0), 0.4 * radius + 0.5)
    if rng.random() < 0.5:
        paint.tint((0.35, 0.24, 0.20), 0.9 * soft)
        paint.height += 0.02 * soft
    else:
        paint.tint((1.0, 0.6, 0.58), 0.7 * soft)
        paint.height += 0.03 * soft


def brush(paint: Paint, amount: float, rng: np.random.Generator) -> None:
    """Broad strokes of slightly different paint."""
    size = len(paint.height)
    tone = np.full((size, size), 128, np.uint8)
    count = 700
    start = rng.uniform(0, size, (count, 2))
    angle = rng.normal(0.9, 0.7, count)
    reach = rng.uniform(0.02, 0.09, count) * size
    end = start + np.stack([np.cos(angle), np.sin(angle)], 1) * reach[:, None]
    for a, b, level in zip(start, end, rng.integers(70, 190, count), strict=True):
        ends = (int(a[0]), int(a[1])), (int(b[0]), int(b[1]))
        cv2.line(tone, *ends, (int(level),), int(rng.integers(4, 16)), cv2.LINE_AA)
    delta = (tone.astype(np.float32) - 128) / 128
    paint.albedo *= (1 + 0.28 * amount * delta)[..., None]
    paint.height += 0.01 * amount * delta
