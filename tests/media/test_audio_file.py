"""Sound of any format becomes mono samples, in step with the picture."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_factory import numbered_frame, tone, write_sound, write_video

from musetalk.errors import InputError
from musetalk.media.audio_file import probe_audio, read_audio, track_channels, write_track

FORMATS = {
    "u8_8k": ("a.wav", "pcm_u8", 8000, 1, 2e-2),
    "s16_44k_stereo": ("a.wav", "pcm_s16le", 44100, 2, 2e-3),
    "s24_48k": ("a.wav", "pcm_s24le", 48000, 1, 2e-3),
    "float_16k": ("a.wav", "pcm_f32le", 16000, 1, 1e-6),
    "surround": ("a.wav", "pcm_s16le", 48000, 6, 2e-3),
    "flac": ("a.flac", "flac", 44100, 2, 2e-3),
    "mp3": ("a.mp3", "libmp3lame", 44100, 2, 3e-2),
    "m4a": ("a.m4a", "aac", 48000, 1, 3e-2),
    "ogg": ("a.ogg", "libopus", 48000, 1, 6e-2),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format(name: str, tmp_path: Path) -> None:
    file, codec, rate, channels, tolerance = FORMATS[name]
    path = write_sound(tmp_path / file, tone(1.0, rate, channels=channels), rate, codec)
    info = probe_audio(path)
    assert (info.sample_rate, info.channels) == (rate, channels)
    exact = codec.startswith("pcm") or codec in ("flac", "aac")
    assert info.duration == 1 if exact else abs(info.duration - 1) < Fraction(1, 20)
    samples = read_audio(path)
    assert samples.dtype == np.float32 and samples.ndim == 1
    assert len(samples) == int(info.duration * 16000)
    expected = tone(1.0, 16000)[0]
    middle = slice(2000, 14000)  # away from the ends, where a resampler and a lossy codec ring
    assert np.abs(samples[middle] - expected[middle]).max() < tolerance


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = tone(0.5, 16000), np.zeros((1, 8000), np.float32)
    path = write_sound(tmp_path / "a.wav", np.concatenate([left, right]), 16000, "pcm_f32le")
    assert np.allclose(read_audio(path), left[0] / 2, atol=1e-6)


def test_odd_samples_stay_in_range(tmp_path: Path) -> None:
    wild = np.array([[0.5, 3.0, -3.0, np.nan, np.inf, -np.inf] * 100], np.float32)
    samples = read_audio(write_sound(tmp_path / "a.wav", wild, 16000, "pcm_f32le"))
    assert np.isfinite(samples).all() and np.abs(samples).max() <= 1


def test_sound_track_that_starts_late(tmp_path: Path) -> None:
    frames = [numbered_frame(index) for index in range(50)]
    for name in ("late.mp4", "late.mkv", "late.ts"):
        path = write_video(tmp_path / name, frames, sound=tone(1.0), sound_start=Fraction(1, 2))
        samples = read_audio(path)
        onset = int(np.argmax(np.abs(samples) > 0.1)) / 16000
        assert abs(onset - 0.5) < 0.03, name
        assert not samples[:7000].any()


def test_gap_in_the_track_is_silent(tmp_path: Path) -> None:
    path = tmp_path / "gap.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("pcm_s16le", rate=16000, layout="mono")
        for start in (0, 32000):
            frame = av.AudioFrame.from_ndarray((tone(1.0, 16000) * 32767).astype(np.int16), "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, start, Fraction(1, 16000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    samples = read_audio(path)
    assert len(samples) == 48000 and probe_audio(path).duration == 3
    assert not samples[16000:32000].any()
    assert np.allclose(samples[32000:], tone(1.0, 16000)[0], atol=1e-3)


def test_silence_and_a_hundredth_of_a_second(tmp_path: Path) -> None:
    silent = write_sound(tmp_path / "s.wav", np.zeros((1, 16000), np.float32), 16000)
    assert len(read_audio(silent)) == 16000 and not read_audio(silent).any()
    short = write_sound(tmp_path / "t.wav", tone(0.01, 48000), 48000)
    assert probe_audio(short).duration == Fraction(1, 100)
    assert len(read_audio(short)) == 160


def test_another_rate(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", tone(1.0, 16000), 16000)
    assert len(read_audio(path, 24000)) == 24000


@pytest.mark.parametrize("name", ["a b.wav", "it's.wav", "$(x).wav", "-i.wav", "日本é.wav", "%03d.wav", "concat:x.wav"])
def test_any_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sound(tmp_path / "plain.wav", tone(0.1, 16000), 16000)
    (tmp_path / "plain.wav").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(read_audio(name)) == 1600


def test_bad_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    for name in ("text.wav", "text.mp3", "text.m4a"):
        (tmp_path / name).write_text("no sound in here\n" * 100)
    write_video(tmp_path / "mute.mp4", [numbered_frame(0)] * 3)
    write_sound(tmp_path / "none.wav", np.zeros((1, 0), np.float32), 16000)
    for name in ("missing.wav", "empty.wav", "text.wav", "text.mp3", "text.m4a", "mute.mp4", "none.wav", "."):
        for read in (probe_audio, read_audio, track_channels):
            with pytest.raises(InputError) as caught:
                read(tmp_path / name)
            assert str(tmp_path / name) in caught.value.what
            assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(("stored", "made"), [(1, 1), (2, 2), (6, 2)])
def test_track_is_cut_and_has_at_most_two_channels(stored: int, made: int, tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", tone(1.0, 44100, channels=stored), 44100)
    assert track_channels(path) == made
    for seconds, samples in ((Fraction(1, 4), 12000), (Fraction(5), 48000)):
        target = tmp_path / f"{float(seconds)}.pcm"
        write_track(path, target, seconds)
        track = np.fromfile(target, "<i2").reshape(-1, made)
        assert len(track) == samples
    expected = tone(1.0)[0, 6000:42000]
    assert stored == 6 or np.abs(track[6000:42000, 0] / 32767 - expected).max() < 2e-3
