"""Hair as ribbons: locks that leave the scalp, follow the comb, fall and keep out of the head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from musetalk.synthetic.head_model import HeadModel
from musetalk.synthetic.looks import (
    BALD,
    BOB,
    BUZZ,
    CURLY,
    FRINGE,
    LONG,
    PARTED,
    SHORT,
    SLICK,
    SPIKES,
    TAIL,
    BeardLook,
    HairLook,
)
from musetalk.synthetic.pieces import Piece, ball, join, ribbons, unit
from musetalk.synthetic.strokes import beard_weight
from musetalk.synthetic.surface import Anatomy


@dataclass(frozen=True)
class _Cut:
    """`count` locks of `points` points, half as wide as `width` cm, lifted off the scalp by `lift`, pulled by `weight`.

    `cling` 0…1: how closely they keep to the head. `front`, `side`, `back`: lengths in cm by where the root is.
    """

    count: int
    points: int
    width: float
    lift: float
    weight: float
    cling: float
    front: float
    side: float
    back: float


_CUTS = {
    SHORT: _Cut(1000, 5, 0.34, 0.25, 0.6, 0.7, 3.2, 2.4, 2.4),
    PARTED: _Cut(850, 8, 0.38, 0.35, 0.8, 0.75, 8.0, 4.0, 4.0),
    FRINGE: _Cut(850, 8, 0.38, 0.25, 1.2, 0.6, 7.5, 5.0, 6.0),
    SLICK: _Cut(850, 8, 0.34, 0.15, 0.5, 0.9, 8.0, 6.0, 5.0),
    BOB: _Cut(560, 10, 0.50, 0.3, 1.6, 0.7, 16.0, 13.0, 13.0),
    LONG: _Cut(480, 12, 0.55, 0.3, 1.8, 0.7, 28.0, 27.0, 27.0),
    CURLY: _Cut(1000, 8, 0.26, 0.7, 0.4, 0.25, 6.0, 5.5, 5.5),
    TAIL: _Cut(700, 8, 0.34, 0.08, 0.3, 0.95, 9.0, 8.0, 7.0),
    SPIKES: _Cut(420, 6, 0.85, 0.5, 0.5, 0.3, 8.0, 6.5, 7.0),
}
CAP_VOLUME = {SHORT: 0.6, PARTED: 0.8, FRINGE: 0.7, SLICK: 0.5, BOB: 0.9, LONG: 0.9, CURLY: 1.6, TAIL: 0.4, SPIKES: 0.9}
"""Centimetres by which the scalp itself is raised under the locks, at a volume of 1."""


def raised_scalp(head: HeadModel, anatomy: Anatomy, base: np.ndarray, look: HairLook) -> np.ndarray:
    """`base` (V, 3) with the hair's bulk added to the scalp."""
    if look.kind in (BALD, BUZZ):
        return base
    cover = np.clip((anatomy.hairline(head.neutral) - look.shift) / 1.6, 0, 1)[:, None]
    skin = np.zeros((len(base), 1))
    skin[head.materials["M_Face"]] = skin[head.materials["M_BackHead"]] = 1
    x, y, z = (head.neutral[:, i : i + 1] for i in range(3))
    phase = np.random.default_rng(look.seed).uniform(0, 6, 3)
    waves = 0.8 + 0.2 * np.sin(2.1 * x + z + phase[0])
    if look.kind == CURLY:
        waves = waves + 0.25 * np.sin(3.1 * x + phase[1]) * np.sin(2.7 * y + phase[2]) * np.sin(2.9 * z)
    raised = head.normals(base) * cover * skin * CAP_VOLUME[look.kind] * look.volume * waves
    return (base + raised).astype(np.float32)


def _roots(
    head: HeadModel, weight: np.ndarray, base: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 3) on skin triangles, more where the vertices' weight (V,) is larger, and a vertex of each."""
    skin = np.isin(head.triangle_material, ("M_Face", "M_BackHead"))
    triangles = head.triangles[skin]
    a, b, c = (base[triangles[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    chance = area * weight[triangles].min(axis=1)
    if chance.sum() <= 0:
        return np.zeros((0, 3)), np.zeros(0, int)
    chosen = rng.choice(len(triangles), count, p=chance / chance.sum())
    u, v = rng.random(count), rng.random(count)
    u, v = np.where(u + v > 1, 1 - u, u)[:, None], np.where(u + v > 1, 1 - v, v)[:, None]
    return a[chosen] * (1 - u - v) + b[chosen] * u + c[chosen] * v, triangles[chosen, 0]


def _comb(kind: str, roots: np.ndarray, normals: np.ndarray, parting: float, rng: np.random.Generator) -> np.ndarray:
    """The way (n, 3) the locks are combed at their roots."""
    x, y, z = roots.T
    count = len(roots)
    ones = np.ones(count)
    side = np.sign(x - 3.0 * parting) * np.clip(np.abs(x - 3.0 * parting) / 2.0, 0.15, 1)
    top = np.clip((y - 6.5) / 4, 0, 1)
    if kind == SHORT:
        flow = np.stack([0.25 * side, -0.6 * ones, 0.9 * np.sign(z + 1) * top + 0.1], 1)
    elif kind == FRINGE:
        flow = np.stack([0.25 * side, -0.55 * ones, np.where(z > -3, 1.0, -0.8) * top], 1)
    elif kind in (PARTED, BOB, LONG):
        flow = np.stack([1.2 * side, -0.5 * ones, 0.35 * np.clip(z / 6, -1, 1) * top], 1)
    elif kind in (SLICK, TAIL):
        flow = np.stack([0.15 * side, 0.2 - 0.6 * (1 - top), -1.0 * ones], 1)
    elif kind == SPIKES:
        flow = np.stack([0.7 * side, 0.25 - 0.8 * (1 - top), np.where(z > 1, 0.8, -0.6)], 1)
    else:
        flow = rng.normal(0, 1, (count, 3))
    flow = flow + rng.normal(0, 0.16 if kind != SPIKES else 0.35, (count, 3))
    flow = flow - (flow * normals).sum(1, keepdims=True) * normals
    return unit(flow)


def _keep_off_face(paths: np.ndarray, lowest: float) -> np.ndarray:
    """Locks cut short where they would hang before the face below `lowest` (y, cm)."""
    x, y, z = (paths[..., i] for i in range(3))
    open_to = 4.0 + 0.35 * np.clip(z - 9, 0, 3)
    before = (np.abs(x) < open_to) & (y < lowest + 0.09 * x * x) & (z > 4.5)
    points = paths.shape[1]
    first = np.where(before.any(1), before.argmax(1), points)
    share = np.clip(first / points, 0.12, 1.0)
    at = np.linspace(0, 1, points)[None] * share[:, None] * (points - 1)
    low = np.clip(at.astype(int), 0, points - 2)
    part = (at - low)[..., None]
    rows = np.arange(len(paths))[:, None]
    return paths[rows, low] * (1 - part) + paths[rows, low + 1] * part


def hair_piece(head: HeadModel, anatomy: Anatomy, base: np.ndarray, look: HairLook) -> Piece | None:
    """The locks on a head `base` (V, 3) whose scalp is raised; None for the bald and the closely cut."""
    if look.kind not in _CUTS:
        return None
    cut = _CUTS[look.kind]
    rng = np.random.default_rng((look.seed, 3))
    line = anatomy.hairline(head.neutral) - look.shift
    points, vertices = _roots(head, np.clip(line / 0.6, 0, 1), base, cut.count, rng)
    if not len(points):
        return None
    every_normal = head.normals(base)
    normals = every_normal[vertices]
    if look.kind == TAIL:
        pieces = [_tail(base, look, rng)]
    else:
        pieces = []
    _, y, z = points.T
    front = np.clip((z - 2) / 4, 0, 1) * np.clip((y - 5) / 3, 0, 1)
    back = np.clip((-z - 1) / 4, 0, 1)
    length = cut.side + (cut.front - cut.side) * front + (cut.back - cut.side) * back
    length = length * look.length * rng.uniform(0.75, 1.15, len(points))
    direction = unit(_comb(look.kind, points, normals, look.parting, rng) + cut.lift * normals)
    skull = np.concatenate([head.materials["M_Face"], head.materials["M_BackHead"]])[::3]
    tree = cKDTree(base[skull])
    clearance = 0.06 + 0.45 * rng.random(len(points)) * look.volume * (0.5 if cut.cling > 0.8 else 1.0)
    path = [points - 0.1 * normals]
    curl_phase = rng.uniform(0, 2 * np.pi, len(points))
    step = length / (cut.points - 1)
    for index in range(1, cut.points):
        direction = direction + np.array([0, -1.0, 0]) * cut.weight * 0.22 * (step / 0.8)[:, None]
        if look.curl > 0:
            turn = curl_phase + index * (0.9 + 1.3 * look.curl)
            swirl = np.stack([np.cos(turn), 0.4 * np.sin(turn), np.sin(turn)], 1)
            direction = direction + look.curl * (0.75 if look.kind == CURLY else 0.35) * swirl
        direction = unit(direction)
        moved = path[-1] + direction * step[:, None]
        _, nearest = tree.query(moved)
        surface, outward = base[skull[nearest]], every_normal[skull[nearest]]
        depth = ((moved - surface) * outward).sum(1)
        moved = moved + outward * np.maximum(clearance - depth, 0)[:, None]
        # what stands out further than its layer is drawn back to it, while it is beside the skull
        loose = np.maximum(depth - clearance - 0.3, 0) * np.clip((moved[:, 1] + 1.0) / 3.0, 0, 1)
        moved = moved - outward * (cut.cling * loose)[:, None]
        direction = unit(moved - path[-1])
        path.append(moved)
    paths = np.stack(path, axis=1)
    lowest = {FRINGE: 4.6, SHORT: 7.2, CURLY: 6.5, SPIKES: 3.6}.get(look.kind, 5.6)
    paths = _keep_off_face(paths, lowest - 0.6 * (look.length - 1))
    outward = unit(paths - np.array([0.0, 2.0, 0.0]) * [0, 1, 0] - np.array([0.0, 0.0, -0.5]))
    along = np.linspace(0, 1, cut.points)
    blunt = 3.0 if look.kind in (BOB, LONG) else 1.8
    taper = np.clip(1.0 - along**blunt, 0.06, 1)[None] * (0.15 + 0.85 * np.clip(along / 0.25, 0, 1))[None]
    width = cut.width * rng.uniform(0.6, 1.3, (len(points), 1)) * taper
    pieces.append(ribbons(paths, outward, width, _colors(look, paths, rng)))
    return join(pieces)


def _colors(look: HairLook, paths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    count = len(paths)
    shade = np.exp(rng.normal(0, 0.22, (count, 1)))
    tone = look.color * shade * (1 + rng.normal(0, 0.04, (count, 3)))
    # streaks come in neighbouring locks
    wave = np.sin(paths[:, 0, 0] * 1.3 + look.seed % 7) + np.sin(paths[:, 0, 1] * 0.7 + paths[:, 0, 2] * 0.9)
    streaked = (
        wave > np.quantile(wave, 1 - np.clip(look.streaks, 0, 0.98)) if look.streaks > 0 else np.zeros(count, bool)
    )
    tone[streaked] = look.streak * shade[streaked]
    along = np.linspace(0, 1, paths.shape[1])[None, :, None]
    return np.clip(tone[:, None] * (0.55 + 0.55 * along), 0, 1)


def _tail(base: np.ndarray, look: HairLook, rng: np.random.Generator) -> Piece:
    """A bun, or a tail that swings out behind the head."""
    back = base[base[:, 1] > 3]
    knot = back[np.argmin(back[:, 2] - 0.35 * back[:, 1])] + [0, 0.5, -0.8]
    if rng.random() < 0.4:
        knot = np.array([0.0, back[:, 1].max() - 0.5, knot[2] * 0.4])
        return ball(knot, np.array([2.6, 2.2, 2.6]) * (0.8 + 0.4 * look.volume), look.color, 14)
    count, points = 160, 12
    spread = rng.normal(0, 1, (count, 3)) * [1, 0.4, 1]
    along = np.linspace(0, 1, points)[None, :, None]
    side = rng.choice([-1.0, 1.0])
    reach = np.array([side * 9.0, -26.0, -3.0]) * look.length
    rise = np.array([side * 3.0, 4.0, -4.0])
    paths = knot + rise * np.sin(np.pi * np.clip(along * 1.3, 0, 1)) + reach * along**1.6
    paths = paths + spread[:, None] * (0.6 + 2.6 * np.sin(np.pi * along * 0.9))
    width = 0.4 * np.clip(1.0 - along[..., 0] ** 3, 0.05, 1) * np.ones((count, 1))
    outward = unit(spread[:, None] + np.array([0, 0, -0.6]) + 0 * paths)
    return ribbons(paths, outward, width, _colors(look, paths, rng))


def beard_piece(head: HeadModel, anatomy: Anatomy, base: np.ndarray, look: BeardLook, seed: int) -> Piece | None:
    """Hairs of chin, jaw and upper lip that stand out, carried along by the skin; None where there are none."""
    whole = max(look.chin, look.jaw, look.moustache)
    if whole < 0.3 or look.length < 0.15:
        return None
    rng = np.random.default_rng((seed, 5))
    weight = beard_weight(anatomy, head.neutral, look)
    skin = np.zeros(len(base), bool)
    skin[head.materials["M_Face"]] = True
    weight = np.where(skin, weight, 0) ** 1.5
    count = int(700 + 2300 * whole)
    points, vertices = _roots(head, weight, base, count, rng)
    if not len(points):
        return None
    normals = head.normals(base)[vertices]
    neutral = head.neutral[vertices]
    lip_top = anatomy.landmarks[51, 1]
    upper = neutral[:, 1] > anatomy.landmarks[62, 1]
    length = look.length * rng.uniform(0.6, 1.2, count) * np.where(upper, 0.0, 1.0)
    hang = np.clip(neutral[:, 1] - lip_top + 0.15 + 0.45 * look.over_lip, 0.15, 0.9)
    length = np.where(upper, hang * rng.uniform(0.6, 1.1, count), length)
    side = np.sign(neutral[:, 0]) * np.clip(np.abs(neutral[:, 0]) / 1.5, 0, 1)
    direction = np.stack([0.55 * side, np.full(count, -1.0), np.full(count, 0.25)], 1)
    direction = unit(direction + 0.55 * normals + rng.normal(0, 0.25, (count, 3)))
    points_per = 4
    steps = np.linspace(0, 1, points_per)[None, :, None]
    paths = points[:, None] - 0.03 * normals[:, None] + direction[:, None] * length[:, None, None] * steps
    paths = paths + np.array([0, -0.35, 0]) * length[:, None, None] * steps**2
    along = np.linspace(0, 1, points_per)[None]
    width = (
        rng.uniform(0.016, 0.034, (count, 1)) * (1 + 0.5 * np.clip(look.length, 0, 2)) * np.clip(1.1 - along**2, 0.1, 1)
    )
    outward = np.broadcast_to(normals[:, None], paths.shape)
    shade = np.exp(rng.normal(0, 0.3, (count, 1)))
    color = look.color * shade
    grey = rng.random(count) < look.grey
    color[grey] = np.array([0.45, 0.44, 0.42]) * shade[grey]
    return ribbons(paths, outward, width, np.clip(color, 0, 1), vertices)
