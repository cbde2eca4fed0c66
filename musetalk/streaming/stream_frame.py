"""What a stream gives: frames with their time, their sound, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

import numpy as np


class Kind(Enum):
    """What a frame shows."""

    SPEECH = "speech"
    IDLE = "idle"
    REPEATED = "repeated"  # speech, with an earlier face: there was no time for its own


@dataclass(frozen=True)
class FrameTiming:
    """When things happened to a frame of speech, as the clock tells; 0 for what did not happen.

    Attributes:
        sounded: Its own sound had come.
        arrived: The sound that it looks ahead to had come, too.
        heard: The audio encoder was done.
        generated: Its face was made.
        taken: It was asked for.
        composed: It was ready.
    """

    sounded: float = 0.0
    arrived: float = 0.0
    heard: float = 0.0
    generated: float = 0.0
    taken: float = 0.0
    composed: float = 0.0


@dataclass(frozen=True)
class StreamFrame:
    """One frame of a stream.

    Attributes:
        index: Number of the frame.
        time: Its time in seconds, index / fps.
        image: (H, W, 3) uint8 BGR; may be read-only.
        sound: (n,) float32, 16 kHz mono: what is heard during the frame. Frame k's begins at sample
            floor(k · 16000 / fps).
        kind: What it shows.
        timing: Where its time went.
    """

    index: int
    time: Fraction
    image: np.ndarray
    sound: np.ndarray
    kind: Kind
    timing: FrameTiming


@dataclass
class StreamStatistics:
    """Counts of a stream so far.

    Attributes:
        frames: Frames given.
        speech: Those of speech, repeated ones included.
        repeated: Those of speech without a face of their own.
        behind: How often the schedule began anew.
    """

    frames: int = 0
    speech: int = 0
    repeated: int = 0
    behind: int = 0
