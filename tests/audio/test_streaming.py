from collections import deque
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from formula_weights import fill
from model_factory import PREPROCESSOR, TINY_WHISPER

from musetalk.audio.features import AudioFeatures
from musetalk.audio.streaming import StreamingContext, StreamingFeatures
from musetalk.audio.streaming_encoder import SegmentCache, StreamingEncoder
from musetalk.audio.streaming_mel import LEAST_MAXIMUM, StreamingMel, normalised
from musetalk.audio.windows import frame_count
from musetalk.media.audio_file import read_audio
from musetalk.models.audio_encoder import (
    AudioEncoder,
    build_audio_encoder,
    build_feature_extractor,
    load_audio_encoder,
)
from musetalk.models.unet import load_unet
from musetalk.synthetic.mouth_channels import SPREAD, lip_gap

ROOT = Path(__file__).parents[2]
RATE = 16000


def tiny_encoder(seconds):
    """An untrained encoder with segments of a few seconds."""
    network = build_audio_encoder({**TINY_WHISPER, "max_source_positions": seconds * 50}, Path())
    extractor = build_feature_extractor({**PREPROCESSOR, "chunk_length": seconds}, Path())
    return AudioEncoder(fill(network).eval(), extractor)


@pytest.fixture(scope="module")
def shared():
    return StreamingEncoder(tiny_encoder(3))


@pytest.fixture(scope="module")
def mini():
    return load_audio_encoder(ROOT / "models" / "mini" / "audio_encoder")


@pytest.fixture(scope="module")
def speech():
    return read_audio(ROOT / "assets" / "demo" / "speech.wav")


def noise(count, seed=0):
    return (0.2 * np.random.default_rng(seed).standard_normal(count)).astype(np.float32)


def in_blocks(features, samples, sizes):
    """Push blocks of the sizes in turn; all windows."""
    found, place, turn = [], 0, 0
    while place < len(samples):
        size = sizes[turn % len(sizes)]
        found += features.push(samples[place : place + size])
        place, turn = place + size, turn + 1
    return np.stack(found + features.finish())


def relative(ours, other, states):
    """Relative L2 difference of the windows, for each hidden state."""
    ours, other = (windows.reshape(-1, states, windows.shape[-1]) for windows in (ours, other))
    return np.linalg.norm(ours - other, axis=(0, 2)) / np.linalg.norm(other, axis=(0, 2))


def test_all_steps_at_once_are_the_encoders_states():
    """Front end, convolutions, positions and layers: what streams is the network itself."""
    encoder = tiny_encoder(3)
    sound = np.pad(np.clip(4 * noise(29 * RATE // 10), -1, 1), (0, RATE // 10))
    mel = StreamingMel(encoder.extractor)
    mel.push(np.pad(sound, (0, 400)))
    columns = normalised(mel.take(300), mel.maximum)
    nothing = torch.zeros(80, 1)  # offline, the convolution sees nothing beyond the segment
    streaming = StreamingEncoder(encoder)
    embedded = streaming.embed(torch.cat([nothing, nothing, columns, nothing], dim=1), first=True)
    states = streaming.states(embedded, 0, streaming.new_cache(), 150, 0).numpy()
    np.testing.assert_allclose(states, encoder(sound), atol=1e-4)


@pytest.mark.parametrize("sizes", [[1], [7, 1], [160], [640], [641, 3], [5000, 1, 2], [80000]])
def test_windows_do_not_depend_on_the_blocks(shared, sizes):
    sound = noise(int(0.4 * RATE) if sizes == [1] else 5 * RATE + 123)
    whole = in_blocks(StreamingFeatures(shared), sound, [len(sound)])
    np.testing.assert_array_equal(in_blocks(StreamingFeatures(shared), sound, sizes), whole)


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001), Fraction(12), Fraction(50), Fraction(60)])
@pytest.mark.parametrize("count", [0, 1, 199, 201, 320, 640, 8000, 16001, 70001])
def test_there_are_as_many_windows_as_frames(shared, fps, count):
    features = StreamingFeatures(shared, fps)
    windows = features.push(noise(count)) + features.finish()
    assert len(windows) == frame_count(count, fps) == features.frames
    assert all(window.shape == (10 * 3, 32) and window.dtype == np.float32 for window in windows)
    assert features.finish() == []


@pytest.mark.parametrize(("padding", "right"), [((2, 2), 0), ((2, 2), 5), ((0, 0), 0), ((3, 1), 2)])
def test_a_window_comes_exactly_when_the_look_ahead_has_been_heard(shared, padding, right):
    features = StreamingFeatures(shared, 25, *padding, context=StreamingContext(right=right))
    sound = noise(2 * RATE)
    place = 0
    for frame in range(20):
        due = frame * 640 + features.look_ahead_samples
        assert features.push(sound[place : due - 1]) == []
        assert len(features.push(sound[due - 1 : due])) == 1
        place = due


def test_look_ahead_by_default_is_the_windows_and_12_5_ms(shared):
    assert StreamingFeatures(shared).look_ahead_samples == 6 * 320 + 200


def test_windows_of_the_bundled_encoder_are_near_the_offline_ones(mini, speech):
    """The window of a frame 1 s away differs four times as much."""
    offline = np.stack(list(AudioFeatures(mini).windows(speech, Fraction(25))))
    streamed = in_blocks(StreamingFeatures(mini), speech, [640])
    assert streamed.shape == offline.shape
    assert (relative(streamed, offline, 5) < [0.06, 0.2, 0.35, 0.25, 0.22]).all()
    # Once some seconds have been heard:
    assert (relative(streamed[125:], offline[125:], 5) < [0.03, 0.08, 0.2, 0.16, 0.1]).all()
    assert relative(offline[25:], offline[:-25], 5)[-1] > 0.4


def test_the_mouth_that_is_read_as_sound_arrives_is_nearly_the_offline_one(mini, speech):
    folder = ROOT / "models" / "mini" / "unet"
    reader = load_unet(folder / "config.json", folder / "diffusion_pytorch_model.safetensors").network.reader
    offline = np.stack(list(AudioFeatures(mini).windows(speech, Fraction(25))))
    gaps = []
    for windows in (offline, in_blocks(StreamingFeatures(mini), speech, [640])):
        with torch.inference_mode():
            gaps.append(lip_gap(reader(torch.from_numpy(windows)).numpy() * SPREAD))
    assert np.corrcoef(gaps)[0, 1] > 0.97
    assert np.corrcoef(gaps[0][25:], gaps[0][:-25])[0, 1] < 0.5


def test_a_sound_longer_than_a_segment_passes_the_seams_as_offline(mini, speech):
    """64 s: three segments, each fading into the next; the streamed windows stay near the offline ones throughout."""
    sound = np.concatenate([speech] * 3)
    offline = np.stack(list(AudioFeatures(mini).windows(sound, Fraction(25))))
    streamed = in_blocks(StreamingFeatures(mini), sound, [4000])
    seams = slice(530, 700)  # the fade from the first segment to the second lies at 23 to 27 s
    assert relative(streamed[seams], offline[seams], 5).max() < 0.2
    moves = np.linalg.norm(np.diff(streamed, axis=0), axis=(1, 2))
    usual = np.linalg.norm(np.diff(offline, axis=0), axis=(1, 2))
    assert moves[seams].max() <= 1.1 * usual[seams].max()


def held_bytes(value):
    """Bytes of all arrays that an object holds."""
    if isinstance(value, torch.Tensor | np.ndarray):
        return value.nbytes
    if isinstance(value, SegmentCache):
        return held_bytes(value.layers)
    if isinstance(value, list | tuple | deque):
        return sum(map(held_bytes, value))
    if isinstance(value, StreamingMel):
        return held_bytes(list(vars(value).values()))
    return 0


def test_memory_is_bounded(shared):
    features = StreamingFeatures(shared)
    sound, held = noise(RATE), []
    for _ in range(120):
        features.push(sound)
        held.append(held_bytes(list(vars(features).values())))
    # A segment begins every 2 s, and two are held for 0.7 s.
    assert max(held[60:]) <= max(held[:12])
    assert max(len(held) for held in (features._embedded, features._segments, features._mel._recent)) <= 300


def test_a_click_is_forgotten_after_a_segment(shared):
    mel = StreamingMel(shared.encoder.extractor)
    quiet = 1e-3 * noise(RATE)
    mel.push(np.concatenate([[1.0] * 10, quiet]).astype(np.float32))
    mel.take(50)
    loud = mel.maximum
    assert loud > LEAST_MAXIMUM
    for second in range(1, 4):
        mel.push(quiet)
        mel.take(50 + 100 * second)
    assert mel.maximum == LEAST_MAXIMUM


def test_what_is_no_sound_does_no_lasting_harm(shared):
    broken = noise(3 * RATE)
    broken[100:200], broken[300], broken[400], broken[500:600] = np.nan, np.inf, -np.inf, 7.0
    mended = np.where(np.isfinite(broken), np.clip(broken, -1, 1), 0).astype(np.float32)
    ours = in_blocks(StreamingFeatures(shared), broken, [640])
    np.testing.assert_array_equal(ours, in_blocks(StreamingFeatures(shared), mended, [640]))
    assert np.isfinite(ours).all()


@pytest.mark.parametrize("level", [0.0, 1e-6, 1.0])
def test_silence_and_full_scale_have_features(shared, level):
    sound = np.full(2 * RATE, level, np.float32) * np.sign(noise(2 * RATE))
    assert np.isfinite(in_blocks(StreamingFeatures(shared), sound, [640])).all()


def test_reset_begins_anew(shared):
    features = StreamingFeatures(shared)
    in_blocks(features, noise(4 * RATE, seed=1), [640])
    features.reset()
    sound = noise(RATE)
    np.testing.assert_array_equal(in_blocks(features, sound, [640]), in_blocks(StreamingFeatures(shared), sound, [640]))


def test_streams_that_share_an_encoder_do_not_hear_each_other(shared):
    sounds = [noise(RATE, seed) for seed in (1, 2)]
    apart = [in_blocks(StreamingFeatures(shared), sound, [640]) for sound in sounds]
    streams = [StreamingFeatures(shared) for _ in sounds]
    together = [[], []]
    for start in range(0, RATE, 640):
        for stream, sound, found in zip(streams, sounds, together, strict=True):
            found += stream.push(sound[start : start + 640])
    for stream, found, alone in zip(streams, together, apart, strict=True):
        np.testing.assert_array_equal(np.stack(found + stream.finish()), alone)


def test_misuse_is_refused(shared):
    features = StreamingFeatures(shared)
    with pytest.raises(ValueError, match="shape"):
        features.push(np.zeros((2, 10), np.float32))
    features.finish()
    with pytest.raises(ValueError, match="finished"):
        features.push(noise(10))
    with pytest.raises(ValueError, match="negative"):
        StreamingContext(left=-1)
