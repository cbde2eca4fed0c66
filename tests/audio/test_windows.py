import json
from fractions import Fraction
from math import ceil
from pathlib import Path

import numpy as np
import pytest

from musetalk.audio.windows import (
    audio_windows,
    frame_count,
    sliding_windows,
    step_count,
    window_length,
    window_start,
)

GOLDEN = Path(__file__).parent.parent / "data" / "golden" / "audio_windows.npz"
CASES = json.loads(str(np.load(GOLDEN)["cases"]))


def hidden_of(index):
    return np.load(GOLDEN)[f"hidden_{index}"]


def golden_windows(index):
    return np.load(GOLDEN)[f"windows_{index}"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['fps']}fps-{case['duration_s']}s")
def test_windows_equal_the_published_ones(case):
    index, fps = case["case"], Fraction(case["fps"])
    windows = audio_windows(hidden_of(index), case["num_samples"], fps)
    expected = golden_windows(index)
    assert windows.shape == tuple(case["windows_shape"])
    if fps < 25:
        # The release pads 2 · ceil(50 / fps) steps where four belong: below 25 fps its windows are early by the rest.
        tokens = (2 * ceil(50 / fps) - 4) * hidden_of(index).shape[1]
        assert tokens > 0
        np.testing.assert_array_equal(windows[:, :-tokens], expected[:, tokens:])
    else:
        np.testing.assert_array_equal(windows, expected)


def test_frame_rates_are_exact_fractions():
    ntsc = Fraction(30000, 1001)
    assert frame_count(16000 * 60, ntsc) == 1798  # floor(1798.2); 29 fps would give 1740 frames and 58 s of picture
    assert frame_count(16000 * 1001, ntsc) == 30000
    assert window_start(30000, ntsc) == 1001 * 50 - 4


def test_rates_from_50_fps_on_repeat_steps():
    assert [window_start(i, Fraction(60)) for i in range(6)] == [-4, -4, -3, -2, -1, 0]
    assert [window_start(i, Fraction(50)) for i in range(3)] == [-4, -3, -2]


def test_sounds_too_short_for_a_frame_have_none():
    assert frame_count(639, Fraction(25)) == 0
    assert frame_count(640, Fraction(25)) == 1
    assert audio_windows(np.zeros((50, 2, 3), np.float32), 160, Fraction(25)).shape == (0, 20, 3)


def test_steps_outside_the_sound_are_zero():
    hidden = np.ones((100, 1, 1), np.float32)
    samples = 16000  # 50 of the 100 steps
    windows = audio_windows(hidden, samples, Fraction(25))[..., 0]
    assert step_count(samples) == 50
    np.testing.assert_array_equal(windows[0], [0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(windows[24], [1, 1, 1, 1, 1, 1, 0, 0, 0, 0])


@pytest.mark.parametrize(("left", "right"), [(0, 0), (1, 3), (4, 0)])
def test_padding_flags_move_the_ends_of_the_window(left, right):
    hidden = np.arange(1, 101, dtype=np.float32).reshape(100, 1, 1)
    window = audio_windows(hidden, 32000, Fraction(25), left, right)[20, :, 0]
    assert window_length(left, right) == len(window) == 2 * (left + right + 1)
    np.testing.assert_array_equal(window, np.arange(41 - 2 * left, 43 + 2 * right))


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001), Fraction(12), Fraction(60)])
@pytest.mark.parametrize("chunk", [1, 7, 64, 500])
def test_chunking_does_not_change_the_windows(chunk, fps):
    hidden = np.random.default_rng(0).standard_normal((230, 3, 2)).astype(np.float32)
    samples = 16000 * 4 + 77
    chunks = (hidden[i : i + chunk] for i in range(0, len(hidden), chunk))
    lazily = list(sliding_windows(chunks, step_count(samples), frame_count(samples, fps), fps))
    np.testing.assert_array_equal(np.stack(lazily), audio_windows(hidden, samples, fps))


def test_windows_are_read_no_further_than_needed():
    given = []

    def chunks():
        for i in range(100):
            given.append(i)
            yield np.full((10, 1, 1), i, np.float32)

    windows = sliding_windows(chunks(), 1000, 500, Fraction(25))
    next(windows)
    assert given == [0]
    for _ in range(50):
        next(windows)
    assert len(given) == 11
