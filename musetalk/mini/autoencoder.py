"""The bundled model's VAE: a small AutoencoderTiny trained on renders and on images with natural statistics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from musetalk.mini.loop import train

CONFIG = {
    "in_channels": 3,
    "out_channels": 3,
    "encoder_block_out_channels": (32, 32, 32, 32),
    "decoder_block_out_channels": (32, 32, 32, 32),
    "num_encoder_blocks": (1, 2, 3, 3),
    "num_decoder_blocks": (3, 3, 3, 1),
    "latent_channels": 8,
    "act_fn": "relu",
    "upsample_fn": "nearest",
}
CROP = 128
HELD_OUT = 32
"""Faces at the end of the list that only measure."""
COLOR_SCALE = 1.5
"""Three latent channels are pulled towards the mean colour of their 8×8 pixels, times this."""
LIFT = 1.6
"""Added to those channels inside the decoder, so that its ReLUs let them pass."""


def build() -> Any:
    from diffusers import AutoencoderTiny

    network: Any = AutoencoderTiny(**CONFIG)
    lay_color_path(network.decoder, torch.eye(3), channels=(0, 1, 2))
    return network


@torch.no_grad()
def lay_color_path(decoder: Any, projection: torch.Tensor, channels: tuple[int, int, int]) -> None:
    """Let three feature channels carry the colour latents unchanged to the last convolution.

    Left to find it, so small a network without normalisation stays for thousands of steps with brightness and one
    axis of colour, and faces turn grey-brown.

    Args:
        projection: (3, 3), the part of RGB that is added to the picture in this way.
        channels: The feature channels to use.
    """
    from diffusers.models.autoencoders.vae import AutoencoderTinyBlock

    chosen = list(channels)
    layers = list(decoder.layers)
    convolutions: list[Any] = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    first, last = convolutions[0], convolutions[-1]
    for layer in layers:
        if isinstance(layer, AutoencoderTinyBlock):  # its shortcut is the path
            layer.conv[-1].weight[chosen] = 0
            layer.conv[-1].bias[chosen] = 0
        elif isinstance(layer, nn.Conv2d) and layer is not last:
            layer.weight[chosen] = 0
            sources = (0, 1, 2) if layer is first else channels
            for target, source in zip(channels, sources, strict=True):
                layer.weight[target, source, 1, 1] = 1
    first.bias[chosen] = LIFT
    gain = 0.5 / (COLOR_SCALE * 0.95)  # half: the decoder paints in 0…1; 0.95: its tanh bends large latents
    last.weight[:, chosen] = 0
    last.weight[:, chosen, 1, 1] = gain * projection
    if torch.equal(projection, torch.eye(3)):
        last.bias.fill_(0.5)
    last.bias -= gain * LIFT * projection.sum(dim=1)


def image_pyramid_loss(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """L1 of the images from full to 1/16 size, and of their gradients down to ¼; (n, 3, h, w) in [-1, 1].

    The small sizes keep the colours: edges alone are content with grey ones.
    """
    total = predicted.new_zeros(())
    for scale in range(5):
        if scale:
            predicted, target = F.avg_pool2d(predicted, 2), F.avg_pool2d(target, 2)
        total = total + F.l1_loss(predicted, target)
        if scale < 3:
            for axis in (2, 3):
                total = total + F.l1_loss(predicted.diff(dim=axis), target.diff(dim=axis))
    return total / 3


class CropSampler:
    """Random 128-pixel crops, (n, 3, 128, 128) float32 RGB in [-1, 1]: faces, and procedural images for the rest.

    Args:
        faces: (n, 256, 256, 3) BGR uint8, memory-mapped or not.
        leaves: (m, s, s, 3) BGR uint8.
    """

    def __init__(self, faces: np.ndarray, leaves: np.ndarray, batch: int, leaf_share: float = 0.25) -> None:
        self.faces, self.leaves, self.batch, self.leaf_share = faces, leaves, batch, leaf_share

    def __call__(self, step: int) -> torch.Tensor:
        rng = np.random.default_rng((7, step))
        return torch.from_numpy(np.stack([self._crop(rng) for _ in range(self.batch)]))

    def _crop(self, rng: np.random.Generator) -> np.ndarray:
        source = self.leaves if rng.random() < self.leaf_share else self.faces
        image = source[rng.integers(len(source))]
        span = int(CROP * rng.uniform(0.75, 1.5))
        span = min(span, image.shape[0])
        if source is self.faces and rng.random() < 0.5:  # the lower half is what will be painted
            y = rng.integers(max(0, 150 - span // 2), image.shape[0] - span + 1)
            x = rng.integers(0, image.shape[1] - span + 1)
        else:
            y, x = rng.integers(0, image.shape[0] - span + 1, 2)
        crop = image[y : y + span, x : x + span]
        crop = cv2.resize(crop, (CROP, CROP), interpolation=cv2.INTER_AREA if span > CROP else cv2.INTER_CUBIC)
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        pixels = crop[..., ::-1].astype(np.float32) / 127.5 - 1
        if rng.random() < 0.6:  # other colours than the renderer's
            mean = pixels.mean(axis=2, keepdims=True)
            pixels = mean + (pixels - mean) * rng.uniform(0.3, 1.6)
            pixels = np.clip(pixels * rng.uniform(0.6, 1.25, 3) + rng.uniform(-0.3, 0.3, 3), -1, 1)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32)


def fit(
    network: Any,
    faces: np.ndarray,
    leaves: np.ndarray,
    checkpoint: Path,
    *,
    steps: int,
    batch: int = 12,
    rate: float = 2e-3,
) -> nn.Module:
    """Train the autoencoder; see `train` for resuming."""
    sample = CropSampler(faces[:-HELD_OUT], leaves, batch)
    measured = np.ascontiguousarray(faces[-HELD_OUT:, :, :, ::-1])
    held_out = torch.from_numpy(measured).permute(0, 3, 1, 2).float() / 127.5 - 1
    network.to(memory_format=torch.channels_last)

    def loss_of(step: int) -> dict[str, torch.Tensor]:
        images = sample(step).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            latents = network.encode(images).latents
            # The UNet's prediction is never exact: the decoder must forgive small errors.
            decoded = network.decode(latents + 0.05 * torch.randn_like(latents)).sample
        image_loss = image_pyramid_loss(decoded.float(), images)
        bounded = F.relu(latents.float().abs() - 2.5).square().mean()
        color = F.l1_loss(latents[:, :3].float(), COLOR_SCALE * F.avg_pool2d(images, 8))
        return {"loss": image_loss + color + 0.1 * bounded, "image": image_loss, "color": color}

    def evaluate() -> dict[str, float]:
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            decoded = network.decode(network.encode(held_out).latents).sample.float().clamp(-1, 1)
        error = (decoded - held_out).square()
        mouth = error[:, :, 150:230, 70:186].mean()
        return {"psnr": float(10 * torch.log10(4 / error.mean())), "mouth_psnr": float(10 * torch.log10(4 / mouth))}

    return train(
        network,
        loss_of,
        steps=steps,
        rate=rate,
        checkpoint=checkpoint,
        average=0.995,
        evaluate=evaluate,
        weight_decay=0.0,
    )
