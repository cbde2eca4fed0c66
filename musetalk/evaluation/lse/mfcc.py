"""Thirteen cepstral coefficients of speech, a hundred times a second: what the SyncNet of 2016 hears.

The numbers are those of the package python_speech_features with its defaults, which the published scores use: frames of
25 ms every 10 ms without a window function, 26 triangles on the HTK mel scale with edges on whole FFT bins, type-2
cosine transform, lifter 22, the first coefficient replaced by the frame's log energy.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft

SAMPLE_RATE = 16_000
WINDOW, STEP = 400, 160  # samples: 25 ms every 10 ms
FFT = 512
FILTERS = 26
COEFFICIENTS = 13
LIFTER = 22
PRE_EMPHASIS = 0.97


def mfcc(samples: np.ndarray) -> np.ndarray:
    """The coefficients of a sound.

    Args:
        samples: (n,) mono at 16 kHz in the range of int16, as whole numbers or floating; n ≥ 1.

    Returns:
        (m, 13) float64, m = 1 + ceil((n − 400) / 160), at least 1; the end is filled up with zeros.
    """
    signal = samples.astype(np.float64)
    signal = np.concatenate([signal[:1], signal[1:] - PRE_EMPHASIS * signal[:-1]])
    count = 1 + max(0, -(-(len(signal) - WINDOW) // STEP))
    padded = np.zeros((count - 1) * STEP + WINDOW)
    padded[: len(signal)] = signal
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::STEP]
    power = np.square(np.abs(np.fft.rfft(frames, FFT))) / FFT
    bands = _above_zero(power @ _triangles().T)
    coefficients = scipy.fft.dct(np.log(bands), type=2, axis=1, norm="ortho")[:, :COEFFICIENTS]
    coefficients = coefficients * (1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER))
    coefficients[:, 0] = np.log(_above_zero(power.sum(axis=1)))
    return coefficients


def _above_zero(values: np.ndarray) -> np.ndarray:
    return np.where(values == 0, np.finfo(np.float64).eps, values)


@lru_cache(maxsize=1)
def _triangles() -> np.ndarray:
    """(26, 257) float64 from 0 Hz to 8 kHz; neighbours share their edges."""
    highest = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, highest, FILTERS + 2) / 2595) - 1)
    edges = np.floor((FFT + 1) * hertz / SAMPLE_RATE).astype(int)
    bank = np.zeros((FILTERS, FFT // 2 + 1))
    for row, (low, middle, high) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        bank[row, low:middle] = (np.arange(low, middle) - low) / (middle - low)
        bank[row, middle:high] = (high - np.arange(middle, high)) / (high - middle)
    return bank
