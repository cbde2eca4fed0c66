from fractions import Fraction

import numpy as np
import pytest
import torch
from formula_weights import fill
from model_factory import PREPROCESSOR, TINY_WHISPER

from musetalk.audio.features import AudioFeatures, SegmentPlan, cross_fade
from musetalk.audio.windows import audio_windows
from musetalk.models.audio_encoder import AudioEncoder, build_audio_encoder, build_feature_extractor

SECONDS_A_SEGMENT = 30
RATE = 16000


class CountingEncoder:
    """Stands for the encoder: a step's state is its time, plus how far off a segment is when `offset` is set."""

    def __init__(self, segment_steps=150, offset=0.0):
        self.segment_steps, self.offset = segment_steps, offset
        self.calls = []

    def __call__(self, samples):
        self.calls.append(len(samples))
        hidden = np.zeros((self.segment_steps, 1, 1), np.float32)
        values = samples[::320]
        hidden[: len(values), 0, 0] = values + self.offset * (len(self.calls) - 1)
        return hidden


def ramp(steps):
    """A sound whose samples tell their step."""
    return np.repeat(np.arange(steps, dtype=np.float32), 320)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    network = fill(build_audio_encoder(TINY_WHISPER, tmp_path_factory.getbasetemp())).eval()
    return AudioEncoder(network, build_feature_extractor(PREPROCESSOR, tmp_path_factory.getbasetemp()))


def speech_like(seconds):
    """A hum that swells and falls every 0.4 s, exactly 20 steps."""
    times = np.arange(int(seconds * RATE)) / RATE
    loudness = 0.55 + 0.45 * np.sin(2 * np.pi * 2.5 * times)
    return (loudness * sum(np.sin(2 * np.pi * f * times) / 8 for f in (300, 900, 2500))).astype(np.float32)


def test_plan_of_whisper_is_thirty_seconds_every_twenty():
    plan = SegmentPlan.of(1500)
    assert (plan.length, plan.hop, plan.fade_start, plan.fade) == (1500, 1000, 150, 200)


@pytest.mark.parametrize(("steps", "segments"), [(0, 1), (1500, 1), (1501, 2), (2500, 2), (2501, 3), (30000, 30)])
def test_number_of_segments(steps, segments):
    assert SegmentPlan.of(1500).count(steps) == segments


@pytest.mark.parametrize("steps", [10, 150, 151, 260, 1000])
def test_pieces_join_to_the_whole_sound_in_order(steps):
    chunks = list(AudioFeatures(CountingEncoder()).hidden_chunks(ramp(steps)))
    np.testing.assert_allclose(np.concatenate(chunks)[:steps, 0, 0], np.arange(steps), rtol=1e-6)


def test_segments_are_encoded_only_when_needed():
    encoder = CountingEncoder()
    windows = AudioFeatures(encoder).windows(ramp(3000), Fraction(25))
    next(windows)
    assert len(encoder.calls) == 1


def test_segments_that_disagree_fade_into_each_other():
    """Two segments that differ by 1 everywhere: independent ones would jump by 1, here no step moves more than 1/21."""
    encoder = CountingEncoder(offset=1.0)
    hidden = np.concatenate(list(AudioFeatures(encoder).hidden_chunks(np.zeros(320 * 250, np.float32))))[:250, 0, 0]
    assert hidden[0] == 0 and hidden[-1] == 1
    assert np.abs(np.diff(hidden)).max() <= 1 / 21 + 1e-6


def test_cross_fade_by_hand():
    before, after = np.zeros((5, 1, 1)), np.ones((5, 1, 1))
    np.testing.assert_allclose(cross_fade(before, after, 1, 3)[:, 0, 0], [0, 0.25, 0.5, 0.75, 1])


def test_encoder_gives_the_embedding_and_every_layer(encoder):
    hidden = encoder(speech_like(1))
    assert hidden.shape == (1500, TINY_WHISPER["encoder_layers"] + 1, TINY_WHISPER["d_model"])
    assert hidden.dtype == np.float32


@pytest.mark.parametrize("seconds", [0.5, 29.99])
def test_a_sound_within_one_segment_gives_the_published_numbers(encoder, seconds):
    samples = speech_like(seconds)
    mel = encoder.extractor(samples, sampling_rate=RATE, return_tensors="pt").input_features
    with torch.inference_mode():
        states = encoder.network(mel, output_hidden_states=True).hidden_states
    published = audio_windows(torch.stack(states, dim=2)[0].numpy(), len(samples), Fraction(25))
    ours = np.stack(list(AudioFeatures(encoder).windows(samples, Fraction(25))))
    np.testing.assert_array_equal(ours, published)


def test_features_do_not_jump_at_a_seam(encoder):
    """Published segments jump at 30 s; ours move from step to step as they do elsewhere."""
    samples = speech_like(40)
    hidden = np.concatenate(list(AudioFeatures(encoder).hidden_chunks(samples)))[:2000]
    cut = SECONDS_A_SEGMENT * RATE
    independent = np.concatenate([encoder(samples[:cut]), encoder(samples[cut:])])[:2000]

    def moves(states):
        return np.abs(np.diff(states, axis=0)).mean(axis=(1, 2))

    usual = moves(hidden)[50:950].max()  # from the first 20 s, which one segment covers; the sound repeats all the time
    assert moves(hidden)[1000:1500].max() <= 1.1 * usual
    assert moves(independent)[1490:1510].max() > 1.2 * usual
