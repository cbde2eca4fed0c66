"""Changes to log-mel spectrograms with which a few voices stand for many.

Vocal tract length perturbation (Jaitly and Hinton 2013), with a tract whose parts differ; the spectrum's tilt and how
sharp its detail is, in which speakers and vocoders differ; and SpecAugment (Park et al. 2019), so that a sound is
known by more than one of its traces.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

LENGTH_SPREAD, LONGEST = 0.08, 0.2
"""Standard deviation and limit of the logarithm of a tract's length; between women and men it is about 0.17."""
PART_SPREAD, MOST_APART = 0.03, 0.06
"""The same of what its parts differ from that."""
PARTS = 5
HIGHEST = 8000.0
TILT_POINTS, TILT_SPREAD = 6, 0.08
"""Of Whisper's log-mel, in which 0.25 is ten decibels."""
DETAIL = (0.3, 1.2)
"""Share of what a mean over five bands takes away that is given back."""
TRACT_SHARE, DETAIL_SHARE, TILT_SHARE, MASKED_SHARE = 0.75, 0.5, 0.5, 0.2
"""Chances of each change to a segment."""
BANDS, BAND_COLUMNS = (1, 14), (200, 3000)
MOMENTS, MOMENT_COLUMNS = (5, 40), (1, 9)
"""What is masked: bands for a while, and moments of 10 to 80 ms, in every band."""


def augment_mel(mel: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Whisper's log-mel (80, columns) of the same words from another speaker, and not everything of it heard."""
    if rng.random() < TRACT_SHARE:
        mel = warp_vocal_tract(mel, draw_vocal_tract(rng))
    if rng.random() < DETAIL_SHARE:
        mel = scale_spectral_detail(mel, float(rng.uniform(*DETAIL)))
    if rng.random() < TILT_SHARE:
        bands, points = np.linspace(0, 1, len(mel)), np.linspace(0, 1, TILT_POINTS)
        tilt = np.interp(bands, points, rng.normal(0, TILT_SPREAD, TILT_POINTS))
        mel = mel + torch.from_numpy(tilt).to(mel)[:, None]
    return spec_augment(mel, rng) if rng.random() < MASKED_SHARE else mel


def draw_vocal_tract(rng: np.random.Generator) -> np.ndarray:
    """(PARTS,) factors for `warp_vocal_tract`, from low to high bands."""
    length = np.clip(rng.normal(0, LENGTH_SPREAD), -LONGEST, LONGEST)
    return np.exp(length + np.clip(rng.normal(0, PART_SPREAD, PARTS), -MOST_APART, MOST_APART))


def warp_vocal_tract(mel: torch.Tensor, factors: np.ndarray) -> torch.Tensor:
    """Log-mel (80, columns) with frequencies divided by factors: above 1 a longer tract, a deeper voice.

    Args:
        mel: What is changed.
        factors: (n,) at n bands from the lowest to the highest in equal steps; between them they are interpolated.

    Returns:
        The same shape. What would come from above 8 kHz is what is there at 8 kHz.
    """
    places = torch.from_numpy(_places(len(mel), factors)).to(mel)
    lower = places.floor().long().clamp(max=len(mel) - 2)
    share = (places - lower)[:, None]
    return mel[lower] * (1 - share) + mel[lower + 1] * share


def _places(bands: int, factors: np.ndarray) -> np.ndarray:
    """(bands,) float64: which band each one is taken from; mel bands are linear in mel, Slaney's scale."""
    from librosa import hz_to_mel, mel_to_hz

    step = hz_to_mel(HIGHEST) / (bands + 1)
    centres = mel_to_hz(step * np.arange(1, bands + 1))
    factor = np.exp(np.interp(np.linspace(0, 1, bands), np.linspace(0, 1, len(factors)), np.log(factors)))
    places: np.ndarray = hz_to_mel(centres * factor) / step - 1
    return places.clip(0, bands - 1)


def scale_spectral_detail(mel: torch.Tensor, share: float) -> torch.Tensor:
    """Log-mel (80, columns) with `share` of the detail that a mean over five bands takes away; 1: as it was."""
    smooth = F.avg_pool1d(F.pad(mel.T[:, None], (2, 2), mode="replicate"), 5, stride=1)[:, 0].T
    return smooth + (mel - smooth) * share


def spec_augment(mel: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Log-mel (80, columns) with its mean in the place of some bands and moments (SpecAugment)."""
    bands, columns = mel.shape
    mel, mask = mel.clone(), mel.mean()
    for _ in range(rng.integers(1, 3)):
        band, column = int(rng.integers(bands)), int(rng.integers(columns))
        mel[band : band + int(rng.integers(*BANDS)), column : column + int(rng.integers(*BAND_COLUMNS))] = mask
    for _ in range(rng.integers(*MOMENTS)):
        column = int(rng.integers(columns))
        mel[:, column : column + int(rng.integers(*MOMENT_COLUMNS))] = mask
    return mel
