"""Worse recordings keep their length, timing and range."""

from __future__ import annotations

import numpy as np
from speech_factory import level_of, made

from musetalk.synthetic.recording import augment, empty_room
from musetalk.synthetic.utterance import SAMPLE_RATE


def test_augment_keeps_length_timing_and_range() -> None:
    spoken = made(("pau", 0.5), ("aa", 0.4), ("pau", 0.5), ("aa", 0.4), ("pau", 0.5))
    peaks = []
    for seed in range(30):
        worse = augment(spoken.audio, np.random.default_rng(seed))
        assert worse.shape == spoken.audio.shape
        assert worse.dtype == np.float32
        assert np.array_equal(worse, augment(spoken.audio, np.random.default_rng(seed)))
        peaks.append(np.abs(worse).max())
        # a tail may follow the sound, but nothing may move: the rise stays where it was
        lag = np.arange(-400, 401, 20)
        loud = [level_of(worse, 0.5 + s / SAMPLE_RATE, 0.6 + s / SAMPLE_RATE) for s in lag]
        assert loud[len(lag) // 2] > 0.6 * max(loud)
    assert 0.04 < min(peaks) < max(peaks) <= 1
    assert augment(np.zeros(1000, np.float32), np.random.default_rng(0)).shape == (1000,)
    assert len(augment(np.zeros(0, np.float32), np.random.default_rng(0))) == 0


def test_an_empty_room_is_quiet_and_never_silent() -> None:
    levels = []
    for seed in range(40):
        heard = empty_room(16000, np.random.default_rng(seed))
        assert heard.shape == (16000,)
        assert heard.dtype == np.float32
        levels.append(20 * np.log10(np.sqrt(np.mean(heard.astype(np.float64) ** 2))))
    assert -67 < min(levels) < -50
    assert -46 < max(levels) < -25
