"""What was said: sound with the time of every phone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SAMPLE_RATE = 16000
PAUSE = "pau"
Phone = tuple[str, float, float]
"""Symbol (ARPAbet or IPA, `pau` for silence), start and end in seconds."""


@dataclass(frozen=True)
class Utterance:
    """`audio` (n,) float32 mono 16 kHz in −1…1; `phones` in order and without gaps, from 0 to the end of the audio."""

    audio: np.ndarray
    phones: list[Phone]
    engine: str
    voice: str

    @property
    def seconds(self) -> float:
        return len(self.audio) / SAMPLE_RATE


def tidy_phones(phones: list[Phone], end: float) -> list[Phone]:
    """Phones without empty ones, neighbouring pauses joined, from 0 to `end`."""
    tidy: list[Phone] = []
    for symbol, start, stop in phones:
        if stop - start < 1e-4:
            continue
        if symbol == PAUSE and tidy and tidy[-1][0] == PAUSE:
            tidy[-1] = (PAUSE, tidy[-1][1], stop)
        else:
            tidy.append((symbol, tidy[-1][2] if tidy else start, stop))
    if not tidy:
        return [(PAUSE, 0.0, end)]
    if tidy[0][1] > 0:
        first = tidy[0]
        tidy[:1] = [(PAUSE, 0.0, first[2])] if first[0] == PAUSE else [(PAUSE, 0.0, first[1]), first]
    last = tidy[-1]
    if last[2] < end - 1e-4:
        tidy[-1:] = [(PAUSE, last[1], end)] if last[0] == PAUSE else [last, (PAUSE, last[2], end)]
    else:
        tidy[-1] = (last[0], last[1], end)
    return tidy


def speech_level(audio: np.ndarray) -> float:
    """RMS of the louder half of the 20 ms blocks of `audio` (n,) at 16 kHz."""
    blocks = audio[: len(audio) // 320 * 320].reshape(-1, 320)
    if len(blocks) == 0:
        return 1e-6
    power = np.sort((blocks**2).mean(axis=1))
    return float(np.sqrt(power[len(power) // 2 :].mean()) + 1e-6)
