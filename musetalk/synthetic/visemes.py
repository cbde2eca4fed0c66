"""Mouth movement of synthetic speech: a mouth shape for every phone, blended by dominance functions.

Each phone pulls the mouth to its shape with a strength that fades with the distance in time, and the mouth is the
weighted mean (Cohen and Massaro 1993). Channels are named as the head model names its expressions; both sides move
alike.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.ndimage import gaussian_filter1d, uniform_filter1d

from musetalk.synthetic.speech import PAUSE, SAMPLE_RATE, Utterance

CHANNELS: tuple[str, ...] = (
    "jawOpen",
    "mouthClose",
    "mouthFunnel",
    "mouthPucker",
    "mouthStretch",
    "mouthSmile",
    "mouthUpperUp",
    "mouthLowerDown",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthPress",
    "mouthShrugUpper",
    "mouthShrugLower",
)
JAW, CLOSE = CHANNELS.index("jawOpen"), CHANNELS.index("mouthClose")
NEUTRAL_GAP = 0.08
GAP_WEIGHTS = np.array([3.28, -3.89, 1.37, -0.05, -0.03, 0.01, 0.71, 0.68, -0.37, 0.18, -0.25, 0.53, -0.69], np.float32)
"""Centimetres between the inner lips of the head model: of the neutral face, and added by each channel at 1."""
GRID = 200
"""Points a second at which the blend is computed."""
PAUSE_AT_REST = 0.15
"""Seconds; in a shorter pause the mouth just moves on to the next phone."""

VISEMES: dict[str, dict[str, float]] = {
    "rest": {"mouthPress": 0.12, "mouthClose": 0.02},
    "closed": {"mouthPress": 0.45, "mouthRollLower": 0.18, "mouthRollUpper": 0.1},
    "labiodental": {"jawOpen": 0.06, "mouthRollLower": 0.5, "mouthUpperUp": 0.3, "mouthLowerDown": 0.05},
    "dental": {"jawOpen": 0.16, "mouthLowerDown": 0.2, "mouthUpperUp": 0.12, "mouthStretch": 0.1},
    "alveolar": {"jawOpen": 0.12, "mouthLowerDown": 0.15, "mouthUpperUp": 0.08, "mouthStretch": 0.1},
    "sibilant": {
        "jawOpen": 0.07,
        "mouthLowerDown": 0.28,
        "mouthUpperUp": 0.15,
        "mouthStretch": 0.22,
        "mouthSmile": 0.08,
    },
    "lateral": {"jawOpen": 0.2, "mouthLowerDown": 0.15, "mouthUpperUp": 0.1},
    "palatoalveolar": {"jawOpen": 0.09, "mouthFunnel": 0.35, "mouthPucker": 0.35, "mouthLowerDown": 0.15},
    "rhotic": {"jawOpen": 0.13, "mouthFunnel": 0.2, "mouthPucker": 0.35},
    "velar": {"jawOpen": 0.18, "mouthLowerDown": 0.1, "mouthUpperUp": 0.05},
    "palatal": {"jawOpen": 0.12, "mouthStretch": 0.25, "mouthSmile": 0.15, "mouthLowerDown": 0.15},
    "labiovelar": {"jawOpen": 0.06, "mouthPucker": 0.85, "mouthFunnel": 0.15},
    "neutral": {"jawOpen": 0.2},
    "open": {"jawOpen": 0.56, "mouthLowerDown": 0.2, "mouthUpperUp": 0.12},
    "near_open": {
        "jawOpen": 0.47,
        "mouthLowerDown": 0.28,
        "mouthUpperUp": 0.2,
        "mouthStretch": 0.25,
        "mouthSmile": 0.1,
    },
    "back_open": {"jawOpen": 0.42, "mouthLowerDown": 0.15, "mouthUpperUp": 0.08},
    "open_rounded": {"jawOpen": 0.42, "mouthFunnel": 0.22, "mouthPucker": 0.3},
    "mid_rounded": {"jawOpen": 0.28, "mouthFunnel": 0.28, "mouthPucker": 0.58},
    "open_mid": {"jawOpen": 0.35, "mouthLowerDown": 0.22, "mouthUpperUp": 0.15, "mouthStretch": 0.22},
    "close_mid": {
        "jawOpen": 0.25,
        "mouthLowerDown": 0.22,
        "mouthUpperUp": 0.15,
        "mouthStretch": 0.35,
        "mouthSmile": 0.15,
    },
    "schwa": {"jawOpen": 0.25, "mouthLowerDown": 0.12, "mouthUpperUp": 0.06},
    "near_close": {
        "jawOpen": 0.19,
        "mouthLowerDown": 0.2,
        "mouthUpperUp": 0.12,
        "mouthStretch": 0.25,
        "mouthSmile": 0.1,
    },
    "close_front": {
        "jawOpen": 0.15,
        "mouthLowerDown": 0.2,
        "mouthUpperUp": 0.15,
        "mouthStretch": 0.4,
        "mouthSmile": 0.25,
    },
    "close_rounded": {"jawOpen": 0.12, "mouthPucker": 0.82, "mouthFunnel": 0.2},
    "near_close_rounded": {"jawOpen": 0.18, "mouthPucker": 0.55, "mouthFunnel": 0.18},
    "rhotic_vowel": {"jawOpen": 0.22, "mouthPucker": 0.3, "mouthFunnel": 0.2, "mouthLowerDown": 0.08},
}
VOWELS = frozenset(tuple(VISEMES)[tuple(VISEMES).index("open") :])
"""The visemes that are heard as the loud parts of speech, and that the mouth anticipates."""

_ARPABET = {
    "closed": "m b p", "labiodental": "f v", "dental": "th dh", "alveolar": "t d n dx en", "sibilant": "s z",
    "lateral": "l el", "palatoalveolar": "sh zh ch jh", "rhotic": "r", "velar": "k g ng", "palatal": "y",
    "labiovelar": "w", "neutral": "hh", "open": "aa", "near_open": "ae", "back_open": "ah", "open_rounded": "ao",
    "open_mid": "eh", "schwa": "ax", "near_close": "ih ix", "close_front": "iy", "close_rounded": "uw",
    "near_close_rounded": "uh", "rhotic_vowel": "er axr", "rest": "pau h# sil",
}  # fmt: skip
_IPA = {
    "closed": "mbpɓʙ", "labiodental": "fvɱʋⱱ", "dental": "θð", "alveolar": "tdnɾɗʈɖɳɽr", "sibilant": "sz",
    "lateral": "lɫɭʎɬɺ", "palatoalveolar": "ʃʒɕʑʂʐɧ", "rhotic": "ɹɻ", "velar": "kɡgŋxɣqɢɴχʁʀħʕcɟɰ", "palatal": "jɲçʝ",
    "labiovelar": "wɥʍɸβ", "neutral": "hɦʔ", "open": "aɑäɶ", "near_open": "æ", "back_open": "ʌɐ", "open_rounded": "ɔɒ",
    "mid_rounded": "oøœ", "open_mid": "ɛɜ", "close_mid": "e", "schwa": "əɘɤɵ", "near_close": "ɪɨᵻ",
    "close_front": "i", "close_rounded": "uyʉ", "near_close_rounded": "ʊʏ", "rhotic_vowel": "ɝɚ",
}  # fmt: skip
_DIPHTHONGS = {
    "ay": ("open", "near_close"), "aw": ("open", "near_close_rounded"), "oy": ("open_rounded", "near_close"),
    "ey": ("close_mid", "close_front"), "ow": ("mid_rounded", "near_close_rounded"),
    "ɯ": ("near_close",), "em": ("schwa", "closed"), "axl": ("schwa", "lateral"),
}  # fmt: skip
PHONE_TO_VISEME: dict[str, tuple[str, ...]] = {
    **{phone: (viseme,) for viseme, phones in _IPA.items() for phone in phones},
    **{phone: (viseme,) for viseme, phones in _ARPABET.items() for phone in phones.split()},
    **_DIPHTHONGS,
}
"""ARPAbet phones and IPA letters to the visemes they pass through. ARPAbet's one-letter `y` and `r` are IPA's `j`, `ɹ`:
`phone_visemes` knows which alphabet it reads."""


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


def pose(weights: dict[str, float]) -> np.ndarray:
    """Named weights as (C,) float32 in the order of `CHANNELS`."""
    return np.array([weights.get(name, 0.0) for name in CHANNELS], np.float32)


def rest_pose() -> np.ndarray:
    """Closed, relaxed lips, (C,) float32."""
    return pose(VISEMES["rest"])


def lip_gap(curves: np.ndarray) -> np.ndarray:
    """Centimetres between the inner lips, (...,), of curves (..., C) on the mean head; negative: pressed together."""
    return NEUTRAL_GAP + curves @ GAP_WEIGHTS


_IPA_VISEMES = {letter: (viseme,) for viseme, letters in _IPA.items() for letter in letters} | {"ɯ": ("near_close",)}


def phone_visemes(phone: str, arpabet: bool) -> tuple[str, ...]:
    """The visemes a phone passes through in time.

    Length, stress, tone and diacritics are ignored. An unknown letter counts as `schwa` if its Unicode name
    says that it derives from a, e, i, o or u, and as `neutral` otherwise.
    """
    if phone == PAUSE:
        return ("rest",)
    if arpabet:
        return PHONE_TO_VISEME.get(phone.rstrip("012"), ("neutral",))
    parts: list[str] = []
    for letter in unicodedata.normalize("NFD", phone):
        if unicodedata.category(letter) not in ("Ll", "Lo") and letter != "ᵻ":
            continue
        if letter in _IPA_VISEMES:
            visemes = _IPA_VISEMES[letter]
        else:
            vowel = re.search(r"\b[AEIOU]{1,2}\b", unicodedata.name(letter, ""))
            visemes = ("schwa",) if vowel else ("neutral",)
        parts += [viseme for viseme in visemes if not parts or parts[-1] != viseme]
    if len(parts) > 1 and parts[0] in ("alveolar", "velar") and parts[1] in ("sibilant", "palatoalveolar"):
        parts = parts[1:]  # an affricate is shaped by its friction
    return tuple(parts) or ("neutral",)


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


def random_mouth(rng: np.random.Generator) -> np.ndarray:
    """A plausible mouth (C,) float32 in 0…1: spoken, shut, smiling, laughing or pursed."""
    names = tuple(VISEMES)
    kind = rng.choice(5, p=(0.6, 0.12, 0.1, 0.1, 0.08))
    if kind == 0:
        first, second = (pose(VISEMES[names[rng.integers(len(names))]]) for _ in range(2))
        blend = rng.uniform(0, 1)
        mouth = (first * blend + second * (1 - blend)) * rng.uniform(0.7, 1.25)
    elif kind == 1:
        mouth = pose(VISEMES[("rest", "closed")[rng.integers(2)]])
        mouth += pose({"mouthSmile": rng.uniform(0, 0.2), "mouthPucker": rng.uniform(0, 0.2)})
    elif kind == 2:
        mouth = rest_pose() + pose({"mouthSmile": rng.uniform(0.2, 0.8), "mouthStretch": rng.uniform(0, 0.2)})
        mouth += pose({"mouthUpperUp": 0.4, "mouthLowerDown": 0.3}) * rng.uniform(0, 1)
    elif kind == 3:
        mouth = pose({"jawOpen": rng.uniform(0.25, 0.75), "mouthSmile": rng.uniform(0.3, 0.8)})
        mouth += pose({"mouthUpperUp": rng.uniform(0.1, 0.5), "mouthLowerDown": rng.uniform(0.1, 0.4)})
    else:
        mouth = pose(
            {"mouthPucker": rng.uniform(0.4, 1), "mouthFunnel": rng.uniform(0, 0.5), "jawOpen": rng.uniform(0, 0.2)}
        )
    mouth = mouth + (mouth > 0) * rng.normal(0, 0.03, len(CHANNELS))
    return np.clip(mouth, 0, 1).astype(np.float32)
