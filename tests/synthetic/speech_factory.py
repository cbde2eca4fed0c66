"""Utterances that tests make for themselves, and what is heard in them."""

from __future__ import annotations

import numpy as np
import pytest

from musetalk.synthetic.synthesizers import available_engines
from musetalk.synthetic.utterance import PAUSE, SAMPLE_RATE, Utterance
from musetalk.synthetic.visemes import phone_visemes


def need(engine: str) -> None:
    if engine not in available_engines():
        pytest.skip(f"{engine} is not installed")


def made(*phones: tuple[str, float], engine: str = "flite", level: float = 0.1) -> Utterance:
    """An utterance of phones and their lengths; every phone sounds equally loud, pauses are silent."""
    sound, spans, start = [], [], 0.0
    for symbol, seconds in phones:
        tone = np.sin(2 * np.pi * 150 * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)
        sound.append(tone * (0.0 if symbol == PAUSE else level))
        spans.append((symbol, start, start + seconds))
        start += seconds
    return Utterance(np.concatenate(sound).astype(np.float32), spans, engine, "made")


def level_of(audio: np.ndarray, start: float, end: float) -> float:
    """RMS."""
    return float(np.sqrt(np.mean(audio[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)].astype(float) ** 2)))


def visemes_of(utterance: Utterance, phone: str) -> tuple[str, ...]:
    return phone_visemes(phone, utterance.engine == "flite")
