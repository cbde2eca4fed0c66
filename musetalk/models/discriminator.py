"""Discriminator of image patches at several scales, with spectral and instance norm.

As the published system has it from the first-order motion model (Siarohin et al. 2019, arXiv 2003.00196); the keys of
its state dict are those of `torch.nn.utils.spectral_norm`: `weight_orig`, `weight_u`, `weight_v`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KERNEL = 4
SLOPE = 0.2
FIRST_ITERATIONS = 15
CHANNELS = (64, 128, 256, 512)
"""Published: block_expansion 32 and max_features 512 over 4 blocks."""


@dataclass(frozen=True)
class Judgement:
    """What a discriminator finds in images at one scale.

    Attributes:
        features: Map of every block, shallow to deep.
        score: (n, 1, h, w): one number a patch; 1 for real.
    """

    features: list[Tensor]
    score: Tensor


class SpectralConv2d(nn.Conv2d):
    """A convolution whose weight is divided by its largest singular value.

    In training mode every pass improves the estimate of that value by one step of power iteration (Miyato et al. 2018,
    arXiv 1802.05957). It is computed in float32, also under autocast, where torch's own hook would round it to 8 bits.
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(self, channels_in: int, channels_out: int, kernel_size: int) -> None:
        super().__init__(channels_in, channels_out, kernel_size)
        weight = self._parameters.pop("weight")
        assert weight is not None
        self.weight_orig = weight
        rows, columns = weight.shape[0], weight[0].numel()
        self.register_buffer("weight_u", F.normalize(torch.randn(rows), dim=0))
        self.register_buffer("weight_v", F.normalize(torch.randn(columns), dim=0))
        for _ in range(FIRST_ITERATIONS):  # else the first pass in evaluation mode divides by next to nothing
            self._iterate(weight.detach().flatten(1).float())

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            matrix = self.weight_orig.flatten(1).float()
            if self.training:
                self._iterate(matrix.detach())
            # Copies: the backward pass needs these values, and the next forward pass overwrites them.
            u, v = self.weight_u.clone(), self.weight_v.clone()
            weight = self.weight_orig / torch.dot(u, torch.mv(matrix, v))
        return self._conv_forward(x, weight, self.bias)

    @torch.no_grad()
    def _iterate(self, matrix: Tensor) -> None:
        self.weight_v.copy_(F.normalize(torch.mv(matrix.t(), self.weight_u), dim=0, eps=1e-12))
        self.weight_u.copy_(F.normalize(torch.mv(matrix, self.weight_v), dim=0, eps=1e-12))


class DownBlock(nn.Module):
    """Convolution without padding, instance norm, leaky ReLU, and the mean of 2×2."""

    def __init__(self, channels_in: int, channels_out: int, *, norm: bool, spectral: bool, pool: bool) -> None:
        super().__init__()
        self.conv = _convolution(channels_in, channels_out, KERNEL, spectral)
        self.norm = nn.InstanceNorm2d(channels_out, affine=True) if norm else None
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x)
        x = F.leaky_relu(x, SLOPE)
        return F.avg_pool2d(x, 2) if self.pool else x


class PatchDiscriminator(nn.Module):
    """Judges images of one scale."""

    def __init__(self, channels: Sequence[int], image_channels: int, spectral: bool) -> None:
        super().__init__()
        before = (image_channels, *channels[:-1])
        self.down_blocks = nn.ModuleList(
            DownBlock(
                channels_in, channels_out, norm=index > 0, spectral=spectral, pool=index < len(channels) - 1
            )
            for index, (channels_in, channels_out) in enumerate(zip(before, channels, strict=True))
        )
        self.conv = _convolution(channels[-1], 1, 1, spectral)

    def forward(self, images: Tensor) -> Judgement:
        features = []
        x = images
        for block in self.down_blocks:
            x = block(x)
            features.append(x)
        return Judgement(features, self.conv(x))


class Discriminator(nn.Module):
    """One `PatchDiscriminator` for each scale of the image pyramid.

    `forward` takes (n, 3, h, w) images by scale, as `ImagePyramid` gives them, and returns a `Judgement` by scale.

    Args:
        channels: Of the blocks.
        scales: Published: scale 1 only.
        image_channels: Of the images.
        spectral: Whether weights are divided by their largest singular value.
    """

    def __init__(
        self,
        channels: Sequence[int] = CHANNELS,
        scales: Sequence[float] = (1.0,),
        image_channels: int = 3,
        spectral: bool = True,
    ) -> None:
        super().__init__()
        self.scales = tuple(scales)
        self.discs = nn.ModuleDict(
            {scale_name(scale): PatchDiscriminator(channels, image_channels, spectral) for scale in scales}
        )

    def forward(self, pyramid: dict[float, Tensor]) -> dict[float, Judgement]:
        return {scale: self.discs[scale_name(scale)](pyramid[scale]) for scale in self.scales}


def channels_of(block_expansion: int, num_blocks: int, max_features: int) -> tuple[int, ...]:
    """Channels from the published keys of the configuration; (64, 128, 256, 512) for 32, 4, 512."""
    return tuple(min(max_features, block_expansion * 2 ** (index + 1)) for index in range(num_blocks))


def scale_name(scale: float) -> str:
    """Published key of a scale in state dicts: "1", "0-5"."""
    return f"{scale:g}".replace(".", "-")


def _convolution(channels_in: int, channels_out: int, kernel_size: int, spectral: bool) -> nn.Conv2d:
    if spectral:
        return SpectralConv2d(channels_in, channels_out, kernel_size)
    return nn.Conv2d(channels_in, channels_out, kernel_size)
