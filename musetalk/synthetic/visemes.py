"""The mouth shapes of speech, and which of them a phone passes through."""

from __future__ import annotations

import re
import unicodedata

import numpy as np

from musetalk.synthetic.mouth_channels import pose
from musetalk.synthetic.utterance import PAUSE

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
_IPA_VISEMES = {letter: (viseme,) for viseme, letters in _IPA.items() for letter in letters} | {"ɯ": ("near_close",)}


def rest_pose() -> np.ndarray:
    """Closed, relaxed lips, (C,) float32."""
    return pose(VISEMES["rest"])


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
