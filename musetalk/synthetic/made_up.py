"""Made-up words of a language: every speech sound beside every other, where a few sentences hold few of them.

A reader of mouths that hears the same sentences again and again learns their words, not their sounds.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class _Syllables:
    """The letters that a syllable begins with, goes on with and ends with, each separated by spaces; `-` is none."""

    onsets: str
    vowels: str
    codas: str
    most: int = 3

    def draw(self, rng: np.random.Generator) -> str:
        parts = (part.split() for part in (self.onsets, self.vowels, self.codas))
        return "".join(letters[rng.integers(len(letters))] for letters in parts).replace("-", "")


_OPEN = "- - - -"
_ONSETS = "- b c d f g k l m n p r s t v z b d f m p t br bl cr cl dr fl fr gr gl pl pr st sp tr"
_CODAS = f"{_OPEN} l m n r s t"
_ENGLISH = _Syllables(
    f"{_ONSETS} h j w w y sh ch th th qu wh sk sl sm sn sw tw thr",
    "a e i o u a e i o u ee oo ou ow ai ay oa oi oy au aw ar er or ir ie ea y",
    f"{_OPEN} {_CODAS} b d f g k m p p sh ch th ng v",
)
_KOREAN_ONSETS = " ".join(chr(code) for code in range(0x1100, 0x1113))
_KOREAN_VOWELS = " ".join(chr(code) for code in range(0x1161, 0x1176))
_KOREAN_CODAS = " ".join(chr(code) for code in (0x11A8, 0x11AB, 0x11AF, 0x11B7, 0x11B8, 0x11BC))

_BY_LANGUAGE = {
    "cmn-latn-pinyin": _Syllables(
        "b p m f d t n l g k h zh ch sh z c s", "a ai ao an ang e en eng ou u o", "1 2 3 4 5"
    ),
    "ja": _Syllables(
        "あ い う え お か き く け こ さ し す せ そ た ち つ て と "
        "な に ぬ ね の は ひ ふ へ ほ ま み む め も や ゆ よ ら り る "
        "れ ろ わ が ぎ ぐ げ ご ざ じ ず ぜ ぞ だ で ど ば び ぶ べ ぼ ぱ ぴ ぷ ぺ ぽ きゃ しゅ ちょ びょ みゃ",
        "-",
        f"{_OPEN} - - ん",
        5,
    ),
    "es": _Syllables(f"{_ONSETS} ñ ll ch h j qui gue hue", "a e i o u a e o ie ue ai io ua", f"{_CODAS} d z"),
    "fr": _Syllables(
        f"{_ONSETS} ch j gn qu h vr", "a e i o u é è ou eu oi au eau an on in un ai ui", f"{_CODAS} que ge be pe me ve"
    ),
    "de": _Syllables(
        f"{_ONSETS} sch sch w w pf z h j schw str kn zw", "a e i o u ä ö ü ei au eu ie ah oh",
        f"{_CODAS} ch g b ng nz ft"
    ),
    "it": _Syllables(f"{_ONSETS} gn gli ch gh sc qu", "a e i o u a e i o u ia io ai ei uo ie", f"{_OPEN} {_CODAS}"),
    "pt-br": _Syllables(f"{_ONSETS} nh lh ch j qu x", "a e i o u ã ão é ó ai ou ei em om", f"{_OPEN} l m r s"),
    "ru": _Syllables(
        "- б в г д ж з к л м н п р с т ф х ц ч ш щ б м п в бр пл тр вл кр ст",
        "а о у э ы и е ё ю я а о у и е",
        f"{_OPEN} - л м н р с т к ш й б в п",
    ),
    "hi": _Syllables(
        "क ख ग घ च छ ज झ ट ठ ड ढ त थ द ध न प फ ब भ म य र ल व श स ह म ब प",
        "- ा ि ी ु ू े ै ो ौ ा ी े ो",
        f"{_OPEN} - म न र ल"
    ),
    "cs": _Syllables(
        f"{_ONSETS} ch h j kn mn st sv zd zl vl hr dl", "a e i o u a e i o u ou ia", f"{_CODAS} k j ch c v p b"
    ),
    "fi": _Syllables(
        "- h j k l m n p r s t v k m p t v l", "a e i o u y aa ee ii oo uu ai ei oi au uo ie", f"{_OPEN} n s l r t"
    ),
    "ca": _Syllables(f"{_ONSETS} ny ll x j qu", "a e i o u a e i o u ai ei ou au ia", f"{_CODAS} m p x"),
    "ar": _Syllables(
        "ب ت ث ج ح خ د ذ ر ز س ش ص ض ط ع غ ف ق ك ل م ن ه و ي ب م ف",
        "َ ِ ُ َا ِي ُو",
        f"{_OPEN} - نْ مْ لْ رْ بْ سْ",
    ),
    "ko": _Syllables(_KOREAN_ONSETS, _KOREAN_VOWELS, f"{_OPEN} - - {_KOREAN_CODAS}"),
    "tr": _Syllables(f"{_ONSETS} ş ç c h y ğ", "a e ı i o ö u ü a e i", f"{_CODAS} k ş ç p v y"),
}  # fmt: skip


def made_up_sentence(rng: np.random.Generator, language: str) -> str:
    """Three to nine words that do not exist, in the script of a language; any accent of English has English's."""
    syllables = _BY_LANGUAGE.get(language, _ENGLISH)
    words = []
    for _ in range(int(rng.integers(3, 10))):
        word = "".join(syllables.draw(rng) for _ in range(int(rng.integers(1, syllables.most + 1))))
        words.append(word + ("," if rng.random() < 0.12 else ""))
    sentence = " ".join(words).rstrip(",") + ("?" if rng.random() < 0.2 else ".")
    return unicodedata.normalize("NFC", sentence[0].upper() + sentence[1:])
