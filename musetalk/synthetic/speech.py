"""Random speech: sentences of a random voice, with its pauses and its changes of loudness."""

from __future__ import annotations

import numpy as np

from musetalk.synthetic.made_up import made_up_sentence
from musetalk.synthetic.sentences import EVERY, random_sentence
from musetalk.synthetic.synthesizers import synthesize
from musetalk.synthetic.utterance import PAUSE, SAMPLE_RATE, Phone, Utterance, speech_level, tidy_phones
from musetalk.synthetic.voices import random_voice


def random_utterance(
    rng: np.random.Generator,
    min_seconds: float,
    max_seconds: float,
    engines: tuple[str, ...] | None = None,
    pool: str = EVERY,
    longest_pause: float = 1.2,
    made_up: float = 0.0,
) -> Utterance:
    """Sentences of one random speaker with pauses between them, `min_seconds` … `max_seconds` long.

    Loudness differs between sentences and wanders within them, as a speaker's does. The sound may end
    within a sentence.

    Args:
        engines: the synthesizers to draw from; those of `available_engines` by default.
        pool: of voices and sentences, one of `sentences.POOLS`.
        longest_pause: seconds between sentences, at most.
        made_up: share of the sentences that are of made-up words; Festival's all are.
    """
    engine, voice, language = random_voice(rng, engines, pool)
    formant = round(float(np.clip(rng.normal(1.0, 0.08), 0.84, 1.2)) * 50) / 50
    rate = float(np.exp(rng.normal(0.0 if engine == "flite" else -0.08, 0.16)).clip(0.68, 1.45))
    pitch = float(rng.uniform(15, 85))
    target = round(rng.uniform(min_seconds, max_seconds) * SAMPLE_RATE)
    pieces: list[np.ndarray] = []
    phones: list[Phone] = []
    length = 0

    def pause(seconds: float) -> None:
        nonlocal length
        count = round(seconds * SAMPLE_RATE)
        pieces.append(np.zeros(count, np.float32))
        phones.append((PAUSE, length / SAMPLE_RATE, (length + count) / SAMPLE_RATE))
        length += count

    pause(rng.uniform(0.0, 0.6))
    while length < target:
        # Festival's voices expect other encodings: they are given ASCII alone, which the made-up words are.
        invented = engine == "festival" or (made_up > 0 and rng.random() < made_up)
        spoken = synthesize(
            made_up_sentence(rng, language) if invented else random_sentence(rng, language, pool),
            engine,
            voice,
            rate * rng.uniform(0.92, 1.08),
            pitch + rng.normal(0, 4),
            formant,
        )
        audio, moved = _trim(spoken)
        gain = 10 ** (float(np.clip(rng.normal(-23, 3.5), -31, -16)) / 20) / speech_level(audio)
        pieces.append(audio * np.float32(gain))
        offset = length / SAMPLE_RATE
        phones += [(symbol, start + offset, stop + offset) for symbol, start, stop in moved]
        length += len(audio)
        pause(rng.uniform(0.2, longest_pause))
    audio = np.concatenate(pieces)
    audio *= _slow_gain(len(audio), rng)
    if len(audio) > target:
        fade = min(320, target)
        audio = audio[:target]
        audio[target - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    peak = float(np.abs(audio).max(initial=0.0))
    if peak > 0.95:
        audio *= np.float32(0.95 / peak)
    end = len(audio) / SAMPLE_RATE
    kept = [(symbol, start, min(stop, end)) for symbol, start, stop in phones if start < end]
    return Utterance(audio.astype(np.float32), tidy_phones(kept, end), engine, voice)


def _trim(utterance: Utterance, keep: float = 0.06) -> tuple[np.ndarray, list[Phone]]:
    """The audio with at most `keep` seconds of pause at either end, and its phones."""
    phones = utterance.phones
    first = max(0.0, phones[0][2] - keep) if phones[0][0] == PAUSE else 0.0
    last = min(utterance.seconds, phones[-1][1] + keep) if phones[-1][0] == PAUSE else utterance.seconds
    a, b = round(first * SAMPLE_RATE), round(last * SAMPLE_RATE)
    if b <= a:
        return np.zeros(0, np.float32), []
    moved = [
        (symbol, max(start, first) - a / SAMPLE_RATE, min(stop, last) - a / SAMPLE_RATE)
        for symbol, start, stop in phones
        if stop > first and start < last
    ]
    return utterance.audio[a:b], moved


def _slow_gain(length: int, rng: np.random.Generator) -> np.ndarray:
    """Gain (length,) that wanders within about ±5 dB over seconds."""
    knots = max(3, int(length / SAMPLE_RATE / rng.uniform(0.8, 2.5)) + 2)
    decibels = np.clip(rng.normal(0, rng.uniform(0.5, 3.0), knots), -6, 5)
    at = np.linspace(0, knots - 1, length)
    base = at.astype(int).clip(0, knots - 2)
    blend = (1 - np.cos(np.pi * (at - base))) / 2
    return (10 ** ((decibels[base] * (1 - blend) + decibels[base + 1] * blend) / 20)).astype(np.float32)
