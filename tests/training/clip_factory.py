"""Clips of the training set that tests make for themselves: faces that tell frame and clip, and a sound."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from musetalk.face.landmarks import Face
from musetalk.training.clip_meta import ClipMeta, median_face_size, write_list, write_meta
from musetalk.training.clip_store import RegionWriter, region_box

HEIGHT, WIDTH = 260, 280
SAMPLES_PER_FRAME = 640
FRAME_STEP = 2  # grey levels between neighbouring frames: JPEG keeps them apart


def tracks(frames: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(frames, 68, 2) landmarks of a face about 160 wide that moves and talks, and (frames, 4) detections."""
    rng = np.random.default_rng(seed)
    angle = np.linspace(np.pi, 0, 17)
    jaw = np.stack([140 + 80 * np.cos(angle), 110 + 90 * np.sin(angle)], axis=1)
    shape = np.concatenate([jaw, rng.uniform([80, 60], [200, 130], (31, 2)), np.zeros((20, 2))])
    shape[27:31] = [[140, 80], [140, 95], [140, 110], [140, 125]]
    lips = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    turn = 6 * np.sin(np.arange(frames) / 9 + seed)
    mouth_open = 4 + 10 * np.abs(np.sin(np.arange(frames) / 3 + seed))
    landmarks = np.repeat(shape[None], frames, axis=0)
    for frame in range(frames):
        landmarks[frame, 48:60] = np.stack(
            [140 - 30 * np.cos(lips), 155 - (mouth_open[frame] + 5) * np.sin(lips)], axis=1
        )
        inner = np.linspace(0, 2 * np.pi, 8, endpoint=False)
        landmarks[frame, 60:68] = np.stack([140 - 22 * np.cos(inner), 155 - mouth_open[frame] * np.sin(inner)], axis=1)
        landmarks[frame, :, 0] += turn[frame]
    landmarks += rng.normal(0, 0.3, landmarks.shape)
    detections = np.concatenate([landmarks.min(axis=1) - 3, landmarks.max(axis=1) + np.array([3, -6])], axis=1)
    return landmarks.astype(np.float32), detections.astype(np.float32)


def picture(frame: int, clip: int) -> np.ndarray:
    """(HEIGHT, WIDTH, 3) uint8 BGR: frame number in blue, clip in green, a ramp downwards in red."""
    image = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    image[..., 0] = frame * FRAME_STEP % 256
    image[..., 1] = clip * 10
    image[..., 2] = np.arange(HEIGHT)[:, None] * 255 // HEIGHT
    return image


def shown_frames(faces: np.ndarray) -> list[int]:
    """Frame numbers (modulo 128) in (T, size, size, 3) faces."""
    return [round(float(np.median(face[..., 0])) / FRAME_STEP) for face in faces]


def shown_clip(faces: np.ndarray) -> int:
    return round(float(np.median(faces[..., 1])) / 10)


def write_sound(path: Path, seconds: float, seed: int = 0) -> Path:
    """Noise of a loudness that tells the time, 16 kHz mono 16-bit."""
    count = round(seconds * 16000)
    loudness = 0.1 + 0.8 * (np.arange(count) // SAMPLES_PER_FRAME % 50) / 50
    samples = np.random.default_rng(seed).uniform(-1, 1, count) * loudness
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


def write_clip(
    folder: Path,
    name: str,
    frames: int = 60,
    clip: int = 0,
    no_face: Sequence[int] = (),
    seed: int | None = None,
    twins: Sequence[Path] = (),
    **changes: Any,
) -> Path:
    """A clip's JSON, regions and sound; returns the JSON.

    Args:
        clip: Number shown in its faces, below 25.
        no_face: Frames without a face.
        seed: Of its landmarks; None: clip.
        changes: Other values of ClipMeta.
    """
    landmarks, detections = tracks(frames, clip if seed is None else seed)
    for frame in no_face:
        landmarks[frame] = detections[frame] = np.nan
    folder.mkdir(parents=True, exist_ok=True)
    regions = folder / f"{name}.regions"
    with RegionWriter(regions, frames, (HEIGHT, WIDTH)) as writer:
        for frame in range(frames):
            box = None
            if frame not in no_face:
                x1, y1, x2, y2 = (float(edge) for edge in detections[frame])
                box = region_box(Face(landmarks[frame].astype(np.float64), (x1, y1, x2, y2)), (HEIGHT, WIDTH))
            writer.write(picture(frame, clip), box)
    meta = ClipMeta(
        mp4_path=folder / f"{name}.mp4",
        wav_path=write_sound(folder / f"{name}.wav", frames / 25, clip),
        video_size=(HEIGHT, WIDTH),
        face_size=median_face_size(detections),
        frames=frames,
        detections=detections,
        landmarks=landmarks,
        isvalid=True,
        regions_path=regions,
        twins=tuple(twins),
    )
    path = folder / f"{name}.json"
    write_meta(path, replace(meta, **changes))
    return path


def write_clips(folder: Path, count: int, frames: int = 60, first: int = 0) -> Path:
    """A list of `count` clips, numbered from `first`; returns the list."""
    clips = [write_clip(folder, f"clip{first + index}", frames, first + index) for index in range(count)]
    write_list(folder / "train.txt", clips)
    return folder / "train.txt"


class StepEncoder:
    """Stands for the audio encoder: the states of a step are the mean loudness of its samples, and its double."""

    states, width, segment_steps = 2, 3, 100

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain
        self.calls = 0
        self.extractor = SimpleNamespace(to_dict=lambda: {"hop": 160})
        self.network = SimpleNamespace(state_dict=lambda: {"gain": torch.tensor(gain)})

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        self.calls += 1
        padded = np.zeros(self.segment_steps * 320, np.float32)
        padded[: len(samples)] = samples
        loudness = np.abs(padded.reshape(-1, 320)).mean(axis=1) * self.gain
        return np.stack([np.stack([loudness * k] * self.width, axis=1) for k in (1, 2)], axis=1)
