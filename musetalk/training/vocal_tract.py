"""Speech as a speaker with a longer or shorter vocal tract would say it, in log-mel.

Vocal tract length perturbation, Jaitly and Hinton 2013: a few voices stand for many.
"""

from __future__ import annotations

import numpy as np
import torch

SPREAD = 0.1
"""Standard deviation of the logarithm of the factor; between women and men it is about 0.17."""
HIGHEST = 8000.0


def draw_tract(rng: np.random.Generator) -> float:
    """A factor for `with_tract`."""
    return float(np.exp(np.clip(rng.normal(0, SPREAD), -2 * SPREAD, 2 * SPREAD)))


def with_tract(mel: torch.Tensor, factor: float) -> torch.Tensor:
    """Whisper's log-mel (80, columns) with all frequencies divided by `factor`: above 1 a longer tract, a deeper voice.

    What would come from above 8 kHz is what is there at 8 kHz.
    """
    places = torch.from_numpy(_places(len(mel), factor)).to(mel)
    lower = places.floor().long().clamp(max=len(mel) - 2)
    share = (places - lower)[:, None]
    return mel[lower] * (1 - share) + mel[lower + 1] * share


def _places(bands: int, factor: float) -> np.ndarray:
    """(bands,) float64: which band each one is taken from; mel bands are linear in mel, Slaney's scale."""
    from librosa import hz_to_mel, mel_to_hz

    step = hz_to_mel(HIGHEST) / (bands + 1)
    centres = mel_to_hz(step * np.arange(1, bands + 1))
    places: np.ndarray = hz_to_mel(centres * factor) / step - 1
    return places.clip(0, bands - 1)
