"""Sound on its way in, before units are made of it, and on its way out, cut to frames."""

from __future__ import annotations

import math
from collections import deque
from fractions import Fraction

import numpy as np

from musetalk.audio.windows import SAMPLE_RATE


class IncomingSound:
    """Sound as it was pushed, with the time at which it came.

    Attributes:
        samples: How many are held.
        last: Clock's time at which the last of it came.
    """

    def __init__(self) -> None:
        self._blocks: deque[tuple[np.ndarray, float]] = deque()
        self.samples = 0
        self.last = -math.inf

    def push(self, samples: np.ndarray, now: float) -> None:
        """Append (n,) float32."""
        self._blocks.append((samples, now))
        self.samples += len(samples)
        self.last = now

    def take(self, most: int) -> tuple[np.ndarray, float] | None:
        """(samples, when the last of them came): up to `most`, in their order; None when there are none."""
        taken: list[np.ndarray] = []
        left, time = most, 0.0
        while self._blocks and left:
            block, time = self._blocks.popleft()
            if len(block) > left:
                self._blocks.appendleft((block[left:], time))
                block = block[:left]
            taken.append(block)
            left -= len(block)
        if not taken:
            return None
        samples = np.concatenate(taken)
        self.samples -= len(samples)
        return samples, time

    def clear(self) -> None:
        """Forget what has come."""
        self._blocks.clear()
        self.samples = 0


class SoundTrack:
    """The sound of consecutive frames: frame k begins at sample floor(k · 16000 / fps).

    Args:
        fps: Frames a second.
    """

    def __init__(self, fps: Fraction) -> None:
        self._fps = fps
        self._left_over = np.zeros(0, np.float32)

    def cut(self, frame: int, sound: np.ndarray | None) -> np.ndarray:
        """Exactly the samples of a frame, from a unit's sound, which may have one more or less; None: silence."""
        count = int((frame + 1) * SAMPLE_RATE / self._fps) - int(frame * SAMPLE_RATE / self._fps)
        if sound is None:
            return np.zeros(count, np.float32)
        sound = np.concatenate([self._left_over, sound])
        self._left_over = sound[count:]
        return np.pad(sound[:count], (0, max(count - len(sound), 0)))

    def clear(self) -> None:
        """Forget what is left over."""
        self._left_over = self._left_over[:0]
