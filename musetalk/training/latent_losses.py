"""Losses between painted and true latents, and between what is decoded of them: pure functions."""

from __future__ import annotations

import torch
from torch.nn import functional as F

SCALES, SOFTNESS = 3, 0.02
"""Of pyramid_distance: sizes of the images, and where its smooth L1 turns from square to straight."""
LEAST_MOTION = 0.02
"""Mean square of how far a reference's latents lie from the true ones, below which they are much the same mouth."""


def latent_loss(
    predicted: torch.Tensor, target: torch.Tensor, reference: torch.Tensor, shares: torch.Tensor
) -> torch.Tensor:
    """Weighted L1 between latents.

    Args:
        predicted, target, reference: (n, c, h, w) float32.
        shares: (n, 1, h, w) weights of the cells, see `mouth.mouth_weights`.
    """
    return ((predicted - target).abs() * shares).sum() / (shares.sum() * predicted.shape[1])


def latent_detail_loss(
    predicted: torch.Tensor, target: torch.Tensor, reference: torch.Tensor, shares: torch.Tensor
) -> torch.Tensor:
    """`latent_loss` of the strength of detail: the local deviation (3×3) of what a 3×3 mean takes away."""
    return latent_loss(_detail_strength(predicted), _detail_strength(target), reference, shares)


def copying_loss(
    predicted: torch.Tensor, target: torch.Tensor, reference: torch.Tensor, shares: torch.Tensor
) -> torch.Tensor:
    """How far each sample lies on the way from the truth back to its reference, a share of that way, squared; the mean.

    Of an error of the same size, the part that shows the reference's mouth is what one sees. Arguments as of
    `latent_loss`.
    """
    way, error = reference - target, predicted - target
    cells = shares.sum(dim=(1, 2, 3)) * predicted.shape[1]
    length = (way.square() * shares).sum(dim=(1, 2, 3)) + LEAST_MOTION * cells
    return ((way * error * shares).sum(dim=(1, 2, 3)) / length).square().mean()


def pyramid_distance(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean distance of images (n, c, h, w) in [-1, 1] at full, half and quarter size: smooth L1 (Charbonnier, 0.02)."""
    total = predicted.new_zeros(())
    for scale in range(SCALES):
        if scale:
            predicted, target = F.avg_pool2d(predicted, 2), F.avg_pool2d(target, 2)
        total = total + ((predicted - target).square() + SOFTNESS**2).sqrt().mean() - SOFTNESS
    return total / SCALES


def _detail_strength(latents: torch.Tensor) -> torch.Tensor:
    detail = latents - _local_mean(latents)
    return (_local_mean(detail.square()) + 1e-4).sqrt()  # 1e-4: the root is steep at 0


def _local_mean(latents: torch.Tensor) -> torch.Tensor:
    return F.avg_pool2d(F.pad(latents, (1, 1, 1, 1), mode="replicate"), 3, stride=1)


LATENT_LOSSES = {"latent_loss": latent_loss, "latent_detail_loss": latent_detail_loss, "copying_loss": copying_loss}
"""Losses that need no decoding: of predicted, true and reference latents and the cells' weights."""
