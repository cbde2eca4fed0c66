"""A small audio encoder learns to read mouth curves from synthetic speech; then it is frozen.

A UNet left to find the sound by itself learns to copy the reference's mouth first; an encoder whose states already hold
the mouth leaves it little to find.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import default_collate

from musetalk.audio.windows import SAMPLE_RATE, STEPS_PER_SECOND
from musetalk.errors import InputError
from musetalk.models.audio_encoder import build_audio_encoder
from musetalk.models.config_file import read_network_config
from musetalk.schema import setting
from musetalk.synthetic.mouth_channels import CHANNELS
from musetalk.synthetic.recording import augment
from musetalk.synthetic.speech_corpus import Speech, read_speech
from musetalk.training.config import RunConfig
from musetalk.training.export import export_pretrained
from musetalk.training.files import write_whole
from musetalk.training.task import Pass, Validation

SEGMENT_SECONDS = 30  # published: what the Whisper encoder takes at once
TRAILING_STEPS = 25  # the end of the sound is also the end of the mouth's movement
FIXED_SEGMENTS = 4


@dataclass(frozen=True)
class AudioDataConfig:
    """Folders of utterances with their mouth curves, from the speech step of the recipe."""

    train: Path = Path("build/mini/speech")
    held_out: Path = Path("build/mini/speech_val")
    train_bs: int = setting(3, at_least=1)
    num_workers: int = setting(2, at_least=0)


@dataclass(frozen=True)
class AudioConfig(RunConfig):
    """configs/training/audio.yaml.

    Attributes:
        network: JSON of transformers' WhisperConfig.
    """

    network: Path = Path("configs/training/networks/mini_audio_encoder.json")
    data: AudioDataConfig = field(default_factory=AudioDataConfig)


class CurveReader(nn.Module):
    """The encoder with a linear read-out of the mouth curves, (n, 80, 3000) → (n, 1500, C)."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder
        self.readout = nn.Linear(encoder.config.d_model, len(CHANNELS))

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        return self.readout(self.encoder(mel).last_hidden_state)


class SegmentSamples:
    """Random 30 s of augmented speech and its curves, a function of the number.

    `mel` (80, 3000), `curves` (1500, C), and `mask` (1500,): 1 for the steps that hold sound.
    """

    def __init__(self, corpus: list[Speech], extractor: Any, seed: int) -> None:
        self.corpus, self.extractor, self.seed = corpus, extractor, seed

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng((self.seed, number))
        audio, curves, mask = self._segment(rng)
        mel = self.extractor(audio, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features[0]
        return {"mel": mel, "curves": torch.from_numpy(curves), "mask": torch.from_numpy(mask)}

    def _segment(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        steps = SEGMENT_SECONDS * STEPS_PER_SECOND
        per_step = SAMPLE_RATE // STEPS_PER_SECOND
        wanted = steps if rng.random() < 0.6 else int(rng.integers(100, steps))
        pieces, length = [], 0
        while length < wanted:
            speech = self.corpus[rng.integers(len(self.corpus))]
            first = int(rng.integers(0, len(speech.step_curves) // 2)) if rng.random() < 0.5 else 0
            curves = speech.step_curves[first:]
            pieces.append((curves, speech.audio[first * per_step : (first + len(curves)) * per_step]))
            length += len(curves)
        curves = np.concatenate([curves for curves, _ in pieces])[:wanted]
        audio = np.concatenate([audio for _, audio in pieces])[: wanted * per_step]
        padded = np.zeros((steps, curves.shape[1]), np.float32)
        padded[:wanted] = curves
        mask = np.zeros(steps, np.float32)
        mask[: min(steps, wanted + TRAILING_STEPS)] = 1
        return augment(audio, rng).astype(np.float32), padded, mask


def curve_loss(predicted: torch.Tensor, curves: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Masked smooth L1 of the curves (n, t, C) and of their change from step to step."""
    error = F.smooth_l1_loss(predicted, curves, beta=0.05, reduction="none").mean(dim=2)
    moved = F.smooth_l1_loss(predicted.diff(dim=1), curves.diff(dim=1), beta=0.05, reduction="none").mean(dim=2)
    return (error * mask).sum() / mask.sum() + 2 * (moved * mask[:, 1:]).sum() / mask.sum()


class AudioTask:
    """Trains the encoder; see `Task`.

    Args:
        config: Settings.
        encoder: transformers' WhisperEncoder.
        extractor: Its log-mel front end.
        samples: Training segments by number.
        fixed: Held-out segments, a batch.
    """

    def __init__(
        self, config: AudioConfig, encoder: Any, extractor: Any, samples: Any, fixed: Mapping[str, torch.Tensor]
    ) -> None:
        self.networks: dict[str, nn.Module] = {"audio_encoder": CurveReader(encoder)}
        self.adversaries: dict[str, Any] = {}
        self.weights = {"curve_loss": 1.0}
        self.samples, self.fixed, self.extractor = samples, fixed, extractor
        self.batch_size, self.num_workers = config.data.train_bs, config.data.num_workers

    def place(self, device: torch.device, dtype: torch.dtype) -> None:
        """Nothing is frozen here."""

    def forward(self, batch: Mapping[str, torch.Tensor], step: int) -> Pass:
        """The loss of a batch of segments."""
        predicted = self.networks["audio_encoder"](batch["mel"]).float()
        return Pass({"curve_loss": curve_loss(predicted, batch["curves"], batch["mask"])})

    def validate(self, networks: Mapping[str, nn.Module], step: int) -> Validation:
        """The loss on held-out speech, and the correlation of the jaw with the truth."""
        reader = networks["audio_encoder"]
        device = next(reader.parameters()).device
        mel, curves, mask = (self.fixed[name].to(device) for name in ("mel", "curves", "mask"))
        predicted = reader(mel).float()
        jaw, heard = CHANNELS.index("jawOpen"), mask.bool()
        pair = torch.stack([predicted[heard][:, jaw], curves[heard][:, jaw]])
        values = {"curve_loss": float(curve_loss(predicted, curves, mask)), "jaw_r": float(torch.corrcoef(pair)[0, 1])}
        return Validation(values)

    def export(self, networks: Mapping[str, nn.Module], folder: Path) -> None:
        """The folder that --whisper_dir takes: config.json, preprocessor_config.json, model.safetensors."""
        reader: Any = networks["audio_encoder"]
        target = folder / "audio_encoder"
        export_pretrained(reader.encoder, target, reader.encoder.config.to_dict(), "model.safetensors")
        front = json.loads(self.extractor.to_json_string())
        write_whole(target / "preprocessor_config.json", json.dumps(front, indent=2).encode())

    def warnings(self) -> list[str]:
        return []


def build_audio_task(config: AudioConfig, accelerator: Any, say: Callable[[str], None]) -> AudioTask:
    """The task of a settings file.

    Raises:
        InputError: A folder holds no speech.
    """
    from transformers import WhisperFeatureExtractor

    encoder = build_audio_encoder(read_network_config(config.network), config.network)
    extractor = WhisperFeatureExtractor()
    corpora = [read_speech(folder) for folder in (config.data.train, config.data.held_out)]
    for folder, corpus in zip((config.data.train, config.data.held_out), corpora, strict=True):
        if not corpus:
            raise InputError(f"{folder}: holds no speech", "Make it with the speech step of scripts.make_mini.")
    training, held_out = (SegmentSamples(corpus, extractor, config.seed + i) for i, corpus in enumerate(corpora))
    fixed = default_collate([held_out[number] for number in range(FIXED_SEGMENTS)])
    return AudioTask(config, encoder, extractor, training, fixed)
