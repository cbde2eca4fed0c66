"""Festival's voices: their phones in IPA, when they are drawn, and what is said where they are missing."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from speech_factory import level_of, visemes_of

from musetalk.errors import DeviceError
from musetalk.synthetic import festival, voices
from musetalk.synthetic.festival import FESTIVAL_VOICES, installed_voices, run_festival
from musetalk.synthetic.made_up import made_up_sentence
from musetalk.synthetic.sentences import HELD_OUT, TRAIN
from musetalk.synthetic.synthesizers import synthesize
from musetalk.synthetic.utterance import PAUSE
from musetalk.synthetic.visemes import VOWELS
from musetalk.synthetic.voices import random_voice


@pytest.mark.parametrize(
    ("voice", "symbol", "ipa"),
    [
        ("ked_diphone", "ay", "aɪ"),
        ("ked_diphone", "pau", PAUSE),
        ("lp_diphone", "a1", "a"),
        ("lp_diphone", "tS", "tʃ"),
        ("lp_diphone", "#", PAUSE),
        ("czech_ph", "ch", "x"),
        ("czech_ph", "r~*", "rʒ"),
        ("suo_fi_lj_diphone", "7:", "ø"),
        ("suo_fi_lj_diphone", "##", PAUSE),
        ("upc_ca_ona_hts", "E1", "ɛ"),
        ("upc_ca_ona_hts", "m", "m"),
    ],
)
def test_phones_in_ipa(voice: str, symbol: str, ipa: str) -> None:
    assert FESTIVAL_VOICES[voice].ipa(symbol) == ipa


def test_without_festival_there_are_no_voices_and_the_error_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr(festival.shutil, "which", lambda name: None)
    installed_voices.cache_clear()
    try:
        assert installed_voices() == ()
        with pytest.raises(DeviceError, match="festival is not installed") as caught:
            run_festival("Hello.", "ked_diphone", 1.0)
        assert "apt-get install festival" in caught.value.fix
        drawn = {random_voice(np.random.default_rng(n), ("flite", "espeak", "festival"))[0] for n in range(30)}
        assert drawn == {"flite", "espeak"}
    finally:
        installed_voices.cache_clear()


def test_an_unknown_voice_is_named_with_those_that_are_there(monkeypatch) -> None:
    monkeypatch.setattr(festival.shutil, "which", lambda name: "/usr/bin/festival")
    monkeypatch.setattr(festival, "installed_voices", lambda: ("lp_diphone",))
    with pytest.raises(DeviceError, match="nobody is not installed") as caught:
        run_festival("Hello.", "nobody", 1.0)
    assert "lp_diphone" in caught.value.fix


def test_its_voices_are_drawn_where_it_is_named_and_are_never_held_out(monkeypatch) -> None:
    monkeypatch.setattr(voices, "installed_voices", lambda: ("ked_diphone", "lp_diphone"))

    def engines(pool: str, *named: str) -> Counter[str]:
        return Counter(random_voice(np.random.default_rng(n), named, pool)[0] for n in range(300))

    assert 60 < engines(TRAIN, "flite", "espeak", "festival")["festival"] < 120
    assert engines(TRAIN, "festival") == {"festival": 300}
    assert "festival" not in engines(TRAIN, "flite", "espeak") | engines(HELD_OUT, "flite", "espeak", "festival")
    _, voice, language = random_voice(np.random.default_rng(0), ("festival",), TRAIN)
    assert language == FESTIVAL_VOICES[voice].language


@pytest.mark.parametrize("voice", FESTIVAL_VOICES)
def test_phones_lie_where_they_sound(voice: str) -> None:
    """Vowels are louder than pauses, and the phones moved by 60 ms either way fit the loudness worse."""
    if voice not in installed_voices():
        pytest.skip(f"{voice} is not installed")
    text = made_up_sentence(np.random.default_rng(5), FESTIVAL_VOICES[voice].language)
    spoken = synthesize(text, "festival", voice, rate=0.9)
    starts = np.array([start for _, start, _ in spoken.phones])
    vowel = np.array([set(visemes_of(spoken, phone)) <= VOWELS for phone, _, _ in spoken.phones])
    grid = np.arange(0.1, spoken.seconds - 0.1, 0.005)
    loud = np.array([np.log10(level_of(spoken.audio, t - 0.005, t + 0.005) + 1e-3) for t in grid])

    def fit(shift: float) -> float:
        at = np.searchsorted(starts, grid - shift, side="right") - 1
        return float(np.corrcoef(vowel[at.clip(0)], loud)[0, 1])

    assert fit(0) > max(0.3, fit(-0.06), fit(0.06))


@pytest.mark.parametrize("voice", FESTIVAL_VOICES)
def test_what_it_is_given_to_say_is_ascii(voice: str) -> None:
    """Its voices expect various encodings."""
    rng = np.random.default_rng(2)
    assert all(made_up_sentence(rng, FESTIVAL_VOICES[voice].language).isascii() for _ in range(200))
