"""Hidden states kept for training: golden windows, resuming, and agreement with what inference hears."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clip_factory import StepEncoder, write_sound
from formula_weights import fill
from model_factory import PREPROCESSOR, TINY_WHISPER

from musetalk.audio.features import AudioFeatures
from musetalk.audio.mel import sync_mel, sync_mel_slice
from musetalk.audio.windows import audio_windows
from musetalk.errors import InputError
from musetalk.media.audio_file import read_audio
from musetalk.models.audio_encoder import AudioEncoder, build_audio_encoder, build_feature_extractor
from musetalk.training.audio_store import AudioStore, encoder_fingerprint, frame_windows, open_samples

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "training_audio_windows.npz"


def stored(folder: Path, encoder: StepEncoder, *wavs: Path) -> AudioStore:
    store = AudioStore(folder, encoder_fingerprint(encoder))
    assert store.prepare(wavs, encoder) == {}
    return store


def test_windows_are_the_published_ones() -> None:
    golden = np.load(GOLDEN)
    for hidden, offset, expected in zip(golden["hidden"], golden["offsets"], golden["windows"], strict=True):
        windows = frame_windows(hidden, range(offset, offset + 16), 2, 2)
        assert windows.dtype == np.float16 and windows.shape == (16, 50, 2)
        assert np.array_equal(windows.reshape(16, 10, 5, 2), expected)


@pytest.mark.parametrize("padding", [(2, 2), (0, 3), (4, 0)])
def test_any_frames_windows_are_those_of_all_frames_in_turn(padding: tuple[int, int]) -> None:
    hidden = np.random.default_rng(0).normal(size=(93, 3, 4)).astype(np.float16)
    all_windows = audio_windows(hidden, 93 * 320, Fraction(25), *padding)
    assert len(all_windows) == 46
    for frames in ([0], [45], [7, 3, 3, 40], list(range(46))):
        assert np.array_equal(frame_windows(hidden, frames, *padding), all_windows[frames])
    assert not frame_windows(hidden, [60], *padding).any()


def test_training_hears_what_inference_hears_also_far_into_a_long_clip(tmp_path: Path) -> None:
    network = fill(build_audio_encoder({**TINY_WHISPER, "max_source_positions": 100}, tmp_path)).eval()
    extractor = build_feature_extractor({**PREPROCESSOR, "chunk_length": 2}, tmp_path)
    encoder = AudioEncoder(network, extractor)
    wav = write_sound(tmp_path / "long.wav", 7.3)  # almost four of the encoder's segments
    store = stored(tmp_path / "store", encoder, wav)
    expected = np.stack(list(AudioFeatures(encoder).windows(read_audio(wav), Fraction(25)))).astype(np.float16)
    assert len(store.open(wav)) == 365
    for frame in (0, 1, 60, 120, 181):
        assert np.array_equal(store.windows(wav, [frame], 2, 2)[0], expected[frame])


def test_a_sound_is_encoded_once_for_an_encoder_and_again_when_it_changes(tmp_path: Path) -> None:
    first, second = write_sound(tmp_path / "a.wav", 1.0), write_sound(tmp_path / "b.wav", 1.0, seed=1)
    encoder = StepEncoder()
    store = stored(tmp_path / "store", encoder, first, first)
    assert encoder.calls == 1
    stored(tmp_path / "store", encoder, first, second)  # as after a stop between the two
    assert encoder.calls == 2
    before = store.open(first).copy()
    write_sound(tmp_path / "a.wav", 1.2, seed=2)
    with pytest.raises(InputError, match=r"a\.wav"):
        store.open(first)
    stored(tmp_path / "store", encoder, first, second)
    assert encoder.calls == 3 and len(store.open(first)) == 60 != len(before)
    louder = stored(tmp_path / "store", StepEncoder(gain=2.0), second)
    assert np.allclose(louder.open(second), store.open(second) * 2, rtol=2e-3)


def test_a_stopped_run_leaves_no_half_written_file(tmp_path: Path) -> None:
    class Stopping(StepEncoder):
        def __call__(self, samples: np.ndarray) -> np.ndarray:
            if self.calls == 2:
                raise KeyboardInterrupt
            return super().__call__(samples)

    wav, encoder = write_sound(tmp_path / "a.wav", 9.0), StepEncoder()
    store = AudioStore(tmp_path / "store", encoder_fingerprint(encoder))
    with pytest.raises(KeyboardInterrupt):
        store.prepare([wav], Stopping())
    assert list(store.folder.iterdir()) == []
    assert store.prepare([wav], encoder) == {}
    assert store.open(wav).shape == (450, 2, 3)


def test_sounds_that_cannot_be_used_are_named_and_the_others_done(tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"RIFF, but not really")
    good, encoder = write_sound(tmp_path / "good.wav", 1.0), StepEncoder()
    store = AudioStore(tmp_path / "store", encoder_fingerprint(encoder))
    failures = store.prepare([tmp_path / "bad.wav", tmp_path / "none.wav", good], encoder)
    assert set(failures) == {tmp_path / "bad.wav", tmp_path / "none.wav"}
    assert "bad.wav" in failures[tmp_path / "bad.wav"] and "none.wav" in failures[tmp_path / "none.wav"]
    assert len(store.open(good)) == 50


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    wav = write_sound(tmp_path / "a.wav", 1.0)
    store = stored(tmp_path / "store", StepEncoder(), wav)
    store.path(wav).write_bytes(store.path(wav).read_bytes()[:-100])
    with pytest.raises(InputError, match=store.path(wav).name):
        store.open(wav)


def test_samples_are_mapped_from_the_clips_own_sound(tmp_path: Path) -> None:
    wav = write_sound(tmp_path / "a.wav", 2.01)
    samples = open_samples(wav)
    assert isinstance(samples, np.memmap) and samples.dtype == np.int16
    assert np.array_equal(samples / np.float32(32768), read_audio(wav))


@pytest.mark.parametrize("change", [{"rate": 8000}, {"channels": 2}, {"width": 1}])
def test_other_sounds_are_decoded(tmp_path: Path, change: dict[str, int]) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(change.get("channels", 1))
        file.setsampwidth(change.get("width", 2))
        file.setframerate(change.get("rate", 16000))
        file.writeframes(bytes(range(200)) * 80)
    samples = open_samples(tmp_path / "a.wav")
    assert samples.dtype == np.float32 and np.array_equal(samples, read_audio(tmp_path / "a.wav"))


def test_a_chunk_before_the_samples_is_passed_over(tmp_path: Path) -> None:
    wav = write_sound(tmp_path / "a.wav", 0.5)
    data = wav.read_bytes()
    at = data.index(b"data")
    wav.write_bytes(data[:at] + b"LIST\x05\x00\x00\x00abcde\x00" + data[at:])
    assert len(open_samples(wav)) == 8000 and np.array_equal(open_samples(wav) / np.float32(32768), read_audio(wav))


def test_the_mel_of_mapped_samples_is_the_slice_of_the_whole_files(tmp_path: Path) -> None:
    wav = write_sound(tmp_path / "a.wav", 3.0)
    whole = sync_mel(read_audio(wav))
    for start in (0, 1, 100, whole.shape[1] - 52):
        assert np.allclose(sync_mel_slice(open_samples(wav), start), whole[:, start : start + 52], atol=1e-5)
    end = sync_mel_slice(open_samples(wav), whole.shape[1] - 20)
    assert np.allclose(end[:, :20], whole[:, -20:], atol=1e-5) and (end[:, 20:] == -4).all()
