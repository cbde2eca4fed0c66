from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from musetalk.audio.voice_activity import VoiceActivity
from musetalk.audio.windows import frame_count
from musetalk.media.audio_file import read_audio

RATE = 16000
SPEECH = Path(__file__).parents[2] / "assets" / "demo" / "speech.wav"


@pytest.fixture(scope="module")
def speech():
    """Two seconds of silence, four of speech, two of silence."""
    quiet = np.zeros(2 * RATE, np.float32)
    return np.concatenate([quiet, read_audio(SPEECH)[RATE : 5 * RATE], quiet])


def heard(sound, size=None):
    activity = VoiceActivity()
    size = size or len(sound)
    found = []
    for start in range(0, len(sound), size):
        found += activity.push(sound[start : start + size].astype(np.float32))
    return np.array(found + activity.finish())


def hiss(seconds, level, seed=0):
    return level * np.random.default_rng(seed).standard_normal(int(seconds * RATE))


def seconds(begin, end):
    return slice(round(begin * 25), round(end * 25))


def test_speech_is_voice_and_silence_is_not(speech):
    voiced = heard(speech)
    assert len(voiced) == 200
    assert not voiced[seconds(0, 1.9)].any()
    assert voiced[seconds(2.1, 5.9)].mean() > 0.95
    assert not voiced[seconds(6.6, 8)].any()


@pytest.mark.parametrize("gain", [0.1, 0.3])
def test_quiet_speech_in_noise(speech, gain):
    """20 dB quieter than the demo is still 20 dB above its noise."""
    voiced = heard(gain * speech + hiss(8, 0.03 * gain))
    assert not voiced[seconds(1.5, 1.9)].any()
    assert voiced[seconds(2.1, 5.9)].mean() > 0.8
    assert not voiced[seconds(6.8, 8)].any()


def test_clipped_speech_is_speech(speech):
    voiced = heard(np.clip(30 * speech, -0.9, 0.9))
    assert not voiced[seconds(0, 1.9)].any()
    assert voiced[seconds(2.1, 5.9)].mean() > 0.95
    assert not voiced[seconds(6.6, 8)].any()


def test_clicks_are_no_voice():
    sound = np.zeros(5 * RATE)
    sound[::1600] = 1.0
    sound[1::1600] = -1.0
    assert not heard(sound).any()


@pytest.mark.parametrize(
    "steady",
    [
        0.3 * np.sin(2 * np.pi * 50 * np.arange(6 * RATE) / RATE),
        0.1 * np.sign(np.sin(2 * np.pi * 50 * np.arange(6 * RATE) / RATE)),
        hiss(6, 0.01),
        np.full(6 * RATE, 0.4),
    ],
    ids=["hum", "buzz", "hiss", "offset"],
)
def test_what_goes_on_evenly_is_noise_after_a_while(steady, speech):
    assert not heard(steady)[seconds(2, 6)].any()


def test_voice_is_found_over_hum(speech):
    voiced = heard(speech + 0.2 * np.sin(2 * np.pi * 50 * np.arange(len(speech)) / RATE))
    assert voiced[seconds(2.1, 5.9)].mean() > 0.95
    assert not voiced[seconds(6.8, 8)].any()


def test_the_hang_over_bridges_short_pauses_only():
    tone = 0.2 * np.sin(2 * np.pi * 700 * np.arange(RATE) / RATE)
    for pause, bridged in ((0.2, True), (0.6, False)):
        sound = np.concatenate([np.zeros(RATE), tone, np.zeros(int(pause * RATE)), tone])
        assert heard(sound)[seconds(2, 2 + pause)].all() == bridged


@pytest.mark.parametrize("size", [1, 100, 640, 7777])
def test_blocks_do_not_matter(speech, size):
    sound = speech[RATE : RATE + (3000 if size == 1 else 4 * RATE)]
    np.testing.assert_array_equal(heard(sound, size), heard(sound))


@pytest.mark.parametrize("fps", [Fraction(12), Fraction(25), Fraction(30000, 1001), Fraction(60), Fraction(120)])
@pytest.mark.parametrize("count", [0, 1, 159, 1000, 16000, 40003])
def test_one_answer_for_each_frame(fps, count):
    activity = VoiceActivity(fps)
    answers = activity.push(np.zeros(count, np.float32)) + activity.finish()
    assert len(answers) == frame_count(count, fps)


def test_an_answer_waits_no_longer_than_it_says():
    activity = VoiceActivity()
    for frame in range(50):
        already = len(activity.push(np.zeros(640 + (activity.look_ahead_samples if frame == 0 else 0), np.float32)))
        assert already >= 1
    assert activity.frames >= 50


def test_broken_samples_and_reset():
    activity = VoiceActivity()
    activity.push(np.full(RATE, np.nan, np.float32))
    activity.push(np.full(RATE, np.inf, np.float32))
    assert np.isfinite(activity.floor_db)
    activity.reset()
    assert activity.frames == 0
    assert activity.push(np.zeros(RATE, np.float32)) == [False] * activity.frames


def test_memory_is_bounded():
    activity = VoiceActivity()
    for _ in range(300):
        activity.push(hiss(1, 0.05).astype(np.float32))
    assert max(len(held) for held in (activity._pieces, activity._piece, activity._voiced)) <= 30
