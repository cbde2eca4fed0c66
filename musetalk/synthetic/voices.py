"""The synthesizers' voices: those that training hears, those that it never hears, and one at random."""

from __future__ import annotations

import numpy as np

from musetalk.errors import DeviceError
from musetalk.synthetic.festival import FESTIVAL_VOICES, installed_voices
from musetalk.synthetic.sentences import ENGLISH, EVERY, HELD_OUT, LANGUAGES, TRAIN
from musetalk.synthetic.synthesizers import available_engines

FLITE_VOICES = ("slt", "rms", "awb", "kal16")
ESPEAK_VARIANTS = (
    "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "klatt", "klatt2", "klatt3", "klatt4",
    "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Hugo", "Jacky", "Lee", "Mario", "Michael", "Mike",
    "adam", "anika", "belinda", "benjamin", "boris", "caleb", "david", "ed", "edward", "iven", "john", "linda", "max",
    "michel", "miguel", "norbert", "pablo", "paul", "pedro", "quincy", "rob", "robert", "sandro", "shelby", "steph",
    "travis", "victor", "zac",
)  # fmt: skip
HELD_OUT_FLITE = ("awb",)
HELD_OUT_VARIANTS = ESPEAK_VARIANTS[6::7]
"""Voices that no training hears; see `sentences.POOLS`."""
FESTIVAL_SHARE = 0.3
"""Chance of one of Festival's voices where they may be drawn."""


def voices(pool: str = EVERY) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """flite's voices and espeak's variants of a pool."""
    found = []
    for every, held_out in ((FLITE_VOICES, HELD_OUT_FLITE), (ESPEAK_VARIANTS, HELD_OUT_VARIANTS)):
        chosen = {EVERY: every, TRAIN: tuple(v for v in every if v not in held_out), HELD_OUT: held_out}
        found.append(chosen[pool])
    return found[0], found[1]


def random_voice(
    rng: np.random.Generator, engines: tuple[str, ...] | None = None, pool: str = EVERY
) -> tuple[str, str, str]:
    """Engine, voice and language; flite and English are favoured.

    Args:
        rng: What draws.
        engines: To draw from; those of `available_engines` by default. Festival's voices are drawn only where it is
            named, and none of them is held out.
        pool: One of `sentences.POOLS`.
    """
    engines = available_engines() if engines is None else engines
    if "festival" in engines:
        others = tuple(engine for engine in engines if engine != "festival")
        more = installed_voices() if pool != HELD_OUT else ()
        if more and (not others or rng.random() < FESTIVAL_SHARE):
            voice = more[rng.integers(len(more))]
            return "festival", voice, FESTIVAL_VOICES[voice].language
        engines = others
    if not engines:
        raise DeviceError("No speech synthesizer is installed", "Install one: `apt-get install flite espeak-ng`.")
    flite, variants = voices(pool)
    engine = "flite" if "flite" in engines and (len(engines) == 1 or rng.random() < 0.5) else "espeak"
    if engine == "flite":
        chances = np.array([{"slt": 0.3, "rms": 0.3, "awb": 0.25, "kal16": 0.15}[voice] for voice in flite])
        return engine, flite[rng.choice(len(flite), p=chances / chances.sum())], "en-us"
    languages = ENGLISH if rng.random() < 0.45 else LANGUAGES
    language = languages[rng.integers(len(languages))]
    return engine, f"{language}+{variants[rng.integers(len(variants))]}", language
