"""Reads the mouth off a picture of it, whatever its light and contrast; in training alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (32, 48, 64, 96)
"""Channels at half the picture's size, and each time half of that."""
LEAST_CONTRAST = 0.03
"""Standard deviation of a picture in [-1, 1] below which it is not stretched further."""
CELLS = (6, 11)
"""Rows and columns that are left for the last layers: mouths are wide."""
HIDDEN = 128


@dataclass(frozen=True)
class LipReading:
    """What is read.

    Attributes:
        features: Maps (n, c, h, w) of the middle levels: edges of lips and teeth, not yet what they mean.
        mouths: (n, C).
    """

    features: list[Tensor]
    mouths: Tensor


class LipReader(nn.Module):
    """A small convolutional network.

    Pictures are brought to one mean and one contrast first, so that pale lips count as much as red ones.

    Args:
        channels: Numbers of a mouth, C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        before = (3, *WIDTHS[:-1])
        self.levels = nn.ModuleList(
            _level(wide_in, wide, 1 if index == 0 else 2)
            for index, (wide_in, wide) in enumerate(zip(before, WIDTHS, strict=True))
        )
        self.hidden = nn.Linear(WIDTHS[-1] * CELLS[0] * CELLS[1], HIDDEN)
        self.dropout = nn.Dropout(0.1)
        self.mouth = nn.Linear(HIDDEN, channels)

    def forward(self, images: Tensor) -> LipReading:
        """Mouths in images (n, 3, h, w) RGB in [-1, 1], h and w at least 16."""
        small = F.avg_pool2d(images, 2)
        mean, contrast = small.mean((1, 2, 3), keepdim=True), small.std((1, 2, 3), keepdim=True)
        x = ((small - mean) / (contrast + LEAST_CONTRAST)).contiguous(memory_format=torch.channels_last)
        maps = []
        for level in self.levels:
            x = level(x)
            maps.append(x)
        flat = F.adaptive_avg_pool2d(x, CELLS).flatten(1)
        return LipReading(maps[1:-1], self.mouth(F.silu(self.hidden(self.dropout(flat)))))


def _level(channels_in: int, channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, 3, stride, 1),
        nn.GroupNorm(8, channels),
        nn.SiLU(),
        nn.Conv2d(channels, channels, 3, 1, 1),
        nn.GroupNorm(8, channels),
        nn.SiLU(),
    )
