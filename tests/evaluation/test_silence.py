from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from score_factory import speaking

from musetalk.evaluation.lip_sync import aspect_curve, gap_curve
from musetalk.evaluation.silence import silence_leak, silence_motion, silent_frames
from musetalk.evaluation.values import NotMeasurable

FPS = Fraction(25)
# 40 frames of speech, 20 of silence, 40 of speech, and a pause of 3 frames in the last part.
LOUD = np.concatenate([np.full(40, 0.1), np.zeros(20), np.full(20, 0.1), np.zeros(3), np.full(17, 0.1)])


def test_pauses_count_without_their_ends_and_closures_do_not():
    assert np.flatnonzero(silent_frames(LOUD, FPS)).tolist() == list(range(42, 58))


def test_a_pause_at_the_end_is_silent_to_the_end():
    assert np.flatnonzero(silent_frames(LOUD[:60], FPS)).tolist() == list(range(42, 60))


def test_noise_35_decibel_below_speech_is_silence():
    assert silent_frames(LOUD + 0.1 * 10 ** (-36 / 20), FPS).sum() == 16
    assert silent_frames(LOUD + 0.1 * 10 ** (-30 / 20), FPS).sum() == 0


def test_a_frozen_mouth_leaks_nothing_but_has_no_motion_to_compare_with():
    still = speaking(np.zeros(100))
    silent = silent_frames(LOUD, FPS)
    assert silence_leak(aspect_curve(still), silent) == 0
    with pytest.raises(NotMeasurable, match="does not move in speech"):
        silence_motion(gap_curve(still), silent)


def test_a_mouth_that_opens_in_a_quarter_of_the_silence_leaks_a_quarter():
    silent = silent_frames(LOUD, FPS)
    gaps = np.where(silent, 0.0, 3.0)
    gaps[np.flatnonzero(silent)[:4]] = 0.3 * 0.8 * 40  # an aspect of 0.3
    assert silence_leak(aspect_curve(speaking(gaps)), silent) == pytest.approx(4 / 16)
    gaps[np.flatnonzero(silent)[:4]] = 0.2 * 0.8 * 40
    assert silence_leak(aspect_curve(speaking(gaps)), silent) == 0


def test_motion_in_silence_is_relative_to_speech():
    silent = silent_frames(LOUD, FPS)
    swing = np.where(np.arange(100) % 2, 1.0, -1.0)
    gaps = 5 + np.where(silent, 0.5 * swing, 2 * swing)
    assert silence_motion(gap_curve(speaking(gaps)), silent) == pytest.approx(0.25)
    assert silence_motion(gap_curve(speaking(np.where(silent, 5, 5 + swing))), silent) == 0


def test_without_silence_there_is_nothing_to_measure():
    with pytest.raises(NotMeasurable, match="no pause"):
        silence_leak(np.zeros(50), silent_frames(np.full(50, 0.1), FPS))
    with pytest.raises(NotMeasurable, match="silent throughout"):
        silence_motion(np.zeros(50), silent_frames(np.zeros(50), FPS))
    assert silence_leak(np.zeros(50), silent_frames(np.zeros(50), FPS)) == 0
