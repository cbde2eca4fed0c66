from fractions import Fraction

import numpy as np
import pytest
from streaming_factory import FRAME, LevelWindows, LoudActivity, speech

from musetalk.audio.voice_activity import VoiceActivity
from musetalk.streaming.sound_units import CONTEXT_FRAMES, SoundUnits


def units_of(fps=Fraction(25)):
    return SoundUnits(LevelWindows(fps), LoudActivity(fps), fps)


def levels(units):
    """The level of each unit's window, None where nobody speaks."""
    return [None if unit.window is None else round(float(unit.window[0, 0]) * 256) for unit in units]


TALK = (0, 0, 0, 10, 20, 30, 0, 0, 0, 40, 50, 0)


@pytest.mark.parametrize("size", [1, 37, 160, 640, 1000, 10**6])
def test_units_do_not_depend_on_how_the_sound_comes(size):
    sound = speech(*TALK)
    units = units_of()
    found = [unit for start in range(0, len(sound), size) for unit in units.push(sound[start : start + size])]
    found += units.flush()
    # A frame before voice belongs to speech: its window is that of its own, silent sound.
    assert levels(found) == [None, None, 0, 10, 20, 30, None, None, 0, 40, 50, None]
    np.testing.assert_array_equal(np.concatenate([unit.sound for unit in found]), sound)


def test_in_silence_the_audio_encoder_hears_nothing():
    units = units_of()
    units.push(np.zeros(16000, np.float32))
    assert units._windows.heard == 0
    units.push(speech(*[9] * 10))
    assert units._windows.heard == (CONTEXT_FRAMES + 1 + 10) * FRAME
    units.push(np.zeros(16000, np.float32))
    heard = units._windows.heard
    units.push(np.zeros(16000, np.float32))
    assert units._windows.heard == heard


def test_a_unit_waits_for_its_look_ahead_and_no_longer():
    units = units_of()
    assert units.push(speech(9)) == []
    assert units.push(np.zeros(1479, np.float32)) == []
    (unit,) = units.push(np.zeros(1, np.float32), now=5.0)
    assert levels([unit]) == [9] and unit.arrived == 5.0


def test_units_know_when_their_sound_came():
    units = units_of()
    found = []
    for number in range(8):
        found += units.push(speech(9), now=float(number))
    assert [(unit.sounded, unit.arrived) for unit in found[:3]] == [(0.0, 3.0), (1.0, 4.0), (2.0, 5.0)]


def test_flushing_gives_all_that_has_come_and_nothing_else():
    units = units_of()
    assert not units.pending and units.flush() == []
    found = units.push(speech(1, 2, 3, 4))
    assert units.pending
    found += units.flush()
    assert levels(found) == [1, 2, 3, 4] and not units.pending
    assert units.flush() == []


def test_what_comes_after_a_flush_follows_at_once():
    units = units_of()
    found = units.push(speech(1, 2, 3)) + units.flush()
    found += units.push(speech(4, 5, 6)) + units.flush()
    found += units.push(speech(0, 0, 0, 0, 7, 0)) + units.flush()
    sound = np.concatenate([unit.sound for unit in found])
    np.testing.assert_array_equal(sound, speech(1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 7, 0))
    assert [level for level in levels(found) if level] == [1, 2, 3, 4, 5, 6, 7]


def test_a_part_of_a_frame_is_filled_up_with_silence():
    units = units_of()
    (unit,) = units.push(speech(9)[:100]) + units.flush()
    assert len(unit.sound) == FRAME and not unit.sound[100:].any() and unit.window is not None
    (unit,) = units.push(speech(8)) + units.flush()
    assert levels([unit]) == [8]


def test_a_reset_forgets_what_has_come():
    units = units_of()
    units.push(speech(1, 2, 3))
    units.reset()
    assert not units.pending
    assert levels(units.push(speech(0, 0, 5)) + units.flush()) == [None, 0, 5]


@pytest.mark.parametrize("fps", [Fraction(30000, 1001), Fraction(30), Fraction(12), Fraction(50)])
def test_frames_begin_at_whole_samples_and_none_is_lost(fps):
    units = units_of(fps)
    sound = (np.arange(40000) % 251 + 1).astype(np.float32) / 256
    found = [unit for start in range(0, len(sound), 777) for unit in units.push(sound[start : start + 777])]
    found += units.flush()
    joined = np.concatenate([unit.sound for unit in found])
    np.testing.assert_array_equal(joined[: len(sound)], sound)
    assert not joined[len(sound) :].any() and len(joined) - len(sound) <= 16000 / fps
    assert [len(unit.sound) for unit in found] == [
        int((k + 1) * 16000 / fps) - int(k * 16000 / fps) for k in range(len(found))
    ]


def test_memory_is_bounded():
    units = units_of()
    for _ in range(200):
        units.push(speech(*TALK))
        units.flush()
    assert len(units._held) <= (CONTEXT_FRAMES + 8) * FRAME
    assert len(units._arrivals) < 20 and len(units._padding) <= 2 and len(units._voiced) < 5


def test_stalls_do_not_lower_the_noise_floor():
    """Noise that is silence before a stall is silence after it: with the real voice activity."""
    activity = VoiceActivity(Fraction(25))
    units = SoundUnits(LevelWindows(), activity, Fraction(25))
    noise = np.random.default_rng(0).normal(0, 0.01, 10 * 16000).astype(np.float32)
    units.push(noise)
    before = activity.floor_db
    for start in range(0, 16000, 4000):
        units.push(noise[start : start + 4000])
        units.flush()
    assert activity.floor_db > before - 3
