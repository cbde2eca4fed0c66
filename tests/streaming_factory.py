"""Stand-ins for what a stream works with, and time that passes only when a test says so."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from musetalk.media.frame_source import SourceInfo
from musetalk.pipeline.frame_state import FacePlacement, LocatedFrame

FPS = Fraction(25)
FRAME = 640  # samples of a frame
WIDTH, HEIGHT, FACE = 32, 24, 8
BOX = (8, 8, 16, 16)
IDLE_GREY = 30


class FakeClock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class LevelWindows:
    """Windows that hold the level of their frame's sound; known when `ahead` samples more have come."""

    def __init__(self, fps: Fraction = FPS, ahead: int = 1480) -> None:
        self.fps = fps
        self.ahead = ahead
        self.heard = 0  # samples ever pushed
        self.reset()

    @property
    def look_ahead_samples(self) -> int:
        return FRAME + self.ahead

    def reset(self) -> None:
        self._sound = np.zeros(0, np.float32)
        self._frame = 0

    def push(self, samples: np.ndarray) -> list[np.ndarray]:
        self.heard += len(samples)
        self._sound = np.concatenate([self._sound, samples])
        found = []
        while True:
            begin, end = (int(k * 16000 / self.fps) for k in (self._frame, self._frame + 1))
            if len(self._sound) < end + self.ahead:
                return found
            found.append(np.full((2, 3), np.abs(self._sound[begin:end]).max(), np.float32))
            self._frame += 1


class LoudActivity:
    """Voice is where a frame's sound is not zero."""

    look_ahead_samples = 480

    def __init__(self, fps: Fraction = FPS) -> None:
        self.fps = fps
        self.reset()

    def reset(self) -> None:
        self._sound = np.zeros(0, np.float32)
        self._frame = 0

    def push(self, samples: np.ndarray) -> list[bool]:
        self._sound = np.concatenate([self._sound, samples])
        found = []
        while True:
            begin, end = (int(k * 16000 / self.fps) for k in (self._frame, self._frame + 1))
            if len(self._sound) < end + self.look_ahead_samples:
                return found
            found.append(bool(np.abs(self._sound[begin:end]).max() > 0))
            self._frame += 1


def speech(*levels: int) -> np.ndarray:
    """Sound of one frame for each level 0 … 255."""
    return np.repeat(np.array(levels, np.float32) / 256, FRAME)


class Faces:
    """Makes faces as grey as their window's level; each takes `seconds` of a clock."""

    def __init__(self, clock: FakeClock | None = None, seconds: float = 0.0) -> None:
        self.clock = clock
        self.seconds = seconds
        self.batches: list[int] = []

    def generate(self, latents: torch.Tensor, windows: np.ndarray, visible_from: float = 0.0) -> np.ndarray:
        assert len(latents) == len(windows)
        self.batches.append(len(windows))
        if self.clock is not None:
            self.clock.now += self.seconds * len(windows)
        levels = [int(window[0, 0] * 256) for window in np.asarray(windows)]
        return np.stack([np.full((FACE, FACE, 3), level, np.uint8) for level in levels])


class Frames:
    """An avatar of `count` frames; frame i is as grey as 100 + i, and rests with IDLE_GREY."""

    def __init__(self, count: int = 10, without_face: Any = (), fps: Fraction = FPS) -> None:
        self._count = count
        self._without = set(without_face)
        self.info = SourceInfo(Path("clip"), WIDTH, HEIGHT, fps, count, is_image=False)

    def __len__(self) -> int:
        return self._count

    visible_from = 0.0

    def has_face(self, index: int) -> bool:
        return index not in self._without

    def image(self, index: int) -> np.ndarray:
        return np.full((HEIGHT, WIDTH, 3), 100 + index, np.uint8)

    def located(self, index: int) -> LocatedFrame:
        alpha = np.full((8, 8), 255, np.uint8)
        return LocatedFrame(index, self.image(index), FacePlacement(BOX, BOX, alpha) if self.has_face(index) else None)

    def latents(self, indices: list[int]) -> torch.Tensor:
        assert all(self.has_face(index) for index in indices)
        return torch.tensor(indices, dtype=torch.float32)[:, None]

    def idle_face(self, index: int) -> np.ndarray | None:
        return np.full((FACE, FACE, 3), IDLE_GREY, np.uint8) if self.has_face(index) else None


def mouth(image: np.ndarray) -> int:
    """The grey of a frame's face."""
    return int(image[12, 12, 0])


def source_index(image: np.ndarray) -> int:
    """Which source frame a frame was made of."""
    return int(image[0, 0, 0]) - 100
