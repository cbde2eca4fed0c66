"""Training scenes: one person, light, pose and background, seen with several mouths through one face crop.

A renderer can do what no recording can: show the same moment with the mouth of another sentence. Pairs from one scene
make the sound the only clue to the target's mouth.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from musetalk.synthetic.appearance import random_look
from musetalk.synthetic.backgrounds import random_background
from musetalk.synthetic.camera import Pose, View, project
from musetalk.synthetic.lens import apply_lens, paint_over, random_lens
from musetalk.synthetic.lighting import random_lighting
from musetalk.synthetic.mouth_channels import lip_gap, pose
from musetalk.synthetic.person import Mouth
from musetalk.synthetic.renderer import Renderer

FACE_SIZE = 256
"""Pixels of a face crop (published: 256)."""


@dataclass(frozen=True)
class Scene:
    """`faces` (n, 256, 256, 3) BGR uint8; `lips` (n, 4) float32: x1, y1, x2, y2 of the lips in the crop, 0…1."""

    faces: np.ndarray
    lips: np.ndarray


def random_pose(rng: np.random.Generator) -> Pose:
    """A head in the middle of the picture, turned a little."""
    yaw = float(np.clip(rng.normal(0, 0.22), -0.6, 0.6))
    return Pose(
        yaw=yaw,
        pitch=float(np.clip(rng.normal(0.02, 0.12), -0.35, 0.35)),
        roll=float(np.clip(rng.normal(0, 0.07), -0.25, 0.25)),
        offset=(0.0, 0.0),
        distance=float(rng.uniform(55, 130)),
        body_yaw=0.5 * yaw,
    )


def face_view(landmarks: np.ndarray, chin_margin: float = 0.0) -> View:
    """The face box of inference for `landmarks` (68, 2), in their units.

    Published: x from the landmarks, y symmetric about the nose bridge down to the chin; v1.5 lowers the bottom edge by
    a margin, here `chin_margin` as a share of the box's height.
    """
    bridge, bottom = landmarks[29, 1], landmarks[:, 1].max()
    top = bridge - (bottom - bridge)
    return (
        float(landmarks[:, 0].min()),
        float(top),
        float(landmarks[:, 0].max()),
        float(bottom + chin_margin * (bottom - top)),
    )


def jittered(view: View, rng: np.random.Generator, amount: float = 0.03) -> View:
    """`view` with each edge moved by normal noise of `amount` of its size, as imperfect landmarks would."""
    width, height = view[2] - view[0], view[3] - view[1]
    noise = rng.normal(0, amount, 4) * [width, height, width, height]
    x1, y1, x2, y2 = np.asarray(view) + noise
    return float(x1), float(y1), float(x2), float(y2)


def render_scene(renderer: Renderer, mouths: list[dict[str, float]], rng: np.random.Generator) -> Scene:
    """One random scene with the given mouths (expression weights by name); the first mouth's landmarks set the crop."""
    look = random_look(rng, len(renderer.head.identity_deltas))
    lighting, lens, camera = random_lighting(rng), random_lens(rng), random_pose(rng)
    background = random_background(rng, renderer.size)
    gaze = (float(rng.normal(0, 0.12)), float(rng.normal(0, 0.06)))
    with renderer.person(look) as person:
        shaped = [person.shape(Mouth(mouth, float(lip_gap(pose(mouth))))) for mouth in mouths]
        points = [project(person.landmarks(vertices), camera) for vertices in shaped]
        view = jittered(face_view(points[0], chin_margin=rng.uniform(0.0, 0.06)), rng)
        scale = np.array([view[2] - view[0], view[3] - view[1]])
        faces, lips = [], []
        for vertices, landmarks in zip(shaped, points, strict=True):
            image = paint_over(renderer.draw(vertices, lighting, camera, background, view, gaze), look.style)
            image = cv2.resize(image, (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_AREA)
            faces.append(apply_lens(image, lens, rng))
            mouth = (landmarks[48:68] - view[:2]) / scale
            lips.append(np.concatenate([mouth.min(axis=0), mouth.max(axis=0)]))
    return Scene(np.stack(faces), np.asarray(lips, np.float32))
