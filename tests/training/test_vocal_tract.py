"""Voices with another vocal tract."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import WhisperFeatureExtractor

from musetalk.training.vocal_tract import draw_tract, with_tract


def mel_of(frequencies: list[float]) -> torch.Tensor:
    at = np.arange(16000) / 16000
    audio = sum(np.sin(2 * np.pi * frequency * at) for frequency in frequencies).astype(np.float32)
    return WhisperFeatureExtractor()(audio, sampling_rate=16000, return_tensors="pt").input_features[0][:, :100]


def test_the_same_tract_changes_nothing() -> None:
    mel = mel_of([300, 2000])
    assert torch.allclose(with_tract(mel, 1.0), mel, atol=1e-4)


@pytest.mark.parametrize("factor", [0.8, 0.9, 1.12, 1.25])
@pytest.mark.parametrize("frequency", [400.0, 1500.0, 5000.0])
def test_a_tone_becomes_the_tone_of_the_other_tract(factor: float, frequency: float) -> None:
    moved, expected = with_tract(mel_of([frequency]), factor), mel_of([frequency / factor])
    assert abs(int(moved[:, 50].argmax()) - int(expected[:, 50].argmax())) <= 1
    assert moved.shape == expected.shape and moved.dtype == expected.dtype


def test_tracts_are_those_of_people() -> None:
    factors = [draw_tract(np.random.default_rng(seed)) for seed in range(200)]
    assert 0.8 < min(factors) < 0.9 and 1.1 < max(factors) < 1.25
