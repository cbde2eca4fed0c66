"""Where the head is and what the camera sees of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NECK = np.array([0.0, -8.0, -2.5])
"""The point about which the head turns on the body, cm."""
NEAR, FAR = 10.0, 400.0
View = tuple[float, float, float, float]
"""A part of the square camera picture: x1, y1, x2, y2, 0…1, y down."""
WHOLE: View = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Pose:
    """Head rotation (radians) and where the camera sees it.

    yaw turns to the subject's left, pitch nods down, roll tilts; `offset` (x, y) cm moves the head; `distance` cm.
    `body_*` is the body's own turn, about which the shoulders stay.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    offset: tuple[float, float] = (0.0, 0.0)
    distance: float = 90.0
    field_of_view: float = 24.0  # degrees, of the unit square view
    body_yaw: float | None = None  # None: the body turns with the head
    body_roll: float = 0.0
    body_pitch: float = 0.0


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """(3, 3) float64."""
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    cr, sr = np.cos(roll), np.sin(roll)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return about_y @ about_x @ about_z


def _placed(turn: np.ndarray, pose: Pose) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = [pose.offset[0], pose.offset[1], -pose.distance]
    return matrix


def body_matrix(pose: Pose) -> np.ndarray:
    """Model to camera (4, 4) float64 of the shoulders, column vectors."""
    if pose.body_yaw is None:
        return view_matrix(pose)
    return _placed(rotation(pose.body_yaw, pose.body_pitch, pose.body_roll), pose)


def view_matrix(pose: Pose) -> np.ndarray:
    """Model to camera (4, 4) float64 of the head, column vectors."""
    turn = rotation(pose.yaw, pose.pitch, pose.roll)
    if pose.body_yaw is None:
        return _placed(turn, pose)
    body = rotation(pose.body_yaw, pose.body_pitch, pose.body_roll)
    matrix = _placed(turn, pose)
    matrix[:3, 3] += (body - turn) @ NECK  # the neck stays on the shoulders
    return matrix


def projection_matrix(pose: Pose, view: View) -> np.ndarray:
    """Perspective whose image is the part `view` of the square camera picture."""
    scale = 1 / np.tan(np.radians(pose.field_of_view) / 2)
    matrix = np.array(
        [
            [scale, 0, 0, 0],
            [0, scale, 0, 0],
            [0, 0, (FAR + NEAR) / (NEAR - FAR), 2 * FAR * NEAR / (NEAR - FAR)],
            [0, 0, -1, 0],
        ]
    )
    x1, y1, x2, y2 = view
    crop = np.eye(4)
    crop[0, 0], crop[1, 1] = 1 / (x2 - x1), 1 / (y2 - y1)
    crop[0, 3] = (1 - x1 - x2) / (x2 - x1)
    crop[1, 3] = (y1 + y2 - 1) / (y2 - y1)
    return crop @ matrix


def project(points: np.ndarray, pose: Pose) -> np.ndarray:
    """Head points (n, 3) cm → (n, 2) in the camera picture, 0…1, y down."""
    matrix = projection_matrix(pose, WHOLE) @ view_matrix(pose)
    homogeneous = np.hstack([points, np.ones((len(points), 1))]) @ matrix.T
    plane = homogeneous[:, :2] / homogeneous[:, 3:]
    return np.stack([(1 + plane[:, 0]) / 2, (1 - plane[:, 1]) / 2], axis=1)


def light_matrix(pose: Pose, direction: np.ndarray, reach: float = 17.0) -> np.ndarray:
    """Camera space → clip space (4, 4) of a light far away in `direction`, around the head."""
    middle = (view_matrix(pose) @ np.array([0.0, 0.5, 1.0, 1.0]))[:3]
    forward = -np.asarray(direction, np.float64)
    helper = np.array([0.0, 1.0, 0.0]) if abs(forward[1]) < 0.95 else np.array([1.0, 0.0, 0.0])
    right = np.cross(forward, helper)
    right /= np.linalg.norm(right)
    up = np.cross(right, forward)
    turn = np.stack([right / reach, up / reach, forward / (2.5 * reach)])
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = -turn @ middle
    return matrix
