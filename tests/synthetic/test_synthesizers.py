"""The phones of synthetic speech lie where they sound."""

from __future__ import annotations

import numpy as np
import pytest
from speech_factory import level_of, need, visemes_of

from musetalk.errors import InputError
from musetalk.synthetic.coarticulation import mouth_curves
from musetalk.synthetic.mouth_channels import JAW
from musetalk.synthetic.sentences import LANGUAGES, sentences
from musetalk.synthetic.synthesizers import synthesize
from musetalk.synthetic.utterance import PAUSE
from musetalk.synthetic.visemes import VOWELS

SPEAKERS = [("flite", "slt"), ("flite", "rms"), ("espeak", "en-us+f3"), ("espeak", "en-us+m3")]


TEXT = "My mother bought five brown eggs by the open window. A fat cat took the boat to Bob."


@pytest.mark.parametrize(("engine", "voice"), SPEAKERS)
def test_phones_follow_each_other_and_end_with_the_audio(engine: str, voice: str) -> None:
    need(engine)
    spoken = synthesize(TEXT, engine, voice)
    starts, ends = (np.array([phone[i] for phone in spoken.phones]) for i in (1, 2))
    assert spoken.audio.dtype == np.float32
    assert np.abs(spoken.audio).max() <= 1
    assert starts[0] == 0
    assert np.all(ends > starts)
    assert np.allclose(starts[1:], ends[:-1])
    assert ends[-1] == pytest.approx(spoken.seconds)


@pytest.mark.parametrize(("engine", "voice"), SPEAKERS)
def test_phones_lie_where_they_sound(engine: str, voice: str) -> None:
    need(engine)
    spoken = synthesize(TEXT, engine, voice)
    pauses, vowels, stops = [], [], []
    for phone, start, end in spoken.phones:
        # the middle half: the edges are transitions
        level = level_of(spoken.audio, start + (end - start) / 4, end - (end - start) / 4)
        if phone == PAUSE and end - start > 0.06:
            pauses.append(level)
        elif set(visemes_of(spoken, phone)) <= VOWELS:
            vowels.append(level)
        elif phone in ("p", "t", "k"):
            stops.append(level)
    assert max(pauses) < 0.1 * np.median(vowels)
    assert np.median(stops) < 0.35 * np.median(vowels)


@pytest.mark.parametrize(("engine", "voice"), SPEAKERS)
def test_phone_times_have_no_constant_offset(engine: str, voice: str) -> None:
    """Moved by 40 ms either way, the phones fit the loudness worse."""
    need(engine)
    spoken = synthesize("A big puppy took a tiny cup of tea to the top of a steep peak. Take a pot.", engine, voice)
    grid = np.arange(0.1, spoken.seconds - 0.1, 0.005)
    starts = np.array([start for _, start, _ in spoken.phones])
    vowel = np.array([set(visemes_of(spoken, phone)) <= VOWELS for phone, _, _ in spoken.phones])
    loud = np.array([np.log10(level_of(spoken.audio, t - 0.005, t + 0.005) + 1e-3) for t in grid])

    def fit(shift: float) -> float:
        return float(np.corrcoef(vowel[np.searchsorted(starts, grid - shift, side="right") - 1], loud)[0, 1])

    assert fit(0) > max(fit(-0.04), fit(0.04))


def test_formant_shift_keeps_the_phones_on_the_sound() -> None:
    need("flite")
    usual, higher = (synthesize("Papa, papa.", "flite", "slt", formant=f) for f in (1.0, 1.2))
    assert higher.seconds == pytest.approx(usual.seconds, rel=0.05)
    for phone, start, end in higher.phones:
        if phone == "aa":
            assert level_of(higher.audio, start, end) > 5 * level_of(higher.audio, 0, higher.phones[0][2] / 2)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_speaks_and_moves_the_mouth(language: str) -> None:
    need("espeak")
    spoken = synthesize(sentences(language)[0], "espeak", f"{language}+m3")
    assert 0.7 < spoken.seconds < 6
    assert {viseme for phone, _, _ in spoken.phones for viseme in visemes_of(spoken, phone)} >= {"rest"}
    assert mouth_curves(spoken, 25)[:, JAW].max() > 0.2


def test_unknown_engine_is_an_input_error() -> None:
    with pytest.raises(InputError):
        synthesize("Hello", "morse")
