"""Talking-head clips: one person who speaks, moves and blinks, in a whole picture; with the true landmarks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from musetalk.synthetic.appearance import (
    Lens,
    Lighting,
    Look,
    apply_lens,
    random_background,
    random_lighting,
    random_look,
)
from musetalk.synthetic.renderer import Pose, Renderer, project
from musetalk.synthetic.visemes import CHANNELS

FRAME_RATE = 25


@dataclass(frozen=True)
class Performer:
    """Who is filmed, and how."""

    look: Look
    lighting: Lighting
    lens: Lens
    background: np.ndarray  # BGR uint8 (s, s, 3)
    pose: Pose


def random_performer(rng: np.random.Generator, renderer: Renderer) -> Performer:
    """A random person in half-length view, in ordinary light."""
    look = random_look(rng, len(renderer.head.identity_deltas))
    look = replace(look, expression={name: 0.3 * value for name, value in look.expression.items()})
    pose = Pose(yaw=float(rng.normal(0, 0.1)), pitch=float(rng.normal(0.03, 0.05)), offset=(0.0, 1.5), distance=100.0)
    lens = Lens(blur=0.4, noise=1.0, jpeg=0, saturation=1.0, white_balance=np.ones(3))
    return Performer(look, random_lighting(rng), lens, random_background(rng, renderer.size), pose)


def smooth_motion(rng: np.random.Generator, frames: int, seconds: float) -> np.ndarray:
    """Random walk-like curve (frames,) of unit deviation whose features last about `seconds`."""
    knots = max(4, int(frames / FRAME_RATE / seconds) + 4)
    curve = cv2.resize(rng.normal(0, 1, (1, knots)), (frames + 4 * FRAME_RATE, 1), interpolation=cv2.INTER_CUBIC)[0]
    return curve[2 * FRAME_RATE : 2 * FRAME_RATE + frames]


def blinks(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Eyelid closure (frames,) 0…1: a blink of a quarter second every few seconds."""
    lids = np.zeros(frames)
    at = int(rng.uniform(10, 50))
    shape = np.array([0.4, 0.95, 1.0, 0.7, 0.3, 0.1])
    while at + len(shape) < frames:
        lids[at : at + len(shape)] = shape
        at += int(rng.uniform(2.0, 5.0) * FRAME_RATE)
    return lids


def film(
    renderer: Renderer, performer: Performer, curves: np.ndarray, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Frames (BGR uint8 (s, s, 3)) and landmarks ((68, 2) pixels) of `performer` with mouth `curves` (frames, C)."""
    frames = len(curves)
    yaw, pitch, roll, lift, gaze_x, brow = (
        smooth_motion(rng, frames, s) for s in (1.6, 1.2, 1.8, 1.5, 1.0, 1.3)
    )
    lids = blinks(rng, frames)
    base = renderer.base_vertices(performer.look)
    for i in range(frames):
        pose = replace(
            performer.pose,
            yaw=performer.pose.yaw + 0.07 * yaw[i],
            pitch=performer.pose.pitch + 0.035 * pitch[i],
            roll=performer.pose.roll + 0.02 * roll[i],
            offset=(performer.pose.offset[0] + 0.35 * roll[i], performer.pose.offset[1] + 0.2 * lift[i]),
        )
        expression = dict(performer.look.expression)
        expression["eyeBlink"] = max(expression.get("eyeBlink", 0.0), float(lids[i]))
        expression["browInnerUp"] = max(0.0, expression.get("browInnerUp", 0.0) + 0.25 * brow[i])
        expression |= dict(zip(CHANNELS, map(float, curves[i]), strict=True))
        vertices = renderer.head.expression(base, expression)
        image = renderer.draw(
            vertices, performer.look, performer.lighting, pose, performer.background, gaze=(0.06 * gaze_x[i], 0.0)
        )
        landmarks = project(vertices[renderer.head.landmark_vertices], pose) * renderer.size
        yield apply_lens(image, performer.lens, rng), landmarks
