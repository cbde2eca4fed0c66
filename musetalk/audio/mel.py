"""The log-mel spectrogram that SyncNet hears; 80 columns a second, every one computable by itself.

All numbers are those of the published system, which has them from Wav2Lip. A column is centred on its time; outside the
sound the pre-emphasised signal is zero, so that the columns of a piece equal those of the whole sound.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import ceil

import numpy as np

SAMPLE_RATE = 16_000  # samples a second
HOP = 200  # samples between columns
COLUMNS_PER_SECOND = SAMPLE_RATE // HOP
WINDOW = 800  # samples in one column: 50 ms, Hann
BANDS = 80
LOWEST_HZ, HIGHEST_HZ = 55.0, 7600.0
PRE_EMPHASIS = 0.97
REFERENCE_DB = 20.0
FLOOR_DB = -100.0
MOST = 4.0  # values lie in [-MOST, MOST]
MEL_WINDOW = 52  # columns beside one visual window of 16 frames, as `mel_window_length` has it
_BLOCK = 2048  # columns of a long sound computed at once


def mel_window_start(frame: int, fps: Fraction | int = 25) -> int:
    """First column of the mel window beside the visual window that begins at a frame: floor(80 · frame / fps)."""
    return int(COLUMNS_PER_SECOND * frame / Fraction(fps))


def mel_window_length(frames: int, fps: Fraction | int = 25) -> int:
    """Columns that cover a visual window of so many frames: ceil(80 · frames / fps). Published: 52 for 16 frames."""
    return ceil(COLUMNS_PER_SECOND * frames / Fraction(fps))


def mel_columns(num_samples: int) -> int:
    """Columns of the mel of a sound of this many samples."""
    return num_samples // HOP + 1


def sync_mel(samples: np.ndarray) -> np.ndarray:
    """The mel of a whole sound.

    Args:
        samples: (n,) mono at 16 kHz, floating in [-1, 1] or int16; n may be 0.

    Returns:
        (80, n // 200 + 1) float32 in [-4, 4]; band 0 is the lowest, column k is centred on sample 200 · k.
    """
    columns = mel_columns(len(samples))
    blocks = [sync_mel_slice(samples, at, min(_BLOCK, columns - at)) for at in range(0, columns, _BLOCK)]
    return np.concatenate(blocks, axis=1)


def sync_mel_slice(samples: np.ndarray, start: int, length: int = MEL_WINDOW) -> np.ndarray:
    """Columns start … start + length of `sync_mel(samples)`, reading only the sound around them.

    Args:
        samples: As for `sync_mel`; only what the columns need of it is read, so it may be mapped from a file.
        start: First column. Columns before 0 and after the last one of the whole mel are silent, −4.
        length: How many, at least 1.

    Returns:
        (80, length) float32 in [-4, 4].
    """
    begin = start * HOP - WINDOW // 2
    signal = _pre_emphasised(samples, begin, begin + (length - 1) * HOP + WINDOW)
    frames = np.lib.stride_tricks.sliding_window_view(signal, WINDOW)[::HOP]
    magnitude = np.abs(np.fft.rfft(frames * _hann(), axis=1))
    loudness = 20 * np.log10(np.maximum(10 ** (FLOOR_DB / 20), _filter_bank() @ magnitude.T)) - REFERENCE_DB
    mel = np.clip(2 * MOST * (loudness - FLOOR_DB) / -FLOOR_DB - MOST, -MOST, MOST).astype(np.float32)
    mel[:, : max(-start, 0)] = -MOST
    mel[:, max(mel_columns(len(samples)) - start, 0) :] = -MOST
    return mel


def _pre_emphasised(samples: np.ndarray, begin: int, end: int) -> np.ndarray:
    """x[t] − 0.97 · x[t−1] for t in begin … end, float64; 0 outside the sound."""
    signal = np.zeros(end - begin)
    first, last = max(begin, 0), min(end, len(samples))
    if first >= last:
        return signal
    before = max(first - 1, 0)
    piece = np.asarray(samples[before:last])
    if piece.dtype == np.int16:
        piece = piece / 32768.0
    piece = piece.astype(np.float64)
    emphasised = piece.copy()
    emphasised[1:] -= PRE_EMPHASIS * piece[:-1]
    signal[first - begin : last - begin] = emphasised[first - before :]
    return signal


@lru_cache(maxsize=1)
def _hann() -> np.ndarray:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)


@lru_cache(maxsize=1)
def _filter_bank() -> np.ndarray:
    """(80, 401) float64 triangles of equal area on Slaney's mel scale."""
    from transformers.audio_utils import mel_filter_bank

    bank = mel_filter_bank(
        WINDOW // 2 + 1, BANDS, LOWEST_HZ, HIGHEST_HZ, SAMPLE_RATE, norm="slaney", mel_scale="slaney"
    )
    return np.ascontiguousarray(bank.T)
