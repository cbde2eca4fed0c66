"""Log-mel of other voices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import WhisperFeatureExtractor

from musetalk.training.mel_augmentation import (
    augment_mel,
    draw_vocal_tract,
    scale_spectral_detail,
    spec_augment,
    warp_vocal_tract,
)


def mel_of(frequencies: list[float]) -> torch.Tensor:
    at = np.arange(16000) / 16000
    audio = sum(np.sin(2 * np.pi * frequency * at) for frequency in frequencies).astype(np.float32)
    return WhisperFeatureExtractor()(audio, sampling_rate=16000, return_tensors="pt").input_features[0][:, :100]


def test_the_same_tract_changes_nothing() -> None:
    mel = mel_of([300, 2000])
    assert torch.allclose(warp_vocal_tract(mel, np.ones(5)), mel, atol=1e-4)


@pytest.mark.parametrize("factor", [0.8, 0.9, 1.12, 1.25])
@pytest.mark.parametrize("frequency", [400.0, 1500.0, 5000.0])
def test_a_tone_becomes_the_tone_of_the_other_tract(factor: float, frequency: float) -> None:
    moved, expected = warp_vocal_tract(mel_of([frequency]), np.array([factor])), mel_of([frequency / factor])
    assert abs(int(moved[:, 50].argmax()) - int(expected[:, 50].argmax())) <= 1
    assert moved.shape == expected.shape and moved.dtype == expected.dtype


def test_a_part_of_the_tract_moves_its_own_frequencies() -> None:
    mel, moved = mel_of([300, 5000]), warp_vocal_tract(mel_of([300, 5000]), np.array([1, 1, 1, 1.2]))
    low = slice(0, 20)
    assert torch.allclose(moved[low], mel[low], atol=1e-4)
    assert int(moved[40:, 50].argmax()) < int(mel[40:, 50].argmax())


def test_tracts_are_those_of_people() -> None:
    tracts = np.array([draw_vocal_tract(np.random.default_rng(seed)) for seed in range(200)])
    lengths = np.exp(np.log(tracts).mean(axis=1))
    assert 0.78 < lengths.min() < 0.9 and 1.1 < lengths.max() < 1.28
    assert 1.02 < (tracts.max(axis=1) / tracts.min(axis=1)).max() < 1.14


def test_scaled_detail_keeps_what_is_smooth() -> None:
    mel = mel_of([1000.0])
    flat = torch.linspace(0, 1, 80)[:, None].expand(80, 10)
    assert torch.allclose(scale_spectral_detail(mel, 1.0), mel, atol=1e-5)
    assert torch.allclose(scale_spectral_detail(flat, 0.3)[4:-4], flat[4:-4], atol=1e-5)
    assert float(scale_spectral_detail(mel, 0.3)[:, 50].max()) < float(mel[:, 50].max())


def test_little_is_masked_and_the_given_mel_stays() -> None:
    mel = torch.randn(80, 3000)
    kept = mel.clone()
    shares = [float((spec_augment(mel, np.random.default_rng(seed)) != mel).float().mean()) for seed in range(20)]
    assert torch.equal(mel, kept)
    assert min(shares) > 0 and max(shares) < 0.5


def test_augmented_mel_is_a_function_of_its_seed() -> None:
    mel = mel_of([300, 2000])
    one, again, other = (augment_mel(mel, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, again) and one.shape == mel.shape and not torch.equal(one, other)
