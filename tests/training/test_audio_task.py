from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from model_factory import TINY_WHISPER

from musetalk.errors import InputError
from musetalk.models.audio_encoder import load_audio_encoder
from musetalk.synthetic.mouth_channels import CHANNELS
from musetalk.training.audio_task import SegmentSamples, curve_loss
from musetalk.training.log import read_rows
from musetalk.training.tasks import train

CONFIG = Path("configs/training/audio.yaml")


def write_corpus(folder: Path, count: int = 2) -> Path:
    folder.mkdir(parents=True)
    for index in range(count):
        rng = np.random.default_rng(index)
        curves = rng.uniform(0, 1, (100, len(CHANNELS))).astype(np.float16)
        audio = (rng.uniform(-0.3, 0.3, 2 * 16000) * 32767).astype(np.int16)
        np.savez(folder / f"{index:05d}.npz", audio=audio, curves=curves[::2], step_curves=curves, voice="test")
    return folder


def test_trains_and_exports_an_encoder_that_inference_loads(tmp_path: Path) -> None:
    speech = write_corpus(tmp_path / "speech")
    (tmp_path / "tiny.json").write_text(json.dumps(TINY_WHISPER))
    overrides = [
        f"output_dir={tmp_path / 'out'}", f"network={tmp_path / 'tiny.json'}", f"data.train={speech}",
        f"data.held_out={speech}", "data.train_bs=1", "data.num_workers=0", "solver.max_train_steps=2",
        "solver.mixed_precision=fp32", "log_every=1",
    ]  # fmt: skip
    assert train("audio", CONFIG, overrides) == 0
    rows = read_rows(tmp_path / "out/test/losses.jsonl")
    assert "curve_loss" in rows[0] and "jaw_r" in rows[-1]
    encoder = load_audio_encoder(tmp_path / "out/test/audio_encoder")
    assert encoder(np.zeros(16000, np.float32)).shape == (1500, 3, 32)


def test_a_folder_without_speech_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.*holds no speech"):
        train("audio", CONFIG, [f"data.train={tmp_path / 'none'}", f"output_dir={tmp_path / 'out'}"])


def test_segments_are_a_function_of_their_number_and_mask_what_is_silent(tmp_path: Path) -> None:
    from transformers import WhisperFeatureExtractor

    from musetalk.synthetic.speech_corpus import read_speech

    corpus = read_speech(write_corpus(tmp_path / "speech"))
    samples = SegmentSamples(corpus, WhisperFeatureExtractor(), 5)
    drawn = [samples[number] for number in range(5)]
    again = SegmentSamples(corpus, WhisperFeatureExtractor(), 5)[4]
    assert torch.equal(again["mel"], drawn[4]["mel"]) and torch.equal(again["curves"], drawn[4]["curves"])
    for segment in drawn:
        assert segment["mel"].shape == (80, 3000) and segment["curves"].shape == (1500, len(CHANNELS))
        assert float(segment["curves"][segment["mask"] == 0].abs().sum()) == 0


def test_the_loss_hears_only_what_is_in_the_mask() -> None:
    curves, mask = torch.zeros(1, 4, 2), torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    wrong_inside, wrong_outside = curves.clone(), curves.clone()
    wrong_inside[0, 0] = 1
    wrong_outside[0, 3] = 1
    assert curve_loss(curves, curves, mask) == 0
    assert curve_loss(wrong_outside, curves, mask) == 0
    assert curve_loss(wrong_inside, curves, mask) > 0.5
