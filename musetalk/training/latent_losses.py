"""Losses between painted and true latents, and between what is decoded of them: pure functions."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from musetalk.training.image_losses import detail_loss

SCALES, SOFTNESS = 3, 0.02
"""Of pyramid_distance: sizes of the images, and where its smooth L1 turns from square to straight."""
SSIM_WINDOW = 7
"""Pixels of a side of the windows of structural_distance (Wang et al. 2004: 7 or 8 where they are flat)."""
SSIM_MEAN, SSIM_CONTRAST = 0.01**2, 0.03**2
"""Its constants for brightness in a range of 1 (Wang et al. 2004)."""
LUMA = (0.299, 0.587, 0.114)
"""Of red, green and blue (ITU-R BT.601)."""
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


def structural_distance(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """One less the structural similarity (SSIM) of the brightness of RGB images (n, 3, h, w) in [-1, 1]; the mean.

    Where a picture has little contrast, as pale lips have, it asks for that little all the same.
    """
    a, b = (_brightness(images) for images in (predicted, target))
    mean_a, mean_b = _window_mean(a), _window_mean(b)
    spread_a, spread_b = (_window_mean(x * x) - mean * mean for x, mean in ((a, mean_a), (b, mean_b)))
    together = _window_mean(a * b) - mean_a * mean_b
    light = (2 * mean_a * mean_b + SSIM_MEAN) / (mean_a * mean_a + mean_b * mean_b + SSIM_MEAN)
    structure = (2 * together + SSIM_CONTRAST) / (spread_a + spread_b + SSIM_CONTRAST)
    return 1 - (light * structure).mean()


def _brightness(images: torch.Tensor) -> torch.Tensor:
    weights = torch.tensor(LUMA, dtype=images.dtype, device=images.device)
    return (images * weights[:, None, None]).sum(dim=1, keepdim=True) / 2 + 0.5


def _window_mean(images: torch.Tensor) -> torch.Tensor:
    return F.avg_pool2d(images, SSIM_WINDOW, stride=1)


def _detail_strength(latents: torch.Tensor) -> torch.Tensor:
    detail = latents - _local_mean(latents)
    return (_local_mean(detail.square()) + 1e-4).sqrt()  # 1e-4: the root is steep at 0


def _local_mean(latents: torch.Tensor) -> torch.Tensor:
    return F.avg_pool2d(F.pad(latents, (1, 1, 1, 1), mode="replicate"), 3, stride=1)


LATENT_LOSSES = {"latent_loss": latent_loss, "latent_detail_loss": latent_detail_loss, "copying_loss": copying_loss}
"""Losses that need no decoding: of predicted, true and reference latents and the cells' weights."""
DECODED_LOSSES = {
    "decoded_mouth_loss": pyramid_distance,
    "mouth_ssim_loss": structural_distance,
    "mouth_detail_loss": detail_loss,
}
"""Losses of decoded mouths, painted and true."""
