"""Talking-head clips: one person who speaks, moves and blinks, in a whole picture; with the true landmarks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from musetalk.synthetic.appearance import random_look
from musetalk.synthetic.backgrounds import random_background
from musetalk.synthetic.camera import Pose, project
from musetalk.synthetic.lens import Lens, apply_lens, blur_motion, paint_over, random_lens
from musetalk.synthetic.lighting import random_lighting
from musetalk.synthetic.looks import Lighting, Look
from musetalk.synthetic.motion import FRAME_RATE, Motion, random_motion, smooth_motion
from musetalk.synthetic.mouth_channels import CHANNELS, lip_gap
from musetalk.synthetic.person import Mouth
from musetalk.synthetic.renderer import Renderer, compose

__all__ = ["FRAME_RATE", "Performer", "Shot", "film", "film_takes", "random_performer", "smooth_motion"]


@dataclass(frozen=True)
class Performer:
    """Who is filmed, and how."""

    look: Look
    lighting: Lighting
    lens: Lens
    background: np.ndarray  # BGR uint8 (s, s, 3)
    pose: Pose
    lopsided: float = 0.0  # how much more the left half of the mouth moves, −1…1


@dataclass(frozen=True)
class Shot:
    """One frame of one take.

    Attributes:
        image: BGR uint8 (s, s, 3).
        landmarks: (68, 2) float64 pixels.
        gap, width: Centimetres between the inner lips (the mean of three places) and between the mouth's corners, on
            the head itself.
    """

    image: np.ndarray
    landmarks: np.ndarray
    gap: float
    width: float


@dataclass(frozen=True)
class Take:
    """A mouth for every frame: `curves` (n, C) of CHANNELS, `tongue` (n, 2), and other `expression` by name, (n,)."""

    curves: np.ndarray
    tongue: np.ndarray
    expression: dict[str, np.ndarray]

    @classmethod
    def of(cls, curves: np.ndarray) -> Take:
        """A take of the mouth alone."""
        return cls(curves, np.zeros((len(curves), 2)), {})


def random_performer(rng: np.random.Generator, renderer: Renderer) -> Performer:
    """A random person in half-length view, in ordinary light, before a clean camera."""
    look = random_look(rng, len(renderer.head.identity_deltas))
    look = replace(look, expression={name: 0.3 * value for name, value in look.expression.items()})
    pose = Pose(yaw=float(rng.normal(0, 0.1)), pitch=float(rng.normal(0.03, 0.05)), offset=(0.0, 1.5), distance=100.0)
    lens = Lens(blur=0.4, noise=1.0)
    return Performer(look, random_lighting(rng), lens, random_background(rng, renderer.size), pose)


def random_camera(rng: np.random.Generator) -> Pose:
    """Close or far, through a wide or a long lens; the head is 0.46 … 0.85 of the picture high."""
    field = float(np.exp(rng.uniform(np.log(11), np.log(46))))
    share = rng.uniform(0.46, 0.85)
    head_height = 24.0
    distance = head_height / share / (2 * np.tan(np.radians(field) / 2))
    yaw = float(np.clip(rng.normal(0, 0.16), -0.6, 0.6))
    return Pose(
        yaw=yaw,
        pitch=float(np.clip(rng.normal(0.03, 0.09), -0.3, 0.3)),
        roll=float(np.clip(rng.normal(0, 0.04), -0.2, 0.2)),
        offset=(float(rng.normal(0, 1.4)), float(rng.normal(-1.5 + 7 * (0.85 - share), 0.8))),
        distance=float(np.clip(distance, 34, 330)),
        field_of_view=field,
        body_yaw=0.6 * yaw + float(rng.normal(0, 0.12)),
        body_roll=float(rng.normal(0, 0.02)),
    )


def random_shoot(rng: np.random.Generator, renderer: Renderer) -> Performer:
    """Any person, light, background, camera and lens."""
    look = random_look(rng, len(renderer.head.identity_deltas))
    lens = random_lens(rng)
    if look.style.toon > 0 and rng.random() < 0.7:  # pictures and cartoons are clean
        lens = replace(lens, noise=0.0, shutter=0.0, low_resolution=1.0, saturation=rng.uniform(0.85, 1.35))
    return Performer(
        look,
        random_lighting(rng),
        lens,
        random_background(rng, renderer.size),
        random_camera(rng),
        lopsided=float(np.clip(rng.normal(0, 0.12), -0.35, 0.35)),
    )


def film(
    renderer: Renderer, performer: Performer, curves: np.ndarray, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Frames (BGR uint8 (s, s, 3)) and landmarks ((68, 2) pixels) of `performer` with mouth `curves` (frames, C)."""
    motion = random_motion(rng, len(curves))
    for shots in film_takes(renderer, performer, motion, [Take.of(curves)], int(rng.integers(1 << 30))):
        yield shots[0].image, shots[0].landmarks


def film_takes(
    renderer: Renderer, performer: Performer, motion: Motion, takes: Sequence[Take], noise_seed: int
) -> Iterator[list[Shot]]:
    """Frame by frame one shot of every take: the same moment with another mouth."""
    with renderer.person(performer.look) as person:
        before: np.ndarray | None = None
        for index in range(len(motion.yaw)):
            pose = pose_at(performer.pose, motion, index)
            background = _shaken(performer.background, motion, index, renderer.size)
            gaze = (float(motion.gaze_x[index]), float(motion.gaze_y[index]))
            shots: list[Shot] = []
            first, layer, smear = np.zeros(0), np.zeros(0, np.uint8), (0.0, 0.0)
            for take in takes:
                vertices = person.shape(*_face_at(performer, motion, take, index))
                points = person.landmarks(vertices)
                landmarks = project(points, pose) * renderer.size
                if not shots:
                    first, layer = vertices, renderer.draw_layer(vertices, performer.lighting, pose, gaze=gaze)
                    smear = (0.0, 0.0) if before is None else _smear(landmarks, before, performer.lens.shutter)
                    before = landmarks
                    drawn = layer
                else:
                    drawn = _redrawn(renderer, performer, layer, first, vertices, pose, gaze)
                image = paint_over(compose(blur_motion(drawn, smear), background), performer.look.style)
                image = apply_lens(image, performer.lens, np.random.default_rng((noise_seed, index)))
                gap = np.linalg.norm(points[[61, 62, 63]] - points[[67, 66, 65]], axis=1).mean()
                width = np.linalg.norm(points[48] - points[54])
                shots.append(Shot(image, landmarks, float(gap), float(width)))
            yield shots


def _redrawn(
    renderer: Renderer,
    performer: Performer,
    layer: np.ndarray,
    first: np.ndarray,
    vertices: np.ndarray,
    pose: Pose,
    gaze: tuple[float, float],
) -> np.ndarray:
    """`layer`, which shows the shape `first`, with everything drawn anew from where `vertices` differ downwards."""
    moved = np.abs(vertices - first).max(axis=1) > 1e-3
    if not moved.any():
        return layer
    both = np.concatenate([project(vertices[moved], pose), project(first[moved], pose)]) * renderer.size
    # Shading differs a little beyond what moved: the normals of the neighbours do. Shadows fall aside and down.
    margin, beside = 6, 0.5 * (both[:, 0].max() - both[:, 0].min())
    step, size = renderer.step, renderer.size
    x1 = int(np.clip(both[:, 0].min() - beside, 0, size)) // step * step
    x2 = min(size, -(-int(np.clip(both[:, 0].max() + beside, 0, size)) // step) * step)
    y1 = int(np.clip(both[:, 1].min() - margin, 0, size)) // step * step
    if x2 <= x1 or y1 >= size:
        return layer
    drawn = layer.copy()
    part = (x1, y1, x2, size)
    drawn[y1:, x1:x2] = renderer.draw_layer(vertices, performer.lighting, pose, gaze=gaze, only=part)
    return drawn


def pose_at(pose: Pose, motion: Motion, index: int) -> Pose:
    """Where head and camera are at a frame."""
    body_yaw = pose.yaw if pose.body_yaw is None else pose.body_yaw
    reach = 2 * pose.distance * np.tan(np.radians(pose.field_of_view) / 2)
    return replace(
        pose,
        yaw=pose.yaw + motion.yaw[index] + motion.body_yaw[index],
        pitch=pose.pitch + motion.pitch[index],
        roll=pose.roll + motion.roll[index] + motion.body_roll[index],
        offset=(
            pose.offset[0] + motion.x[index] + reach * motion.shake_x[index],
            pose.offset[1] + motion.y[index] - reach * motion.shake_y[index],
        ),
        distance=pose.distance * motion.nearer[index],
        body_yaw=body_yaw + motion.body_yaw[index],
        body_roll=pose.body_roll + motion.body_roll[index],
        body_pitch=motion.body_pitch[index],
    )


def _face_at(performer: Performer, motion: Motion, take: Take, index: int) -> tuple[Mouth, dict[str, float]]:
    expression = dict(performer.look.expression)
    for name, curve in take.expression.items():
        expression[name] = expression.get(name, 0.0) + float(curve[index])
    brows = float(motion.brows[index])
    expression["browInnerUp"] = max(0.0, expression.get("browInnerUp", 0.0) + 0.5 * max(brows, 0))
    expression["browOuterUp"] = max(0.0, expression.get("browOuterUp", 0.0) + 0.4 * max(brows, 0))
    expression["browDown"] = max(0.0, expression.get("browDown", 0.0) + 0.5 * max(-brows, 0))
    down = float(np.clip(-motion.gaze_y[index] * 2.0, 0, 0.6))
    lids = max(float(motion.lids[index]), 0.55 * down)
    # a squint and a blink together would push the lids through each other
    expression["eyeSquint"] = expression.get("eyeSquint", 0.0) * (1 - 0.8 * lids)
    expression["eyeWide"] = expression.get("eyeWide", 0.0) * (1 - lids)
    expression["eyeBlink"] = lids
    curves = take.curves[index]
    weights: dict[str, float] = {}
    for name, value in zip(CHANNELS, map(float, curves), strict=True):
        if f"{name}_L" in SIDED:
            weights[f"{name}_L"] = value * (1 + performer.lopsided)
            weights[f"{name}_R"] = value * (1 - performer.lopsided)
        else:
            weights[name] = value
    return Mouth(
        weights, float(lip_gap(curves)), (float(take.tongue[index, 0]), float(take.tongue[index, 1]))
    ), expression


SIDED = frozenset(
    f"{name}_L" for name in ("mouthStretch", "mouthSmile", "mouthUpperUp", "mouthLowerDown", "mouthPress")
)
"""Channels of the mouth that the head model has for each side."""


def _shaken(background: np.ndarray, motion: Motion, index: int, size: int) -> np.ndarray:
    """What is behind at a frame, (size, size, 3), moved as the camera shakes."""
    if background.shape[:2] != (size, size):
        background = cv2.resize(background, (size, size), interpolation=cv2.INTER_LINEAR)
    dx, dy = (float(curve[index]) * size for curve in (motion.shake_x, motion.shake_y))
    if dx == 0 and dy == 0:
        return background
    shift = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    return cv2.warpAffine(background, shift, (size, size), borderMode=cv2.BORDER_REFLECT)


def _smear(landmarks: np.ndarray, before: np.ndarray, shutter: float) -> tuple[float, float]:
    """How far the head moves while the shutter is open, pixels."""
    moved = (landmarks[27:36] - before[27:36]).mean(axis=0) * shutter
    return float(moved[0]), float(moved[1])
