"""Folders of synthetic utterances with their true mouth curves, drawn from seeds; a stopped run continues."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from musetalk.synthetic.coarticulation import mouth_curves
from musetalk.synthetic.sentences import EVERY
from musetalk.synthetic.speech import random_utterance
from musetalk.synthetic.utterance import Utterance
from musetalk.training.files import replacing

SHORTEST, LONGEST = 8.0, 14.0  # seconds of an utterance
VIDEO_RATE = 25
"""Frames a second (published)."""


@dataclass(frozen=True)
class Speech:
    """One utterance: `audio` (n,) float32, 16 kHz; `curves` (frames, C), 25 fps."""

    audio: np.ndarray
    curves: np.ndarray
    voice: str


def save_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Write an npz, whole or not at all.

    Raises:
        OutputError: It cannot be written.
    """
    with replacing(path) as file:
        np.savez(file, **arrays)


def write_speech(
    folder: Path,
    first: int,
    count: int,
    seed: int,
    pool: str = EVERY,
    engines: tuple[str, ...] | None = None,
    made_up: float = 0.0,
    laughing: float = 0.0,
) -> None:
    """Write utterances `first` … `first + count - 1`; those that exist are kept.

    Args:
        folder: Where `<number>.npz` go.
        first, count: Numbers.
        seed: Other seeds give other utterances.
        pool: Of voices and sentences, one of `sentences.POOLS`.
        engines: The synthesizers to draw from; those of `synthesizers.available_engines` by default.
        made_up: Share of the sentences that are of made-up words.
        laughing: Share of the utterances in whose place somebody laughs.

    Raises:
        OutputError: One cannot be written.
    """
    for index in range(first, first + count):
        path = folder / f"{index:05d}.npz"
        if path.exists():
            continue
        laugh = np.random.default_rng((seed, index, 1))  # one of its own: what is spoken stays the same
        if laugh.random() < laughing:
            speech = _laughter(laugh, pool)
        else:
            rng = np.random.default_rng((seed, index))
            speech = _speech(random_utterance(rng, SHORTEST, LONGEST, engines, pool, made_up=made_up))
        save_arrays(
            path,
            audio=np.round(np.clip(speech.audio, -1, 1) * 32767).astype(np.int16),
            curves=speech.curves.astype(np.float16),
            voice=np.array(speech.voice),
        )


def _speech(utterance: Utterance) -> Speech:
    curves = mouth_curves(utterance, Fraction(VIDEO_RATE))
    return Speech(utterance.audio, curves, f"{utterance.engine}:{utterance.voice}")


def _laughter(rng: np.random.Generator, pool: str) -> Speech:
    from musetalk.synthetic.acting import laughter  # and with it the renderer, which training does not need

    done = laughter(rng, round(rng.uniform(SHORTEST, LONGEST) * VIDEO_RATE), pool)
    return Speech(done.audio, done.take.curves, done.voice)


def read_speech(folder: Path) -> list[Speech]:
    """All utterances of a folder in order of their numbers."""
    corpus = []
    for path in sorted(folder.glob("[0-9]*.npz")):
        with np.load(path) as data:
            corpus.append(
                Speech(
                    data["audio"].astype(np.float32) / 32767,
                    data["curves"].astype(np.float32),
                    str(data["voice"]),
                )
            )
    return corpus
