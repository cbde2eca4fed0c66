import numpy as np
import pytest

from musetalk.audio.resampling import StreamResampler


def sine(frequency, rate, count):
    return np.sin(2 * np.pi * frequency * np.arange(count) / rate).astype(np.float32)


def resampled(sound, rate_in, rate_out, size):
    resampler = StreamResampler(rate_in, rate_out)
    parts = [resampler.push(sound[start : start + size]) for start in range(0, len(sound), size)]
    return np.concatenate([*parts, resampler.finish()])


@pytest.mark.parametrize("rate_in", [8000, 11025, 22050, 24000, 44100, 48000, 96000])
@pytest.mark.parametrize("rate_out", [16000, 48000])
def test_tones_keep_their_place_in_time(rate_in, rate_out):
    """A tone at 0.85 of the band comes out as the same tone, sample for sample, to -70 dB."""
    frequency = 0.85 * min(rate_in, rate_out) / 2
    sound = sine(frequency, rate_in, rate_in)
    ours = resampled(sound, rate_in, rate_out, rate_in // 25)
    assert len(ours) == rate_out
    inside = slice(rate_out // 10, -rate_out // 10)
    assert np.abs(ours - sine(frequency, rate_out, rate_out))[inside].max() < 3e-4


def test_what_the_lower_rate_cannot_hold_is_gone():
    ours = resampled(sine(8100, 48000, 48000), 48000, 16000, 480)
    assert np.abs(ours[1600:-1600]).max() < 2e-4


@pytest.mark.parametrize("size", [1, 7, 480, 5000])
def test_blocks_do_not_matter(size):
    sound = np.random.default_rng(0).standard_normal(6000).astype(np.float32)
    np.testing.assert_array_equal(resampled(sound, 44100, 16000, size), resampled(sound, 44100, 16000, 6000))


@pytest.mark.parametrize("count", [0, 1, 2, 100, 441, 44100])
def test_length_is_rounded_down(count):
    assert len(resampled(np.zeros(count, np.float32), 44100, 16000, 100)) == count * 16000 // 44100


def test_the_same_rate_passes_unchanged_and_at_once():
    resampler = StreamResampler(16000, 16000)
    sound = sine(440, 16000, 100)
    np.testing.assert_array_equal(resampler.push(sound), sound)
    assert resampler.delay_samples == 0 and len(resampler.finish()) == 0


def test_delay_is_a_few_milliseconds():
    resampler = StreamResampler(48000, 16000)
    given = len(resampler.push(np.zeros(48000, np.float32)))
    assert 16000 - given == pytest.approx(resampler.delay_samples / 3, abs=1)
    assert resampler.delay_samples / 48000 <= 0.004


def test_memory_is_bounded():
    resampler = StreamResampler(48000, 16000)
    for _ in range(200):
        resampler.push(np.zeros(480, np.float32))
        assert len(resampler._held) <= 480 + 2 * resampler.delay_samples


def test_bad_rates_are_refused():
    with pytest.raises(ValueError, match="positive"):
        StreamResampler(0, 16000)
