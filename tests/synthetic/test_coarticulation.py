"""The mouth takes the shapes of its phones, in time."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from speech_factory import made

from musetalk.synthetic.coarticulation import mouth_curves
from musetalk.synthetic.mouth_channels import CHANNELS, JAW, lip_gap
from musetalk.synthetic.utterance import SAMPLE_RATE, Utterance
from musetalk.synthetic.visemes import rest_pose


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(50), Fraction(30000, 1001), 24.0])
def test_frame_count_is_the_whole_frames_of_the_sound(fps: Fraction | float) -> None:
    spoken = made(("pau", 0.3), ("aa", 0.71), ("pau", 0.233))
    curves = mouth_curves(spoken, fps)
    assert curves.shape == (int(len(spoken.audio) * Fraction(fps) / SAMPLE_RATE), len(CHANNELS))
    assert curves.dtype == np.float32
    assert curves.min() >= 0
    assert curves.max() <= 1


def test_an_empty_sound_has_no_frames() -> None:
    empty = Utterance(np.zeros(0, np.float32), [], "flite", "none")
    assert mouth_curves(empty, 25).shape == (0, len(CHANNELS))


@pytest.mark.parametrize(("phone", "jaw"), [("aa", 0.55), ("ax", 0.25), ("iy", 0.15), ("uw", 0.12), ("s", 0.08)])
def test_a_held_phone_reaches_its_shape(phone: str, jaw: float) -> None:
    curves = mouth_curves(made(("pau", 0.5), (phone, 0.6), ("pau", 0.5)), 50)
    assert curves[40, JAW] == pytest.approx(jaw, abs=0.06)
    if phone == "uw":
        assert curves[40, CHANNELS.index("mouthPucker")] == pytest.approx(0.82, abs=0.07)
    assert np.allclose(curves[[2, -2]], rest_pose(), atol=0.05)


def test_a_short_stop_between_open_vowels_shuts_the_lips_in_one_frame() -> None:
    for shift in np.arange(0, 0.04, 0.007):
        spoken = made(("pau", 0.2 + shift), ("aa", 0.2), ("b", 0.035), ("aa", 0.2), ("pau", 0.3))
        gap = lip_gap(mouth_curves(spoken, 25))
        closure = int((0.4 + shift + 0.0175) * 25)
        assert gap[closure] < 0.05
        assert min(gap[closure - 2], gap[closure + 2]) > 0.5


def test_louder_vowels_open_wider() -> None:
    spoken = made(("pau", 0.3), *([("aa", 0.3), ("t", 0.1)] * 4), ("pau", 0.3))
    audio = spoken.audio.copy()
    audio[: len(audio) // 2] *= 0.3
    curves = mouth_curves(Utterance(audio, spoken.phones, "flite", "made"), 25)
    half = len(curves) // 2
    assert curves[half:, JAW].max() > 1.4 * curves[:half, JAW].max()
    louder = mouth_curves(Utterance(audio * 2, spoken.phones, "flite", "made"), 25)
    assert np.allclose(louder, curves, atol=1e-5)


def test_the_mouth_rounds_before_a_rounded_vowel_sounds() -> None:
    pucker = CHANNELS.index("mouthPucker")
    rounded = mouth_curves(made(("pau", 0.3), ("s", 0.12), ("uw", 0.3), ("pau", 0.3)), 100)[41, pucker]
    spread = mouth_curves(made(("pau", 0.3), ("s", 0.12), ("iy", 0.3), ("pau", 0.3)), 100)[41, pucker]
    assert rounded > spread + 0.3


def test_speaker_habits_are_seeded_and_keep_closures() -> None:
    spoken = made(("pau", 0.3), ("aa", 0.2), ("m", 0.08), ("aa", 0.2), ("pau", 0.3))
    plain = mouth_curves(spoken, 25)
    for seed in range(5):
        habits = mouth_curves(spoken, 25, np.random.default_rng(seed))
        assert np.array_equal(habits, mouth_curves(spoken, 25, np.random.default_rng(seed)))
        assert not np.allclose(habits, plain)
        assert lip_gap(habits)[int(0.54 * 25)] < 0.06
