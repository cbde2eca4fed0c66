"""How people move while they speak: head, shoulders, eyes, brows."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

FRAME_RATE = 25
KINDS = ("still", "calm", "lively", "nodding", "shaking", "turning", "handheld", "leaning")
CHANCES = (0.12, 0.27, 0.2, 0.1, 0.06, 0.1, 0.08, 0.07)


@dataclass(frozen=True)
class Motion:
    """Curves of a clip, all (n,) float64.

    Attributes:
        yaw, pitch, roll: Of the head, radians, on top of the clip's pose.
        body_yaw, body_roll, body_pitch: Of the shoulders.
        x, y: Where the head is, cm.
        nearer: Factor of the camera's distance.
        gaze_x, gaze_y: Radians.
        lids: Closure, 0…1.
        brows: −1 (frown) … 1 (raised).
        shake_x, shake_y: Of the camera, in parts of the picture.
        kind: One of KINDS.
    """

    yaw: np.ndarray
    pitch: np.ndarray
    roll: np.ndarray
    body_yaw: np.ndarray
    body_roll: np.ndarray
    body_pitch: np.ndarray
    x: np.ndarray
    y: np.ndarray
    nearer: np.ndarray
    gaze_x: np.ndarray
    gaze_y: np.ndarray
    lids: np.ndarray
    brows: np.ndarray
    shake_x: np.ndarray
    shake_y: np.ndarray
    kind: str


def smooth_motion(rng: np.random.Generator, frames: int, seconds: float) -> np.ndarray:
    """Random walk-like curve (frames,) of about unit deviation whose features last about `seconds`."""
    knots = max(4, int(frames / FRAME_RATE / seconds) + 4)
    curve = cv2.resize(rng.normal(0, 1, (1, knots)), (frames + 4 * FRAME_RATE, 1), interpolation=cv2.INTER_CUBIC)[0]
    return curve[2 * FRAME_RATE : 2 * FRAME_RATE + frames]


def blinks(rng: np.random.Generator, frames: int, every: float = 3.5) -> np.ndarray:
    """Eyelid closure (frames,) 0…1: a blink of a quarter second about every `every` seconds, some of them double."""
    lids = np.zeros(frames)
    shape = np.array([0.4, 0.95, 1.0, 0.7, 0.3, 0.1])
    at = int(rng.uniform(0.2, 1.0) * every * FRAME_RATE)
    while at + len(shape) < frames:
        lids[at : at + len(shape)] = np.maximum(lids[at : at + len(shape)], shape)
        if rng.random() < 0.12:
            at += 8
        else:
            at += max(10, int(rng.gamma(3.0, every / 3.0) * FRAME_RATE))
    return lids


def glances(rng: np.random.Generator, frames: int, reach: float) -> np.ndarray:
    """Gaze (frames, 2): rests at a place, jumps to the next within two frames."""
    gaze = np.zeros((frames, 2))
    at, place = 0, rng.normal(0, 0.3 * reach, 2)
    while at < frames:
        stay = int(rng.gamma(2.0, 0.7) * FRAME_RATE) + 4
        gaze[at : at + stay] = place
        at += stay
        place = rng.normal(0, 1, 2) * [reach, 0.6 * reach] * (1 if rng.random() < 0.6 else 0.2)
    return cv2.blur(gaze, (1, 2), borderType=cv2.BORDER_REPLICATE)


def random_motion(rng: np.random.Generator, frames: int, stress: np.ndarray | None = None) -> Motion:
    """Movement of a random kind.

    Args:
        rng: Decides everything.
        frames: Length.
        stress: (frames,) 0…1, how loud the speech is: heads and brows go with it.
    """
    kind = str(rng.choice(KINDS, p=CHANCES))
    amount = {"still": 0.12, "calm": 0.6, "lively": 1.4, "turning": 0.8, "handheld": 0.7}.get(kind, 0.8)
    yaw, pitch, roll = (smooth_motion(rng, frames, s) for s in (1.6, 1.2, 1.8))
    x, y, body = (smooth_motion(rng, frames, s) for s in (2.5, 2.2, 3.0))
    brows = 0.45 * smooth_motion(rng, frames, 1.3)
    time = np.arange(frames) / FRAME_RATE
    yaw, pitch, roll = 0.07 * amount * yaw, 0.045 * amount * pitch, 0.03 * amount * roll
    body_yaw, nearer = 0.02 * amount * body, np.ones(frames)
    if stress is not None and rng.random() < 0.7:
        accent = np.convolve(stress, np.hanning(9) / np.hanning(9).sum(), mode="same")
        pitch = pitch + rng.uniform(0.01, 0.07) * amount * (accent - accent.mean())
        brows = brows + rng.uniform(0, 0.8) * (accent - accent.mean())
    swing = np.sin(2 * np.pi * rng.uniform(0.5, 1.4) * time + rng.uniform(0, 6)) * np.clip(
        smooth_motion(rng, frames, 1.5), 0, 1
    )
    if kind == "nodding":
        pitch = pitch + 0.10 * swing
    elif kind == "shaking":
        yaw = yaw + 0.16 * swing
    elif kind == "turning":
        yaw = yaw + rng.uniform(0.15, 0.4) * np.clip(smooth_motion(rng, frames, 2.5), -1.6, 1.6)
        body_yaw = body_yaw + 0.25 * (yaw - yaw.mean())
    elif kind == "leaning":
        nearer = 1 + 0.12 * np.clip(smooth_motion(rng, frames, 2.5), -1.5, 1.5)
    shake = 0.006 * rng.uniform(0.5, 1.5) if kind == "handheld" else 0.0
    look_away = glances(rng, frames, rng.uniform(0.03, 0.2))
    return Motion(
        yaw=yaw,
        pitch=pitch,
        roll=roll,
        body_yaw=body_yaw,
        body_roll=0.012 * amount * smooth_motion(rng, frames, 3.0),
        body_pitch=0.012 * amount * smooth_motion(rng, frames, 2.5),
        x=0.5 * amount * x,
        y=0.25 * amount * y,
        nearer=nearer,
        # the eyes stay on the camera while the head turns, most of the time
        gaze_x=look_away[:, 0] - rng.choice([0.0, 0.8]) * yaw,
        gaze_y=look_away[:, 1] + rng.choice([0.0, 0.6]) * pitch,
        lids=blinks(rng, frames, rng.uniform(1.8, 6.0)),
        brows=brows,
        shake_x=shake * smooth_motion(rng, frames, 0.35),
        shake_y=shake * smooth_motion(rng, frames, 0.3),
        kind=kind,
    )
