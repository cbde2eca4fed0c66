"""The numbers that the shaders take for one picture: where things are, how they are lit, what they look like."""

from __future__ import annotations

from typing import Any

import numpy as np

from musetalk.synthetic.camera import Pose, View, body_matrix, light_matrix, projection_matrix, view_matrix
from musetalk.synthetic.lips import Aperture
from musetalk.synthetic.looks import Lighting
from musetalk.synthetic.person import Person
from musetalk.synthetic.skin import SLOPE_RANGE

SHADOW_SIZE = 384
"""Texels of a side of the shadow map."""


def scene_uniforms(
    person: Person,
    vertices: np.ndarray,
    aperture: Aperture,
    lighting: Lighting,
    pose: Pose,
    view: View,
    gaze: tuple[float, float],
) -> dict[str, Any]:
    """Values by the names of the shaders' uniforms, matrices transposed as OpenGL takes them.

    Args:
        person: Who is drawn.
        vertices: (V, 3) of the head in this picture.
        aperture: The mouth's opening in it.
        lighting: The lights.
        pose: Head and camera.
        view: x1, y1, x2, y2 of the camera picture, 0…1.
        gaze: Where the eyes look, radians to the subject's left and up.
    """
    look = person.look
    style, eyes, teeth = look.style, look.eyes, look.teeth
    points = person.landmarks(vertices)[60:68]
    half = [max(0.3, np.ptp(points[:, 0]) / 2), max(0.0, float(aperture.gap.max())) / 2]
    edges = aperture.upper[8:17].mean(), aperture.lower[8:17].mean()
    return {
        "head": view_matrix(pose).T,
        "body": body_matrix(pose).T,
        "projection": projection_matrix(pose, view).T,
        "light_view": light_matrix(pose, lighting.directions[0]).T,
        "light_direction": lighting.directions,
        "light_color": lighting.colors,
        "sky": lighting.sky,
        "ground": lighting.ground,
        "exposure": lighting.exposure,
        "shadow_dark": lighting.shadow,
        "shadow_soft": (0.6 + 3.0 * lighting.softness) / SHADOW_SIZE,
        "toon": style.toon,
        "toon_soft": style.toon_soft,
        "flatness": style.flat,
        "line": style.line,
        "slope_range": SLOPE_RANGE,
        "teeth": teeth.color,
        "gums": teeth.gums,
        "tongue": teeth.tongue,
        "contrast": teeth.contrast,
        "uneven": teeth.uneven,
        "wetness": teeth.wet,
        "mouth_middle": points.mean(axis=0),
        "mouth_half": half,
        "upper_edge": edges[0],
        "lower_edge": edges[1],
        "iris": eyes.iris,
        "white": eyes.white,
        "iris_size": eyes.iris_size,
        "enlarge": eyes.enlarge,
        "eye_left": person.eye_left,
        "eye_right": person.eye_right,
        "gaze": gaze,
        "lashes": eyes.lashes,
        "lash_color": 0.15 * look.brows.color,
    }
