"""Random speech, and the mouth that goes with it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from speech_factory import need, visemes_of

from musetalk.synthetic.coarticulation import mouth_curves
from musetalk.synthetic.mouth_channels import JAW, lip_gap
from musetalk.synthetic.sentences import LANGUAGES, random_sentence, sentences
from musetalk.synthetic.speech import random_utterance
from musetalk.synthetic.synthesizers import available_engines
from musetalk.synthetic.utterance import PAUSE


def test_english_is_varied_and_every_language_has_sentences() -> None:
    english = sentences("en-us")
    assert len(set(english)) >= 150
    assert sentences("en-us") == english
    for language in LANGUAGES:
        assert len(set(sentences(language))) >= 8
        assert random_sentence(np.random.default_rng(0), language) in sentences(language)


@pytest.mark.parametrize("engine", ["flite", "espeak"])
def test_random_utterance_is_reproducible_and_as_long_as_asked(engine: str) -> None:
    need(engine)
    first, again = (random_utterance(np.random.default_rng(4), 5, 7, (engine,)) for _ in range(2))
    other = random_utterance(np.random.default_rng(5), 5, 7, (engine,))
    assert np.array_equal(first.audio, again.audio)
    assert first.phones == again.phones
    assert not np.array_equal(first.audio[:16000], other.audio[:16000])
    assert 5 <= first.seconds <= 7
    assert np.abs(first.audio).max() <= 1
    assert first.phones[-1][2] == pytest.approx(first.seconds)


@pytest.mark.parametrize("seed", range(3))
def test_spoken_mouth_follows_loudness_and_shuts_where_it_should(seed: int) -> None:
    engines = available_engines()
    if not engines:
        pytest.skip("no synthesizer is installed")
    spoken = random_utterance(np.random.default_rng((5, seed)), 8, 10, engines[:1])
    curves = mouth_curves(spoken, Fraction(25))
    loud = np.sqrt(np.mean(spoken.audio[: len(curves) * 640].reshape(-1, 640) ** 2, axis=1))
    assert np.corrcoef(curves[:, JAW], loud)[0, 1] > 0.5
    gap = lip_gap(curves)
    for phone, start, end in spoken.phones:
        if visemes_of(spoken, phone) == ("closed",) and int((start + end) / 2 * 25) < len(gap):
            frame = int((start + end) / 2 * 25)
            assert gap[frame] < 0.05, (phone, start)
            assert curves[frame, JAW] < 0.1
        if phone == PAUSE and end - start > 0.4:
            assert np.all(gap[int((start + 0.12) * 25) + 1 : int((end - 0.12) * 25)] < 0.05)


def test_mean_jaw_correlation_of_english_is_above_half() -> None:
    need("flite")
    found = []
    for seed in range(4):
        spoken = random_utterance(np.random.default_rng((8, seed)), 8, 10, ("flite",))
        curves = mouth_curves(spoken, 25)
        loud = np.sqrt(np.mean(spoken.audio[: len(curves) * 640].reshape(-1, 640) ** 2, axis=1))
        found.append(np.corrcoef(curves[:, JAW], loud)[0, 1])
    assert np.mean(found) > 0.5
