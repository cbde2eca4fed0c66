"""What is said and done in a clip: speech, pauses, silence, laughter; and who may say what."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("moderngl")

from musetalk.synthetic import acting
from musetalk.synthetic.acting import (
    CLOSED,
    LAUGHING,
    PAUSES,
    PER_FRAME,
    QUIET,
    SPEECH,
    random_performance,
    random_twin,
)
from musetalk.synthetic.mouth_channels import lip_gap
from musetalk.synthetic.sentences import EVERY, HELD_OUT, LANGUAGES, TRAIN, random_sentence, sentence_pool, sentences
from musetalk.synthetic.synthesizers import available_engines, synthesize
from musetalk.synthetic.tongue import tongue_curves
from musetalk.synthetic.utterance import PAUSE, SAMPLE_RATE
from musetalk.synthetic.visemes import rest_pose
from musetalk.synthetic.voices import random_voice, voices

FRAMES = 100
OPEN = 0.3
"""Centimetres: a mouth that is seen to be open."""


def need_speech():
    if not available_engines():
        pytest.skip("no synthesizer is installed")


def loudness(audio):
    return np.sqrt((audio.reshape(-1, PER_FRAME) ** 2).mean(axis=1))


@pytest.mark.parametrize("kind", [SPEECH, PAUSES, LAUGHING, QUIET])
def test_a_performance_has_its_length_and_is_the_same_for_a_seed(kind):
    need_speech()
    first, again, other = (random_performance(np.random.default_rng(s), FRAMES, EVERY, kind) for s in (3, 3, 4))
    assert first.kind == kind
    assert first.audio.shape == (FRAMES * PER_FRAME,)
    assert first.audio.dtype == np.float32
    assert np.abs(first.audio).max() <= 1
    assert first.take.curves.shape[0] == len(first.take.tongue) == len(first.stress) == FRAMES
    assert first.phones[0][1] == 0
    assert all(a[2] == pytest.approx(b[1]) for a, b in zip(first.phones, first.phones[1:], strict=False))
    assert first.phones[-1][2] == pytest.approx(FRAMES / 25, abs=0.05)
    np.testing.assert_array_equal(first.audio, again.audio)
    np.testing.assert_array_equal(first.take.curves, again.take.curves)
    assert not np.array_equal(first.audio, other.audio)


@pytest.mark.parametrize("seed", range(3))
def test_who_is_quiet_keeps_the_mouth_shut_and_still(seed):
    quiet = random_performance(np.random.default_rng(seed), FRAMES, EVERY, QUIET)
    assert lip_gap(quiet.take.curves).max() <= 0
    assert np.ptp(quiet.take.curves, axis=0).max() == 0
    assert not quiet.take.tongue.any()
    assert 0.0003 < np.abs(quiet.audio).max() < 0.1  # a room is never quite silent


@pytest.mark.parametrize("seed", range(4))
def test_speech_opens_the_mouth_and_pauses_shut_it(seed):
    need_speech()
    spoken = random_performance(np.random.default_rng(seed), 200, EVERY, PAUSES)
    gap = lip_gap(spoken.take.curves)
    assert gap.max() > OPEN
    for phone, start, end in spoken.phones:
        if phone == PAUSE and end - start > 0.5:
            inside = slice(int((start + 0.14) * 25) + 1, int((end - 0.14) * 25))
            assert gap[inside].max(initial=0) <= 0.02


def test_there_are_pauses_of_seconds():
    need_speech()
    longest = [
        max(end - start for phone, start, end in random_performance(np.random.default_rng(s), 200, EVERY, PAUSES).phones
            if phone == PAUSE)
        for s in range(6)
    ]  # fmt: skip
    assert max(longest) > 2


def test_a_laugh_shows_in_the_mouth_and_the_eyes():
    need_speech()
    laugh = random_performance(np.random.default_rng(1), FRAMES, EVERY, LAUGHING)
    smile = acting.CHANNELS.index("mouthSmile")
    assert laugh.take.curves[:, smile].max() > 0.4
    assert laugh.take.expression["eyeSquint"].max() > 0.3
    assert (lip_gap(laugh.take.curves) > OPEN).mean() > 0.3


def test_all_kinds_of_twins_occur_and_are_other_mouths():
    need_speech()
    found = {}
    for seed in range(20):
        twin = random_twin(np.random.default_rng(seed), 50, EVERY)
        found.setdefault(twin.kind, twin)
    assert set(found) == {SPEECH, CLOSED, LAUGHING}
    assert lip_gap(found[CLOSED].take.curves).max() <= 0
    assert (lip_gap(found[LAUGHING].take.curves) > OPEN).mean() > 0.4
    assert lip_gap(found[SPEECH].take.curves).max() > OPEN
    assert found[SPEECH].voice
    assert not found[CLOSED].voice


def test_the_pools_share_no_voice_and_no_sentence():
    for train, held_out, every in zip(voices(TRAIN), voices(HELD_OUT), voices(EVERY), strict=True):
        assert train
        assert held_out
        assert not set(train) & set(held_out)
        assert set(train) | set(held_out) == set(every)
    for language in ("en-us", *LANGUAGES):
        pools = {
            pool: {s for s in sentences(language) if sentence_pool(s, language) == pool} for pool in (TRAIN, HELD_OUT)
        }
        assert pools[TRAIN]
        assert pools[HELD_OUT]
        rng = np.random.default_rng(0)
        for pool in (TRAIN, HELD_OUT):
            assert all(sentence_pool(random_sentence(rng, language, pool), language) == pool for _ in range(20))


@pytest.mark.parametrize("pool", [TRAIN, HELD_OUT])
def test_voices_come_from_their_pool(pool):
    flite, variants = voices(pool)
    for seed in range(60):
        engine, voice, _ = random_voice(np.random.default_rng(seed), ("flite", "espeak"), pool)
        assert voice in flite if engine == "flite" else voice.partition("+")[2] in variants


def test_the_tongue_rises_for_l_and_comes_out_for_th():
    if "flite" not in available_engines():
        pytest.skip("flite is not installed")
    spoken = synthesize("La la la. Then they bathed.", "flite", "slt")
    curves = tongue_curves(spoken, acting.RATE)
    assert curves.shape == (int(len(spoken.audio) * 25 // SAMPLE_RATE), 2)
    for phone, column in (("l", 0), ("dh", 1)):
        frames = [int((a + b) / 2 * 25) for name, a, b in spoken.phones if name == phone]
        assert min(curves[frame, column] for frame in frames) > 0.5
    silent = [int((a + b) / 2 * 25) for name, a, b in spoken.phones if name == PAUSE and b - a > 0.15]
    assert max(np.abs(curves[frame]).max() for frame in silent) < 0.05


def test_the_loudness_of_a_performance_is_its_stress():
    need_speech()
    spoken = random_performance(np.random.default_rng(8), 150, EVERY, SPEECH)
    assert 0 <= spoken.stress.min() <= spoken.stress.max() <= 1
    assert np.corrcoef(spoken.stress, loudness(spoken.audio))[0, 1] > 0.6
    assert spoken.take.curves.shape == (150, len(rest_pose()))
