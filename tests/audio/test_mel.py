from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from musetalk.audio.mel import MEL_WINDOW, mel_columns, mel_window_length, mel_window_start, sync_mel, sync_mel_slice

GOLDEN = np.load(Path(__file__).parent.parent / "data" / "golden" / "syncnet_mel.npz")


def hum(samples=16000):
    """Noise that swells: no two columns are alike."""
    rng = np.random.default_rng(5)
    return (rng.standard_normal(samples) * np.linspace(0.01, 0.3, samples)).astype(np.float32)


class Watched:
    """Samples that note which of them were read."""

    def __init__(self, samples):
        self.samples, self.read = samples, []

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, piece):
        self.read.append((piece.start, piece.stop))
        return self.samples[piece]


def test_mel_equals_the_published_one():
    mel = sync_mel(GOLDEN["wav"].astype(np.float32))
    assert mel.dtype == np.float32
    np.testing.assert_allclose(mel, GOLDEN["mel"], atol=1e-4)


@pytest.mark.parametrize("start", [-3, -1, 0, 1, 2, 30, 28, 29, 78, 81, 200])
def test_a_slice_equals_the_slice_of_the_whole(start):
    """Columns −3 … 252 of a sound of one second: before it, over both ends, after it."""
    samples = hum()
    silence = np.full((80, 200), -4.0, np.float32)
    whole = np.concatenate([silence, sync_mel(samples), silence, silence], axis=1)
    np.testing.assert_allclose(sync_mel_slice(samples, start), whole[:, 200 + start : 252 + start], atol=1e-5)


def test_long_sounds_have_no_seams():
    samples = hum(2048 * 200 + 5000)
    mel = sync_mel(samples)
    assert mel.shape[1] == mel_columns(len(samples))
    np.testing.assert_allclose(mel[:, 2030:2070], sync_mel_slice(samples, 2030, 40), atol=1e-5)


def test_a_slice_reads_only_the_sound_around_it():
    watched = Watched(hum())
    sync_mel_slice(watched, 10, 5)
    assert watched.read == [(10 * 200 - 401, 14 * 200 + 400)]


def test_integers_are_read_as_fractions_of_full_scale():
    samples = np.round(hum() * 32767).clip(-32768, 32767).astype(np.int16)
    np.testing.assert_array_equal(sync_mel(samples), sync_mel(samples / 32768.0))


@pytest.mark.parametrize(("samples", "columns"), [(0, 1), (199, 1), (200, 2), (16000, 81)])
def test_silence_is_the_lowest_value(samples, columns):
    mel = sync_mel(np.zeros(samples, np.float32))
    assert mel.shape == (80, columns) and (mel == -4).all()


def test_a_tone_is_loudest_in_its_band_and_ten_times_louder_is_1_6_higher():
    """The range of 100 dB is 8 wide, so 20 dB are 1.6."""
    tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
    quiet, loud = (sync_mel(gain * tone)[:, 40] for gain in (0.01, 0.1))
    assert 20 < loud.argmax() < 40
    assert loud.max() - quiet.max() == pytest.approx(1.6, abs=1e-3)


@pytest.mark.parametrize(
    ("frame", "fps", "column"), [(0, 25, 0), (1, 25, 3), (2, 25, 6), (5, 25, 16), (1001, Fraction(30000, 1001), 2672)]
)
def test_first_column_of_a_frame(frame, fps, column):
    assert mel_window_start(frame, fps) == column


@pytest.mark.parametrize(("frames", "columns"), [(16, MEL_WINDOW), (5, 16), (1, 4)])
def test_columns_beside_a_visual_window(frames, columns):
    assert mel_window_length(frames) == columns
