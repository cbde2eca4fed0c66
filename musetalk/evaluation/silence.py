"""Does the mouth rest while nobody speaks?"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from musetalk.evaluation.values import NotMeasurable

SILENCE_DECIBEL = -35.0
"""Below the loudness that 95 % of the frames stay under."""
LEAST_RMS = 1e-4
"""Quieter is silence in any recording: −80 dB of full scale."""
LEAST_SECONDS = Fraction(1, 5)
"""Shorter pauses belong to words: the closure of a p is silent too."""
MARGIN_SECONDS = Fraction(2, 25)
"""At both ends of a pause, where the mouth may still close or already open."""
OPEN_ASPECT = 0.25
"""Mouth aspect ratio above which a mouth counts as open (published measurements of leaking mouths use it)."""
LEAST_FRAMES = 5


def silent_frames(envelope: np.ndarray, fps: Fraction) -> np.ndarray:
    """(n,) bool: frames inside a pause of at least 0.2 s, without the 0.08 s at its ends.

    A frame is quiet where its RMS lies 35 dB below the loudness that 95 % of the frames stay under. A pause at the
    beginning or the end of the sound has a margin on its inner side only.

    Args:
        envelope: (n,) RMS of each frame.
    """
    quiet = envelope < max(float(np.percentile(envelope, 95)) * 10 ** (SILENCE_DECIBEL / 20), LEAST_RMS)
    silent = np.zeros(len(envelope), bool)
    least, margin = -(-LEAST_SECONDS * fps // 1), -(-MARGIN_SECONDS * fps // 1)
    for begin, end in runs(quiet):
        if end - begin >= least:
            silent[begin + (margin if begin else 0) : end - (margin if end < len(quiet) else 0)] = True
    return silent


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """(begin, end) of each run of True, end exclusive."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags.astype(bool), [False]]).astype(np.int8)))
    return [(int(begin), int(end)) for begin, end in zip(edges[::2], edges[1::2], strict=True)]


def silence_leak(aspects: np.ndarray, silent: np.ndarray) -> float:
    """Share of the silent frames with a face in which the mouth aspect ratio exceeds 0.25; 0…1.

    Args:
        aspects: (n,) mouth aspect ratio, NaN without a face.
        silent: (n,) bool.

    Raises:
        NotMeasurable: There are fewer than five such frames.
    """
    return float((_in_silence(aspects, silent) > OPEN_ASPECT).mean())


def silence_motion(gaps: np.ndarray, silent: np.ndarray) -> float:
    """Standard deviation of the lip gap in silence over that in speech; 0: the mouth rests, 1: it does not care.

    Raises:
        NotMeasurable: There are fewer than five frames of silence or of speech, or the mouth never moves in speech.
    """
    still = float(np.std(_in_silence(gaps, silent)))
    spoken = gaps[~silent & np.isfinite(gaps)]
    if len(spoken) < LEAST_FRAMES:
        raise NotMeasurable("the sound is silent throughout")
    moving = float(np.std(spoken))
    if moving < 1e-9:
        raise NotMeasurable("the mouth does not move in speech either")
    return still / moving


def _in_silence(curve: np.ndarray, silent: np.ndarray) -> np.ndarray:
    found = curve[silent & np.isfinite(curve)]
    if len(found) < LEAST_FRAMES:
        raise NotMeasurable("the sound has no pause long enough")
    return found
