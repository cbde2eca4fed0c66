"""Mouth movement of synthetic speech: the shapes of its phones, blended by dominance functions.

Each phone pulls the mouth to its shape with a strength that fades with the distance in time, and the mouth is the
weighted mean (Cohen and Massaro 1993).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.ndimage import gaussian_filter1d, uniform_filter1d

from musetalk.synthetic.mouth_channels import CHANNELS, CLOSE, GAP_WEIGHTS, JAW, lip_gap, pose
from musetalk.synthetic.utterance import PAUSE, SAMPLE_RATE, Utterance
from musetalk.synthetic.visemes import VISEMES, VOWELS, phone_visemes, rest_pose

GRID = 200
"""Points a second at which the blend is computed."""
PAUSE_AT_REST = 0.15
"""Seconds; in a shorter pause the mouth just moves on to the next phone."""


@dataclass(frozen=True)
class _Dominance:
    """How hard (`strength`) and how far in time (`spread`, s; `power` of the fall) a viseme pulls.

    `rounding` is the strength on the spread or rounding of the lips, which many consonants leave to the vowels.
    `inset` is the share of the phone, at either end, that belongs to the transition.
    """

    strength: float
    spread: float
    rounding: float
    power: float = 1.0
    inset: float = 0.25


_VOWEL = _Dominance(1.0, 0.05, 1.0, inset=0.2)
_CONSONANT = _Dominance(1.2, 0.03, 0.25)
_DOMINANCE: dict[str, _Dominance] = {
    "rest": _Dominance(8.0, 0.035, 8.0, 2.0),
    "closed": _Dominance(40.0, 0.025, 0.5, 2.0, 0.3),
    "labiodental": _Dominance(25.0, 0.025, 0.6, 2.0, 0.3),
    "sibilant": _Dominance(2.5, 0.03, 0.6),
    "palatoalveolar": _Dominance(3.0, 0.035, 2.5),
    "labiovelar": _Dominance(2.5, 0.045, 4.0),
    "rhotic": _Dominance(1.5, 0.035, 1.5),
    "lateral": _Dominance(1.0, 0.03, 0.2),
    "velar": _Dominance(0.8, 0.03, 0.15),
    "neutral": _Dominance(0.15, 0.03, 0.05),
    "schwa": _Dominance(0.7, 0.045, 0.4),
    "close_rounded": _Dominance(1.2, 0.06, 2.0, inset=0.2),
    "near_close_rounded": _Dominance(1.0, 0.055, 1.5, inset=0.2),
    "mid_rounded": _Dominance(1.1, 0.055, 1.6, inset=0.2),
}
_ROUNDING = np.isin(CHANNELS, ("mouthPucker", "mouthStretch", "mouthSmile"))
_OPENING = np.isin(CHANNELS, ("jawOpen", "mouthUpperUp", "mouthLowerDown"))
VOWEL_LEAD = 0.035
"""Seconds by which the mouth takes a vowel's or rounded consonant's shape before its sound."""
LOUDNESS_WINDOW = 0.08
DECIBELS_TO_DOUBLE = 10
OPENNESS = (0.55, 1.25)
"""Louder speech opens the mouth wider: seconds of sound that count, dB that double the opening, and its bounds."""
CLOSED_GAP = -0.04
"""Gap that closed lips aim at: pressed together a little."""


@dataclass(frozen=True)
class _Pull:
    viseme: str
    start: float
    end: float


def _pulls(utterance: Utterance) -> list[_Pull]:
    """Visemes in time; diphthongs in their parts, short pauses left out."""
    pulls: list[_Pull] = []
    for phone, start, end in utterance.phones:
        if phone == PAUSE and end - start < PAUSE_AT_REST:
            at_edge = start <= 0 or end >= utterance.seconds - 1e-6
            if not at_edge:
                continue
        visemes = phone_visemes(phone, utterance.engine == "flite")
        edges = np.linspace(start, end, len(visemes) + 1)
        pulls += [_Pull(v, float(a), float(b)) for v, a, b in zip(visemes, edges[:-1], edges[1:], strict=True)]
    return pulls


def _loudness(audio: np.ndarray, points: int) -> np.ndarray:
    """Level in dB (points,) on the grid, over about a syllable's nucleus."""
    if len(audio) == 0:
        return np.full(points, -100.0)
    power = uniform_filter1d(audio.astype(np.float64) ** 2, int(LOUDNESS_WINDOW * SAMPLE_RATE), mode="constant")
    index = np.minimum(np.arange(points) * SAMPLE_RATE // GRID, len(audio) - 1)
    return 10 * np.log10(np.maximum(power[index], 1e-10))


def _openness(pulls: list[_Pull], loudness: np.ndarray) -> np.ndarray:
    """How wide the mouth opens (points,), 0.55…1.25 of its shape, from the level against the vowels' middle level."""
    levels = [
        float(loudness[int(pull.start * GRID) : int(pull.end * GRID) + 1].mean())
        for pull in pulls
        if pull.viseme in VOWELS and int(pull.start * GRID) < len(loudness)
    ]
    usual = float(np.median(levels)) if levels else 0.0
    return np.clip(2 ** ((loudness - usual) / DECIBELS_TO_DOUBLE), *OPENNESS)


def _window(pull: _Pull, dominance: _Dominance) -> tuple[float, float]:
    """Where the pull is at its strongest."""
    length = pull.end - pull.start
    if pull.viseme == "rest":
        margin = min(0.09, 0.4 * length)
        return pull.start + margin, pull.end - margin
    inset = dominance.inset * length
    lead = VOWEL_LEAD if pull.viseme in VOWELS or pull.viseme == "labiovelar" else 0.0
    return pull.start + inset - lead, pull.end - inset - lead / 2


def _blend(utterance: Utterance, points: int) -> tuple[np.ndarray, list[float]]:
    """The mouth on the grid (points, C), and the middles in seconds of the phones that shut the lips."""
    pulls = _pulls(utterance)
    openness = _openness(pulls, _loudness(utterance.audio, points))[:, None]
    total = np.full((points, len(CHANNELS)), 1e-6)
    mouth = total * rest_pose()
    shut = np.zeros(points)
    middles = []
    reach = 0.4
    for pull in pulls:
        dominance = _DOMINANCE.get(pull.viseme, _VOWEL if pull.viseme in VOWELS else _CONSONANT)
        start, end = _window(pull, dominance)
        first, last = max(0, int((start - reach) * GRID)), min(points, int((end + reach) * GRID) + 1)
        at = np.arange(first, last) / GRID
        distance = np.maximum(np.maximum(start - at, at - end), 0.0)
        if pull.viseme == "rest":  # nothing is said before the first and after the last pause
            distance[at < start] *= 0.0 if pull.start <= 0 else 1.0
            distance[at > end] *= 0.0 if pull.end >= utterance.seconds - 1e-6 else 1.0
        pull_at = np.exp(-((distance / dominance.spread) ** dominance.power))
        strength = np.where(_ROUNDING, dominance.rounding, dominance.strength)
        weight = pull_at[:, None] * strength
        total[first:last] += weight
        mouth[first:last] += weight * pose(VISEMES[pull.viseme])
        if pull.viseme in ("closed", "rest"):
            shut[first:last] += weight[:, JAW]
        if pull.viseme == "closed":
            middles.append((pull.start + pull.end) / 2)
    mouth *= np.where(_OPENING, openness, 1.0) / total
    mouth = gaussian_filter1d(mouth, 0.010 * GRID, axis=0, mode="nearest")
    share = np.clip((shut / total[:, JAW] - 0.5) / 0.35, 0, 1)
    excess = np.maximum(lip_gap(mouth) - CLOSED_GAP, 0)
    mouth[:, CLOSE] += share * share * (3 - 2 * share) * excess / -GAP_WEIGHTS[CLOSE]
    return mouth, middles


def mouth_curves(utterance: Utterance, fps: Fraction | float, rng: np.random.Generator | None = None) -> np.ndarray:
    """The mouth at the middle of every frame, (⌊seconds·fps⌋, C) float32 in 0…1.

    A frame in which the lips shut for m, b or p shows them shut, even if its middle does not fall on the closure.

    Args:
        rng: draws a speaker's habits (how far the jaw and lips move); none by default, so that the sound alone decides.
    """
    rate = Fraction(fps).limit_denominator(100000)
    count = int(len(utterance.audio) * rate // SAMPLE_RATE)
    if count == 0:
        return np.zeros((0, len(CHANNELS)), np.float32)
    points = int(np.ceil(utterance.seconds * GRID)) + 1
    mouth, middles = _blend(utterance, points)
    times = (np.arange(count) + 0.5) / float(rate)
    for middle in middles:
        frame = int(middle * float(rate))
        if frame < count:
            times[frame] = middle
    grid = np.arange(points) / GRID
    curves = np.stack([np.interp(times, grid, channel) for channel in mouth.T], axis=1)
    if rng is not None:
        habits = rng.uniform(0.85, 1.15, len(CHANNELS))
        shared = rng.uniform(0.85, 1.15)
        closing = np.array([name in ("mouthPress", "mouthRollLower") for name in CHANNELS])
        habits[[JAW, CLOSE]] = shared  # together, or closed lips would part
        curves = curves * np.where(closing, np.maximum(habits, 1.0), habits)
    return np.clip(curves, 0, 1).astype(np.float32)
