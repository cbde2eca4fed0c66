from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model_factory import TINY_MOUTH_UNET, TINY_WHISPER

from musetalk.checkpoint import load_into, read_state_dict
from musetalk.errors import ConfigError, InputError
from musetalk.models.audio_encoder import load_audio_encoder
from musetalk.models.mouth_reader import MouthReader
from musetalk.models.unet import build_unet
from musetalk.synthetic.mouth_channels import CHANNELS
from musetalk.synthetic.speech_corpus import Speech
from musetalk.synthetic.visemes import rest_pose
from musetalk.training.audio_task import (
    MOST_SPREAD,
    READER_FILE,
    SegmentSamples,
    mouth_loss,
    spread_factors,
    widened,
)
from musetalk.training.log import read_rows
from musetalk.training.tasks import train

CONFIG = Path("configs/training/audio.yaml")


def write_corpus(folder: Path, count: int = 2) -> Path:
    folder.mkdir(parents=True)
    for index in range(count):
        rng = np.random.default_rng(index)
        curves = rng.uniform(0, 1, (50, len(CHANNELS))).astype(np.float16)
        audio = (rng.uniform(-0.3, 0.3, 2 * 16000) * 32767).astype(np.int16)
        np.savez(folder / f"{index:05d}.npz", audio=audio, curves=curves, voice="test")
    return folder


def test_trains_and_exports_an_encoder_that_inference_loads(tmp_path: Path) -> None:
    speech = write_corpus(tmp_path / "speech")
    (tmp_path / "tiny.json").write_text(json.dumps(TINY_WHISPER))
    (tmp_path / "unet.json").write_text(json.dumps(TINY_MOUTH_UNET))
    overrides = [
        f"unet_config={tmp_path / 'unet.json'}",
        f"output_dir={tmp_path / 'out'}", f"network={tmp_path / 'tiny.json'}", f"data.train={speech}",
        f"data.held_out={speech}", "data.train_bs=1", "data.num_workers=0", "solver.max_train_steps=2",
        "solver.mixed_precision=fp32", "log_every=1",
    ]  # fmt: skip
    assert train("audio", CONFIG, overrides) == 0
    rows = read_rows(tmp_path / "out/test/losses.jsonl")
    assert "mouth_loss" in rows[0] and {"gap_r", "width_r"} < rows[-1].keys()
    encoder = load_audio_encoder(tmp_path / "out/test/audio_encoder")
    assert encoder(np.zeros(16000, np.float32)).shape == (1500, 3, 32)
    reader = build_unet(TINY_MOUTH_UNET, Path()).reader
    load_into(reader, read_state_dict(tmp_path / "out/test" / READER_FILE), Path())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"mouth_reader": {"window_tokens": 50, "hidden": 8}}, "not made for windows of 30 tokens of width 32"),
        ({"mouth_reader": None}, "has no mouth_reader"),
    ],
)
def test_a_unet_that_cannot_be_told_is_refused(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    (tmp_path / "tiny.json").write_text(json.dumps(TINY_WHISPER))
    (tmp_path / "unet.json").write_text(json.dumps({**TINY_MOUTH_UNET, **changes}))
    files = [f"unet_config={tmp_path / 'unet.json'}", f"network={tmp_path / 'tiny.json'}"]
    with pytest.raises(ConfigError, match=told):
        train("audio", CONFIG, [*files, f"output_dir={tmp_path / 'out'}"])


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
    assert torch.equal(again["mel"], drawn[4]["mel"]) and torch.equal(again["mouths"], drawn[4]["mouths"])
    for segment in drawn:
        assert segment["mel"].shape == (80, 3000) and segment["mouths"].shape == (750, len(CHANNELS))
        assert float(segment["mouths"][segment["mask"] == 0].abs().sum()) == 0
        frames = int(segment["heard"].sum()) // 2
        assert float(segment["mouths"][frames:].abs().sum()) == 0
        assert int(segment["mask"].sum()) == min(frames + 12, 750)


def test_mouths_are_those_of_the_frames_of_their_sound(tmp_path: Path) -> None:
    """Sound and curves that tell their own time stay together, wherever a segment is cut."""
    level = np.repeat(np.linspace(0.05, 0.5, 50), 640)
    curves = np.linspace(0.1, 1, 50, dtype=np.float32)[:, None] * np.ones(len(CHANNELS), np.float32)
    corpus = [Speech(level.astype(np.float32), curves, "test")]
    samples = SegmentSamples(corpus, None, 3)
    for number in range(4):
        rng = np.random.default_rng(number)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("musetalk.training.audio_task.augment", lambda audio, rng: audio)
            patch.setattr("musetalk.training.audio_task.with_hiss", lambda audio, rng: audio)
            patch.setattr("musetalk.training.audio_task.EMPTY_SHARE", 0)
            audio, mouths = samples._segment(rng)
        loud = audio.reshape(-1, 640).mean(axis=1)
        spoken = loud > 0
        assert spoken.any() and len(loud) == len(mouths)
        np.testing.assert_allclose(mouths[spoken][:, 0], 2 * loud[spoken], rtol=1e-4)
        np.testing.assert_allclose(mouths[~spoken], np.tile(rest_pose(), ((~spoken).sum(), 1)))


def test_in_some_segments_nobody_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hiss alone, in which the mouth rests."""
    monkeypatch.setattr("musetalk.training.audio_task.SILENCE_SHARE", 0)
    corpus = [Speech(np.full(50 * 640, 0.3, np.float32), np.full((50, len(CHANNELS)), 0.5, np.float32), "test")]
    samples = SegmentSamples(corpus, None, 3)
    empty = 0
    for number in range(60):
        audio, mouths = samples._segment(np.random.default_rng(number))
        if not (mouths == 0.5).any():
            np.testing.assert_array_equal(mouths, np.tile(rest_pose(), (len(mouths), 1)))
            assert len(audio) == 640 * len(mouths)
            assert 0 < np.abs(audio).max() < 0.5
            empty += 1
    assert 1 <= empty <= 15


def test_the_loss_hears_only_what_is_in_the_mask() -> None:
    mouths, mask = torch.zeros(1, 4, len(CHANNELS)), torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    wrong_inside, wrong_outside = mouths.clone(), mouths.clone()
    wrong_inside[0, 0] = 1
    wrong_outside[0, 3] = 1
    assert mouth_loss(mouths, mouths, mask) == 0
    assert mouth_loss(wrong_outside, mouths, mask) == 0
    assert mouth_loss(wrong_inside, mouths, mask) > 0.25


def test_what_is_read_off_sound_is_widened_to_the_spread_of_the_truth() -> None:
    torch.manual_seed(1)
    reader, windows = MouthReader(window_tokens=2, width=4, hidden=8, channels=4), torch.randn(200, 2, 4)
    with torch.no_grad():
        read = reader(windows)
        true = read * torch.tensor([1.25, 0.5, 9.0, 0.0])
        mask = torch.cat([torch.ones(1, 190), torch.zeros(1, 10)], dim=1)
        noise = torch.where(mask[0, :, None] == 1, 0.0, 100.0)
        factors = spread_factors((read + noise)[None], (true - noise)[None], mask)
        torch.testing.assert_close(factors, torch.tensor([1.25, 1.0, MOST_SPREAD, 1.0]))
        torch.testing.assert_close(widened(reader, factors)(windows), read * factors)
        torch.testing.assert_close(reader(windows), read)
