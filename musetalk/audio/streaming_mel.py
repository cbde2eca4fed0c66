"""Whisper's log-mel spectrogram of a sound that is still arriving."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from transformers import WhisperFeatureExtractor

FLOOR = 1e-10  # published: powers below are taken for this one before the logarithm
DYNAMIC_RANGE = 8.0  # published: log10 values are cut off this far below the segment's maximum

# The maximum is at least this. Speech at the usual level reaches 1.3 to 1.6, 20 dB below that -0.6 (demo and a news
# speaker). Higher, and the noise of quiet sound is cut off; lower, and a silent beginning looks deeper than it is.
LEAST_MAXIMUM = 0.5


def normalised(log_power: torch.Tensor, maximum: float) -> torch.Tensor:
    """Published scaling of log10 mel powers: cut off 8 below the maximum, then (x + 4) / 4."""
    return (log_power.clamp(min=maximum - DYNAMIC_RANGE) + 4.0) / 4.0


class StreamingMel:
    """Mel frames in order, equal to the extractor's but for the maximum that scales them.

    The extractor takes the maximum of its whole segment, which a stream has not heard yet. Here it is the maximum of
    the last segment's length (30 s) of sound, and at least LEAST_MAXIMUM.

    Args:
        extractor: Whose mel filters, window and hop are used.
    """

    def __init__(self, extractor: WhisperFeatureExtractor) -> None:
        self._hop = int(extractor.hop_length)
        self._half = int(extractor.n_fft) // 2
        self._window = torch.hann_window(2 * self._half)
        self._filters = torch.from_numpy(extractor.mel_filters).to(torch.float32).T.contiguous()
        self._memory = int(extractor.nb_max_frames)
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next sample is the first of a sound."""
        self.received = 0
        self._samples = np.zeros(0, np.float32)
        self._first = 0  # number of the sample that _samples[0] is; the half window before the sound is negative
        self._made = 0  # frames made so far
        self._recent: deque[tuple[int, float]] = deque()  # frames of the last 30 s that no later one exceeds

    def samples_for(self, frames: int) -> int:
        """Samples that must have been pushed before `take(frames)`."""
        return max((frames - 1) * self._hop, 1) + self._half

    def push(self, samples: np.ndarray) -> None:
        """Append (n,) float32 samples at 16 kHz, in [-1, 1]."""
        self._samples = np.concatenate([self._samples, samples])
        self.received += len(samples)

    def take(self, end: int) -> torch.Tensor:
        """log10 mel powers (mels, n) of the frames from the last one taken up to `end`, exclusive; float32, CPU."""
        if self.received < self.samples_for(end):
            raise ValueError(f"mel frame {end - 1} needs {self.samples_for(end)} samples, there are {self.received}")
        if self._made == 0:
            # As in the extractor, the sound is mirrored before its beginning.
            self._samples = np.concatenate([self._samples[self._half : 0 : -1], self._samples])
            self._first = -self._half
        begin = self._made * self._hop - self._half - self._first
        stop = (end - 1) * self._hop + self._half - self._first
        part = torch.from_numpy(self._samples[begin:stop])
        spectrum = torch.stft(part, 2 * self._half, self._hop, window=self._window, center=False, return_complex=True)
        log_power = (self._filters @ (spectrum.abs() ** 2)).clamp(min=FLOOR).log10()
        self._note(log_power.amax(dim=0))
        keep = end * self._hop - self._half - self._first
        self._samples = self._samples[keep:]
        self._first += keep
        self._made = end
        return log_power

    @property
    def maximum(self) -> float:
        """Maximum log10 power of the frames taken in the last 30 s, at least LEAST_MAXIMUM."""
        return max(self._recent[0][1], LEAST_MAXIMUM) if self._recent else LEAST_MAXIMUM

    def _note(self, maxima: torch.Tensor) -> None:
        for frame, value in enumerate(maxima.tolist(), self._made):
            while self._recent and self._recent[-1][1] <= value:
                self._recent.pop()
            self._recent.append((frame, value))
            while self._recent[0][0] <= frame - self._memory:
                self._recent.popleft()
