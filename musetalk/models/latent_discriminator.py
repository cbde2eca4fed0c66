"""Discriminator of latents: nothing has to be decoded for it, and it is small.

Latents of a blurred mouth differ from those of a sharp one in every cell.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from musetalk.models.discriminator import SLOPE, Judgement

WIDTHS = (64, 96, 128)
"""Channels at full size, at half and at a quarter of it."""


class LatentDiscriminator(nn.Module):
    """Judges latents at three depths, each of which looks at cells of twice the size of the one before.

    `forward` takes {1.0: (n, channels, h, w)}, h and w multiples of 4, and returns a `Judgement` by share of that size.

    Args:
        channels: Of the latents and what they are judged beside.
    """

    scales = (1.0,)

    def __init__(self, channels: int) -> None:
        super().__init__()
        before = (channels, *WIDTHS[:-1])
        self.levels = nn.ModuleList(
            _Level(wide_in, wide, 1 if index == 0 else 2)
            for index, (wide_in, wide) in enumerate(zip(before, WIDTHS, strict=True))
        )

    def forward(self, pyramid: dict[float, Tensor]) -> dict[float, Judgement]:
        x, found = pyramid[1.0], {}
        for index, level in enumerate(self.levels):
            x, score = level(x)
            found[0.5**index] = Judgement([x], score)
        return found


class _Level(nn.Module):
    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.enter = spectral_norm(nn.Conv2d(channels_in, channels, 3, stride, 1))
        self.look = spectral_norm(nn.Conv2d(channels, channels, 3, 1, 1))
        self.score = spectral_norm(nn.Conv2d(channels, 1, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = F.leaky_relu(self.enter(x), SLOPE)
        x = F.leaky_relu(x + self.look(x), SLOPE)
        return x, self.score(x)
