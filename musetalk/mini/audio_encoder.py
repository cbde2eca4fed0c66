"""The bundled model's audio encoder: Whisper's shape, trained to read mouth curves from synthetic speech, then frozen.

A UNet left to find the sound by itself learns to copy the reference's mouth first; an encoder whose states already
hold the mouth leaves it little to find.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from musetalk.mini.corpus import SAMPLE_RATE, STEP_RATE
from musetalk.mini.loop import train
from musetalk.synthetic.speech import augment
from musetalk.synthetic.speech_corpus import Speech
from musetalk.synthetic.visemes import CHANNELS

SEGMENT_SECONDS = 30
WIDTH = 128


def build() -> nn.Module:
    """transformers' WhisperEncoder: 4 layers of width 128, so 5 states of 128 a step."""
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    config = WhisperConfig(
        d_model=WIDTH,
        encoder_layers=4,
        encoder_attention_heads=4,
        encoder_ffn_dim=512,
        decoder_layers=1,
        decoder_attention_heads=4,
        decoder_ffn_dim=512,
        num_mel_bins=80,
        vocab_size=16,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        max_source_positions=SEGMENT_SECONDS * STEP_RATE,
        dropout=0.0,
    )
    return WhisperEncoder(config)


class CurveReader(nn.Module):
    """The encoder with a linear read-out of the mouth curves, (n, 80, 3000) → (n, 1500, C)."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.readout = nn.Linear(WIDTH, len(CHANNELS))

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        return self.readout(self.encoder(mel).last_hidden_state)


class SegmentSampler:
    """Random 30 s of augmented speech and its curves.

    Returns mel (n, 80, 3000), curves (n, 1500, C) and a mask (n, 1500) of the steps that hold sound.
    """

    def __init__(self, corpus: list[Speech], batch: int) -> None:
        from transformers import WhisperFeatureExtractor

        self.corpus, self.batch = corpus, batch
        self.extractor = WhisperFeatureExtractor()

    def __call__(self, step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng((11, step))
        audio, curves, mask = zip(*(self._segment(rng) for _ in range(self.batch)), strict=True)
        mel = self.extractor(list(audio), sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
        return mel, torch.from_numpy(np.stack(curves)), torch.from_numpy(np.stack(mask))

    def _segment(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        steps = SEGMENT_SECONDS * STEP_RATE
        per_step = SAMPLE_RATE // STEP_RATE
        wanted = steps if rng.random() < 0.6 else int(rng.integers(100, steps))
        audio = np.zeros(0, np.float32)
        curves = np.zeros((0, len(CHANNELS)), np.float32)
        while len(curves) < wanted:
            speech = self.corpus[rng.integers(len(self.corpus))]
            first = int(rng.integers(0, len(speech.step_curves) // 2)) if rng.random() < 0.5 else 0
            piece = speech.step_curves[first:]
            curves = np.vstack([curves, piece])
            audio = np.concatenate([audio, speech.audio[first * per_step : (first + len(piece)) * per_step]])
        curves, audio = curves[:wanted], audio[: wanted * per_step]
        audio = augment(audio, rng)
        padded = np.zeros((steps, curves.shape[1]), np.float32)
        padded[:wanted] = curves
        mask = np.zeros(steps, np.float32)
        mask[: min(steps, wanted + 25)] = 1  # the end of the sound is also the end of the mouth's movement
        return audio.astype(np.float32), padded, mask


def curve_loss(predicted: torch.Tensor, curves: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Masked smooth L1 of the curves and of their change from step to step."""
    error = F.smooth_l1_loss(predicted, curves, beta=0.05, reduction="none").mean(dim=2)
    moved = F.smooth_l1_loss(predicted.diff(dim=1), curves.diff(dim=1), beta=0.05, reduction="none").mean(dim=2)
    return (error * mask).sum() / mask.sum() + 2 * (moved * mask[:, 1:]).sum() / mask.sum()


def fit(
    corpus: list[Speech],
    held_out: list[Speech],
    checkpoint: Path,
    *,
    steps: int,
    batch: int = 3,
    rate: float = 1e-3,
) -> CurveReader:
    """Train the encoder on `corpus`; the jaw's correlation with the truth is measured on `held_out`."""
    reader = CurveReader(build())
    sample, check = SegmentSampler(corpus, batch), SegmentSampler(held_out, 4)
    fixed = check(10**6)
    jaw = CHANNELS.index("jawOpen")

    def loss_of(step: int) -> dict[str, torch.Tensor]:
        mel, curves, mask = sample(step)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            predicted = reader(mel)
        return {"loss": curve_loss(predicted.float(), curves, mask)}

    def evaluate() -> dict[str, float]:
        mel, curves, mask = fixed
        with torch.inference_mode():
            predicted = reader(mel)
        keep = mask.bool()
        pair = torch.stack([predicted[keep][:, jaw], curves[keep][:, jaw]])
        return {"held_out": float(curve_loss(predicted, curves, mask)), "jaw_r": float(torch.corrcoef(pair)[0, 1])}

    trained = train(reader, loss_of, steps=steps, rate=rate, checkpoint=checkpoint, average=0.995, evaluate=evaluate)
    assert isinstance(trained, CurveReader)
    return trained
