"""Where the tongue's tip is while someone speaks: at the palate for l, t, d and n, between the teeth for th."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from musetalk.synthetic.utterance import SAMPLE_RATE, Utterance
from musetalk.synthetic.visemes import phone_visemes

PLACES = {
    "lateral": (1.0, 0.0),
    "alveolar": (0.85, 0.0),
    "dental": (0.35, 1.0),
    "sibilant": (0.35, 0.0),
    "rhotic": (0.5, -0.3),
}
"""How far the tip is raised and put out for a viseme, 0…1."""
SPREAD = 0.035
"""Seconds in which it gets there."""


def tongue_curves(utterance: Utterance, fps: Fraction) -> np.ndarray:
    """Raised and put out, (⌊seconds·fps⌋, 2) float32, at the middle of every frame."""
    count = int(len(utterance.audio) * fps // SAMPLE_RATE)
    times = (np.arange(count) + 0.5) / float(fps)
    curves = np.zeros((count, 2), np.float32)
    for phone, start, end in utterance.phones:
        visemes = phone_visemes(phone, utterance.engine == "flite")
        for number, viseme in enumerate(visemes):
            if viseme not in PLACES:
                continue
            a = start + (end - start) * number / len(visemes)
            b = start + (end - start) * (number + 1) / len(visemes)
            distance = np.maximum(np.maximum(a - times, times - b), 0.0)
            pull = np.exp(-((distance / SPREAD) ** 2))[:, None] * np.array(PLACES[viseme], np.float32)
            curves = np.where(np.abs(pull) > np.abs(curves), pull, curves)
    return curves
