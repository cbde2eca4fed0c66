"""A small audio encoder learns to hear the mouth in synthetic speech, with the reader that tells a UNet of it.

Both are then frozen. There can be hours of speech where there are minutes of pictures, and a UNet left to find the
sound by itself learns to copy the reference's mouth first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import nn
from torch.nn import functional as F
from torch.utils.data import default_collate

from musetalk.audio.windows import (
    DEFAULT_PADDING,
    SAMPLE_RATE,
    STEPS_PER_SECOND,
    window_length,
    window_start,
)
from musetalk.errors import ConfigError, InputError
from musetalk.models.audio_encoder import build_audio_encoder
from musetalk.models.config_file import read_network_config
from musetalk.models.mouth_reader import MouthReader
from musetalk.models.mouth_unet import MouthUnet
from musetalk.models.unet import build_unet
from musetalk.schema import setting
from musetalk.synthetic.mouth_channels import GAP_WEIGHTS, SPREAD, WIDTH_WEIGHTS
from musetalk.synthetic.recording import augment, empty_room, with_hiss
from musetalk.synthetic.speech_corpus import Speech, read_speech
from musetalk.synthetic.visemes import rest_pose
from musetalk.training.clip_meta import FPS
from musetalk.training.config import RunConfig
from musetalk.training.export import export_pretrained
from musetalk.training.files import write_whole
from musetalk.training.mel_augmentation import augment_mel
from musetalk.training.task import Pass, Validation

SEGMENT_SECONDS = 30  # published: what the Whisper encoder takes at once
TRAILING_FRAMES = 12  # the end of the sound is also the end of the mouth's movement
FIXED_SEGMENTS = 4
PER_FRAME = SAMPLE_RATE // int(FPS)
SILENCE_SHARE, SILENCE_FRAMES = 0.2, (12, 125)
"""Share of the pieces of a segment that are silence, and their lengths: closed lips, whatever else is heard."""
HISS_SHARE = 0.7
EMPTY_SHARE = 0.08
"""Share of the segments in which nobody speaks: the front end scales a segment by its loudest moment, so that a hiss
that is all there is does not look like one beside speech."""
STEPS_PER_FRAME = STEPS_PER_SECOND // int(FPS)
READER_FILE = "mouth_reader.safetensors"
MOST_SPREAD = 1.5
"""Most that an exported reader's channel is widened by: one that is hardly heard would else be widened noise."""
GAP_SPREAD, WIDTH_SPREAD = 0.35, 0.35
"""About how far the sums of channels that part and widen the lips vary in speech."""


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
        unet_config: Configuration of the UNet whose mouth reader is trained.
    """

    network: Path = Path("configs/training/networks/mini_audio_encoder.json")
    unet_config: Path = Path("configs/training/networks/mini_unet.json")
    data: AudioDataConfig = field(default_factory=AudioDataConfig)


class Listener(nn.Module):
    """The encoder and the reader of its windows: sound in, the mouth of every frame out."""

    def __init__(self, encoder: Any, reader: MouthReader) -> None:
        super().__init__()
        self.encoder, self.reader = encoder, reader

    def forward(self, mel: torch.Tensor, heard: torch.Tensor) -> torch.Tensor:
        """Mouths (n, frames, C) at 25 fps, as the windows that inference makes give them.

        Args:
            mel: (n, 80, 2 · steps).
            heard: (n, steps): 1 for the steps that hold sound, 0 beyond it.
        """
        states = torch.stack(self.encoder(mel, output_hidden_states=True).hidden_states, dim=2)
        before = -window_start(0, FPS, DEFAULT_PADDING)
        return self.reader.slide(states * heard[:, :, None, None], before, STEPS_PER_FRAME)


class SegmentSamples:
    """Random 30 s of augmented speech and its mouths, a function of the number.

    Args:
        corpus: Utterances.
        extractor: Log-mel front end.
        seed: Other seeds give other segments.
        other_voices: Whether segments are heard with other voices, see `mel_augmentation.augment_mel`.

    `mel` (80, 3000), `heard` (1500,): 1 for the steps that hold sound; `mouths` (750, C), each channel in its SPREAD,
    and `mask` (750,): 1 for the frames that count.
    """

    def __init__(self, corpus: list[Speech], extractor: Any, seed: int, other_voices: bool = False) -> None:
        self.corpus, self.extractor, self.seed, self.other_voices = corpus, extractor, seed, other_voices

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng((self.seed, number))
        audio, curves = self._segment(rng)
        frames, spoken = SEGMENT_SECONDS * int(FPS), len(curves)
        mouths = np.zeros((frames, curves.shape[1]), np.float32)
        mouths[:spoken] = curves / SPREAD
        mel = self.extractor(audio, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features[0]
        if self.other_voices:
            mel = augment_mel(mel, rng)
        return {
            "mel": mel,
            "heard": (torch.arange(frames * STEPS_PER_FRAME) < spoken * STEPS_PER_FRAME).float(),
            "mouths": torch.from_numpy(mouths),
            "mask": (torch.arange(frames) < spoken + TRAILING_FRAMES).float(),
        }

    def _segment(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Samples, and the curves of all their frames."""
        longest = SEGMENT_SECONDS * int(FPS)
        wanted = longest if rng.random() < 0.6 else int(rng.integers(50, longest))
        if rng.random() < EMPTY_SHARE:
            return empty_room(wanted * PER_FRAME, rng), np.tile(rest_pose(), (wanted, 1))
        pieces, length = [], 0
        while length < wanted:
            if rng.random() < SILENCE_SHARE:
                still = int(rng.integers(*SILENCE_FRAMES))
                pieces.append((np.tile(rest_pose(), (still, 1)), np.zeros(still * PER_FRAME, np.float32)))
                length += still
                continue
            speech = self.corpus[rng.integers(len(self.corpus))]
            first = int(rng.integers(0, len(speech.curves) // 2)) if rng.random() < 0.5 else 0
            curves = speech.curves[first:]
            pieces.append((curves, speech.audio[first * PER_FRAME : (first + len(curves)) * PER_FRAME]))
            length += len(curves)
        curves = np.concatenate([curves for curves, _ in pieces])[:wanted]
        audio = np.concatenate([audio for _, audio in pieces])[: wanted * PER_FRAME]
        heard = augment(audio, rng)
        return with_hiss(heard, rng) if rng.random() < HISS_SHARE else heard, curves


def mouth_loss(predicted: torch.Tensor, mouths: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Masked smooth L1 of mouths (n, t, C), and squared errors of how far they are open and how wide."""
    error = F.smooth_l1_loss(predicted, mouths, reduction="none").mean(dim=2)
    for weights, spread in ((GAP_WEIGHTS, GAP_SPREAD), (WIDTH_WEIGHTS, WIDTH_SPREAD)):
        error = error + 0.25 * ((_sum(predicted, weights) - _sum(mouths, weights)) / spread) ** 2
    return (error * mask).sum() / mask.sum()


def _safetensors(network: nn.Module) -> bytes:
    return save({name: value.detach().float().cpu().contiguous() for name, value in network.state_dict().items()})


def _sum(mouths: torch.Tensor, weights: np.ndarray) -> torch.Tensor:
    return mouths @ torch.from_numpy(weights * SPREAD).to(mouths)


def spread_factors(predicted: torch.Tensor, mouths: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """What brings each channel of predictions to the standard deviation of the true mouths.

    The least error lies nearer to the mean than the truth does, so that mouths read off sound move too little, and
    what is left of the reference's own mouth shows all the more.

    Args:
        predicted, mouths: (n, t, C).
        mask: (n, t), 1 where a mouth counts.

    Returns:
        (C,), in 1 to `MOST_SPREAD`; 1 for a channel that does not move.
    """
    counted = mask.bool()
    heard, true = predicted[counted].std(dim=0), mouths[counted].std(dim=0)
    factors = (true / heard.clamp(min=1e-6)).clamp(1, MOST_SPREAD)
    return torch.where(true > 1e-3, factors, torch.ones_like(factors))


def widened(reader: MouthReader, factors: torch.Tensor) -> MouthReader:
    """A copy of a reader that reads each channel times a factor, (C,); a mouth at rest, zero, stays so."""
    copy = deepcopy(reader)
    with torch.no_grad():
        copy.mouth.weight.mul_(factors.to(copy.mouth.weight)[:, None])
        copy.mouth.bias.mul_(factors.to(copy.mouth.bias))
    return copy


class AudioTask:
    """Trains the encoder; see `Task`.

    Args:
        config: Settings.
        listener: Encoder and reader.
        extractor: Its log-mel front end.
        samples: Training segments by number.
        fixed: Held-out segments, a batch.
    """

    def __init__(
        self, config: AudioConfig, listener: Listener, extractor: Any, samples: Any, fixed: Mapping[str, torch.Tensor]
    ) -> None:
        self.networks: dict[str, nn.Module] = {"audio_encoder": listener}
        self.adversaries: dict[str, Any] = {}
        self.architecture: dict[str, Any] = {}
        self.weights = {"mouth_loss": 1.0}
        self.samples, self.fixed, self.extractor = samples, fixed, extractor
        self.batch_size, self.num_workers = config.data.train_bs, config.data.num_workers

    def place(self, device: torch.device, dtype: torch.dtype) -> None:
        """Nothing is frozen here."""

    def forward(self, batch: Mapping[str, torch.Tensor], step: int) -> Pass:
        """The loss of a batch of segments."""
        predicted = self.networks["audio_encoder"](batch["mel"], batch["heard"]).float()
        return Pass({"mouth_loss": mouth_loss(predicted, batch["mouths"], batch["mask"])})

    def validate(self, networks: Mapping[str, nn.Module], step: int) -> Validation:
        """The loss on held-out speech, and the correlation of how open and how wide the mouth is with the truth."""
        predicted, mouths, mask = self._held_out(networks["audio_encoder"])
        values = {"mouth_loss": float(mouth_loss(predicted, mouths, mask))}
        counted = mask.bool()
        for name, weights in (("gap_r", GAP_WEIGHTS), ("width_r", WIDTH_WEIGHTS)):
            pair = torch.stack([_sum(predicted, weights)[counted], _sum(mouths, weights)[counted]])
            values[name] = float(torch.corrcoef(pair)[0, 1])
        return Validation(values)

    def export(self, networks: Mapping[str, nn.Module], folder: Path) -> None:
        """The folder that --whisper_dir takes (config.json, preprocessor_config.json, model.safetensors), and beside
        it mouth_reader.safetensors, the stages' init_mouth_reader, widened by `spread_factors` of held-out speech."""
        listener: Any = networks["audio_encoder"]
        target = folder / "audio_encoder"
        export_pretrained(listener.encoder, target, listener.encoder.config.to_dict(), "model.safetensors")
        with torch.no_grad():
            factors = spread_factors(*self._held_out(listener))
        front = json.loads(self.extractor.to_json_string())
        write_whole(target / "preprocessor_config.json", json.dumps(front, indent=2).encode())
        write_whole(folder / READER_FILE, _safetensors(widened(listener.reader, factors)))

    def _held_out(self, listener: nn.Module) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What is read off held-out speech (n, t, C), the true mouths, and the mask (n, t)."""
        device = next(listener.parameters()).device
        mel, heard, mouths, mask = (self.fixed[name].to(device) for name in ("mel", "heard", "mouths", "mask"))
        return listener(mel, heard).float(), mouths, mask

    def warnings(self) -> list[str]:
        return []


def build_audio_task(config: AudioConfig, accelerator: Any, say: Callable[[str], None]) -> AudioTask:
    """The task of a settings file.

    Raises:
        InputError: A folder holds no speech.
        ConfigError: The UNet has no mouth reader, or not one for this encoder.
    """
    from transformers import WhisperFeatureExtractor

    encoder = build_audio_encoder(read_network_config(config.network), config.network)
    unet = build_unet(read_network_config(config.unet_config), config.unet_config)
    if not isinstance(unet, MouthUnet):
        raise ConfigError(f"unet_config: {config.unet_config} has no mouth_reader", "Name the file of one that has.")
    tokens = window_length() * (encoder.config.encoder_layers + 1)
    if (unet.config.mouth_reader["window_tokens"], unet.config.cross_attention_dim) != (tokens, encoder.config.d_model):
        raise ConfigError(
            f"{config.unet_config}: not made for windows of {tokens} tokens of width {encoder.config.d_model}",
            f"Change its mouth_reader and cross_attention_dim, or {config.network}.",
        )
    extractor = WhisperFeatureExtractor()
    corpora = [read_speech(folder) for folder in (config.data.train, config.data.held_out)]
    for folder, corpus in zip((config.data.train, config.data.held_out), corpora, strict=True):
        if not corpus:
            raise InputError(f"{folder}: holds no speech", "Make it with the speech step of scripts.make_mini.")
    training = SegmentSamples(corpora[0], extractor, config.seed, other_voices=True)
    held_out = SegmentSamples(corpora[1], extractor, config.seed + 1)
    fixed = default_collate([held_out[number] for number in range(FIXED_SEGMENTS)])
    return AudioTask(config, Listener(encoder, unet.reader), extractor, training, fixed)
