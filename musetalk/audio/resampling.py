"""Changing the sample rate of a sound that is still arriving, with a delay of a few milliseconds.

soxr, which converts files, works in large pieces: as a stream it holds back 36 ms of 48 kHz and 115 ms of 8 kHz sound
(measured, quality HQ; LQ 20 and 61). The short windowed sinc here holds back 4 and 8 ms.
"""

from __future__ import annotations

import math

import numpy as np

_ZERO_CROSSINGS = 64  # of the sinc to each side, counted at the lower of the two rates
_KAISER_BETA = 8.0  # 80 dB down beyond the transition
_ROLL_OFF = 0.96  # cut-off over half the lower rate: the transition ends at half the rate
_BLOCK = 1 << 14  # output samples computed at once


class StreamResampler:
    """Band-limited interpolation by a rational ratio. Output sample k is the sound at time k / rate_out, exactly.

    Args:
        rate_in: Samples a second of the sound that comes.
        rate_out: Samples a second wanted.
    """

    def __init__(self, rate_in: int, rate_out: int) -> None:
        if min(rate_in, rate_out) < 1:
            raise ValueError(f"sample rates must be positive, not {rate_in} and {rate_out}")
        common = math.gcd(rate_in, rate_out)
        self.rate_in, self.rate_out = rate_in, rate_out
        self._up, self._down = rate_out // common, rate_in // common
        self._half = 0 if rate_in == rate_out else math.ceil(_ZERO_CROSSINGS * max(rate_in / rate_out, 1.0))
        self._filters = _filters(self._up, self._half, min(rate_out / rate_in, 1.0)) if self._half else None
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next sample is the first of a new sound."""
        self._held = np.zeros(self._half, np.float32)  # input from `_half` samples before the first one needed
        self._first = -self._half
        self._received = 0
        self._made = 0

    @property
    def delay_samples(self) -> int:
        """Input samples beyond the time of an output sample that it waits for."""
        return self._half

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Append (n,) float32; the output (m,) float32 that became known."""
        self._received += len(samples)
        return self._convert(samples, (self._received - self._half) * self._up)

    def finish(self) -> np.ndarray:
        """The end of the sound: the rest, so that there are floor(n · rate_out / rate_in) samples in all."""
        end = self._received * self._up
        return self._convert(np.zeros(self._half, np.float32), end // self._down * self._down)

    def _convert(self, samples: np.ndarray, end: int) -> np.ndarray:
        """Outputs before the time `end`, in units of 1 / (rate_in · up) s."""
        samples = np.asarray(samples, np.float32)
        if self._filters is None:
            return samples
        held = np.concatenate([self._held, samples])
        count = max(-(-end // self._down) - self._made, 0)
        parts = [self._block(held, size) for size in _pieces(count)]
        # The next output needs the input from `_half` before it on.
        drop = min(max(self._made * self._down // self._up - self._half + 1 - self._first, 0), len(held))
        self._held = held[drop:].copy()
        self._first += drop
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def _block(self, held: np.ndarray, count: int) -> np.ndarray:
        assert self._filters is not None
        times = np.arange(self._made, self._made + count) * self._down
        place, phase = times // self._up, times % self._up
        windows = np.lib.stride_tricks.sliding_window_view(held, 2 * self._half)
        chosen = windows[place - self._half + 1 - self._first]
        self._made += count
        return np.einsum("nt,nt->n", chosen, self._filters[phase])


def _filters(phases: int, half: int, cut_off: float) -> np.ndarray:
    """(phases, 2 · half) float32: weights of the inputs from half − 1 before to half after, for each phase."""
    fraction = np.arange(phases)[:, None] / phases
    distance = np.arange(-half + 1, half + 1)[None] - fraction
    window = np.i0(_KAISER_BETA * np.sqrt(np.clip(1 - (distance / half) ** 2, 0, None)))
    weights = np.sinc(distance * cut_off * _ROLL_OFF) * window
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _pieces(count: int) -> list[int]:
    return [min(_BLOCK, count - start) for start in range(0, count, _BLOCK)]
