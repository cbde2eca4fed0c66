"""The VAE's decoder as a network that learns: it is to show what the UNet paints, as sharply as that can be known."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from musetalk.models.vae import Vae, to_unit_range
from musetalk.training.image_losses import detail_loss, image_pyramid_loss
from musetalk.training.picture_crops import procedural_picture

LATENT_NOISE = 0.05
"""Deviation of what is added to unscaled latents: the UNet's prediction is never exact, and a decoder forgives it."""
DETAIL_WEIGHT = 3.0
"""Of the strength of detail, beside the distance of the pictures."""


def freeze_encoder(network: Any) -> Any:
    """An autoencoder of which only the decoder learns, so that what was trained on its latents still fits."""
    network.requires_grad_(False)
    network.decoder.requires_grad_(True)
    return network


class LearningDecoder(nn.Module):
    """Scaled latents (n, c, h/8, w/8) → RGB (n, 3, h, w), about [-1, 1]; only the decoder of the VAE learns.

    Args:
        vae: Its encoder is frozen, so that latents stay what they are.
        pieces_of: Images a pass.
        recompute: Keep nothing of a pass for the backward one, but do it again.
    """

    def __init__(self, vae: Vae, pieces_of: int, recompute: bool) -> None:
        super().__init__()
        self.network = freeze_encoder(vae.network)
        self._vae, self._pieces_of, self._recompute = vae, pieces_of, recompute

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        return self._vae.decode_for_loss(latents, self._pieces_of, self._recompute)


def reconstruction_loss(
    decoder: nn.Module, latents: torch.Tensor, images: torch.Tensor, scaling_factor: float
) -> torch.Tensor:
    """How far what is decoded of an encoder's latents, disturbed a little, lies from what was encoded.

    Args:
        decoder: A `LearningDecoder`, or what wraps it.
        latents: (n, c, h/8, w/8), scaled.
        images: (n, 3, h, w) RGB in [-1, 1].
        scaling_factor: Of the latents.
    """
    shown = decoder(latents + LATENT_NOISE * scaling_factor * torch.randn_like(latents)).float()
    return image_pyramid_loss(shown, images) + DETAIL_WEIGHT * detail_loss(shown, images)


def procedural_pictures(count: int, size: int, seed: int, device: torch.device) -> torch.Tensor:
    """Pictures (count, 3, size, size) RGB in [-1, 1] of what no face shows and is not to be forgotten.

    Args:
        seed: They are a function of it.
    """
    rng = np.random.default_rng(seed)
    return to_unit_range(np.stack([procedural_picture(size, rng) for _ in range(count)]), device)
