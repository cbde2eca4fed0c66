"""Folders of synthetic utterances with their true mouth curves, drawn from seeds; a stopped run continues."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from musetalk.synthetic.coarticulation import mouth_curves
from musetalk.synthetic.sentences import EVERY
from musetalk.synthetic.speech import random_utterance
from musetalk.training.files import replacing

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
) -> None:
    """Write utterances `first` … `first + count - 1`; those that exist are kept.

    Args:
        folder: Where `<number>.npz` go.
        first, count: Numbers.
        seed: Other seeds give other utterances.
        pool: Of voices and sentences, one of `sentences.POOLS`.
        engines: The synthesizers to draw from; those of `synthesizers.available_engines` by default.
        made_up: Share of the sentences that are of made-up words.

    Raises:
        OutputError: One cannot be written.
    """
    for index in range(first, first + count):
        path = folder / f"{index:05d}.npz"
        if path.exists():
            continue
        utterance = random_utterance(np.random.default_rng((seed, index)), 8.0, 14.0, engines, pool, made_up=made_up)
        save_arrays(
            path,
            audio=np.round(np.clip(utterance.audio, -1, 1) * 32767).astype(np.int16),
            curves=mouth_curves(utterance, Fraction(VIDEO_RATE)).astype(np.float16),
            voice=np.array(f"{utterance.engine}:{utterance.voice}"),
        )


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
