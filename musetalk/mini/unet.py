"""The bundled model's UNet: paints the lower half of a face from its upper half, a reference and the sound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from musetalk.mini.latents import PairSet, frame_window, mouth_weight
from musetalk.mini.loop import train
from musetalk.models.positional_encoding import add_positional_encoding

CHANNELS = (64, 96, 128, 128)


def build(latent_channels: int, audio_width: int) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=32,
        in_channels=2 * latent_channels,
        out_channels=latent_channels,
        block_out_channels=CHANNELS,
        layers_per_block=1,
        cross_attention_dim=audio_width,
        attention_head_dim=4,  # diffusers reads this as the number of heads
        norm_num_groups=16,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    )


class PairSampler:
    """Pairs of one scene: masked and reference from one mouth, target and sound from another.

    Returns the UNet's input (n, 2c, h, w), the target (n, c, h, w), tokens (n, 50, D), both lip boxes (n, 2, 4).
    """

    def __init__(self, pairs: PairSet, states: list[list[np.ndarray]], batch: int, scale: float, seed: int) -> None:
        self.pairs, self.states, self.batch, self.scale, self.seed = pairs, states, batch, scale, seed

    def __call__(self, step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, np.ndarray]:
        rng = np.random.default_rng((self.seed, step))
        inputs, targets, tokens, lips = [], [], [], []
        for _ in range(self.batch):
            scene = int(rng.integers(len(self.pairs)))
            origins = self.pairs.origins[scene]
            target = int(rng.choice(np.flatnonzero(origins[:, 0] >= 0)))
            # The crop was cut around mouth 0, as inference cuts around the source's mouth.
            source = 0 if rng.random() < 0.5 else int(rng.integers(len(origins)))
            latents = self.pairs.latents[scene]
            utterance, frame = origins[target]
            variant = self.states[int(rng.integers(len(self.states)))]
            inputs.append(latents[source].reshape(-1, *latents.shape[3:]))
            targets.append(latents[target, 1])
            tokens.append(frame_window(variant[utterance], int(frame)))
            lips.append(self.pairs.lips[scene][[source, target]])
        stacked = [torch.from_numpy(np.stack(arrays)).float() for arrays in (inputs, targets, tokens)]
        return stacked[0] * self.scale, stacked[1] * self.scale, stacked[2], np.stack(lips)


def weighted_l1(predicted: torch.Tensor, target: torch.Tensor, lips: np.ndarray) -> torch.Tensor:
    """L1 weighted towards both mouths, the one to remove and the one to paint."""
    size = target.shape[-1]
    weight = torch.from_numpy(np.maximum(mouth_weight(lips[:, 0], size), mouth_weight(lips[:, 1], size)))
    return ((predicted - target).abs() * weight).sum() / (weight.sum() * target.shape[1])


def fit(
    network: Any,
    training: PairSet,
    held_out: PairSet,
    states: list[list[np.ndarray]],
    held_out_states: list[list[np.ndarray]],
    checkpoint: Path,
    *,
    scale: float,
    steps: int,
    batch: int = 16,
    rate: float = 1e-3,
    run: Callable[..., torch.Tensor] | None = None,
) -> nn.Module:
    """Train in latents; reports the loss on held-out people and utterances beside that of copying the reference.

    `run` calls the network (a compiled one, say); the default calls it as it is.
    """
    from diffusers.models.attention_processor import AttnProcessor

    sample = PairSampler(training, states, batch, scale, 17)
    fixed = PairSampler(held_out, held_out_states, 48, scale, 19)(0)
    encode = add_positional_encoding
    network.to(memory_format=torch.channels_last)
    network.set_attn_processor(AttnProcessor())  # its backward pass is faster on a CPU than that of fused attention

    def default(latents: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return network(latents, 0, tokens).sample

    forward = run or default

    def predict(latents: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return forward(latents.contiguous(memory_format=torch.channels_last), encode(tokens)).float()

    def loss_of(step: int) -> dict[str, torch.Tensor]:
        latents, target, tokens, lips = sample(step)
        return {"loss": weighted_l1(predict(latents, tokens), target, lips)}

    def evaluate() -> dict[str, float]:
        latents, target, tokens, lips = fixed
        with torch.inference_mode():
            own = torch.cat([default(latents[i : i + 16], encode(tokens[i : i + 16])) for i in range(0, 48, 16)])
            others = torch.cat(
                [default(latents[i : i + 16], encode(tokens.roll(1, 0)[i : i + 16])) for i in range(0, 48, 16)]
            )
        channels = target.shape[1]
        return {
            "held_out": float(weighted_l1(own, target, lips)),
            "other_sound": float(weighted_l1(others, target, lips)),
            "copying": float(weighted_l1(latents[:, channels:], target, lips)),
        }

    return train(network, loss_of, steps=steps, rate=rate, checkpoint=checkpoint, average=0.998, evaluate=evaluate)


def scale_of(pairs: PairSet) -> float:
    """Factor that gives the latents unit deviation, as the published 0.18215 does for its VAE."""
    sample = pairs.latents[:: max(1, len(pairs) // 100), :, 1].astype(np.float32)
    return float(1 / sample.std())


