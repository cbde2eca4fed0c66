"""The perceptual loss: how far two images are apart in the eyes of VGG19, at several scales."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from musetalk.models.vgg import FEATURE_LAYERS, IMAGE_SIZE, VGG19
from musetalk.training.pyramid import ImagePyramid

SCALES = (1.0, 0.5, 0.25, 0.125)
"""Published."""


class PerceptualLoss(nn.Module):
    """Mean absolute difference of the features, averaged over layers and summed over scales.

    `forward` takes predicted and target images, (n, 3, h, w) RGB in [-1, 1], and returns a scalar, float32. Gradients
    reach the predicted images only.

    Args:
        network: VGG19; it is frozen here.
        scales: Scales of the pyramid.
        layer_weights: Of the five features; the average is over their number, not over their weights (published).
        image_size: What images are scaled to first, square.
        gradient_checkpointing: Trade time for memory.
    """

    def __init__(
        self,
        network: VGG19,
        scales: Sequence[float] = SCALES,
        layer_weights: Sequence[float] = (1.0,) * len(FEATURE_LAYERS),
        image_size: int = IMAGE_SIZE,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.network.gradient_checkpointing = gradient_checkpointing
        self.pyramid = ImagePyramid(scales)
        self.layer_weights = tuple(layer_weights)
        self.image_size = image_size

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        distances = self.distances(predicted, target)
        weights = torch.tensor(self.layer_weights, device=distances.device)
        return (distances * weights).mean(1).sum()

    def distances(self, predicted: Tensor, target: Tensor) -> Tensor:
        """(scales, layers) float32 mean absolute differences of the features, unweighted."""
        ours = self._pyramid_of(predicted)
        with torch.no_grad():
            theirs = self._pyramid_of(target)
        return torch.stack([self._distances(ours[scale], theirs[scale]) for scale in self.pyramid.scales])

    def _pyramid_of(self, images: Tensor) -> dict[float, Tensor]:
        return self.pyramid(scaled_to(images, self.image_size))

    def _distances(self, predicted: Tensor, target: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self.network(target)
        found = self.network(predicted)
        return torch.stack([mean_difference(ours, theirs) for ours, theirs in zip(found, wanted, strict=True)])


def scaled_to(images: Tensor, size: int) -> Tensor:
    """(n, c, h, w) → (n, c, size, size), bilinear."""
    if images.shape[-2:] == (size, size):
        return images
    return F.interpolate(images, (size, size), mode="bilinear", align_corners=False)


def mean_difference(ours: Tensor, theirs: Tensor) -> Tensor:
    """Mean absolute difference, a float32 scalar, whatever the dtype of the tensors."""
    return (ours.float() - theirs.float()).abs().mean()
