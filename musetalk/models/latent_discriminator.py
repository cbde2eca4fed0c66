"""Discriminator of latents: nothing has to be decoded for it, and it is small.

Latents of a blurred mouth differ from those of a sharp one in every cell.
"""

from __future__ import annotations

import torch
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


def mouth_cells(latents: Tensor, boxes: Tensor, image_size: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """The cells around each mouth, (n, c, rows, columns).

    Args:
        latents: (n, c, h, w).
        boxes: (n, 4) of the mouths, in pixels of the image.
        image_size: (height, width) of the image.
        size: (rows, columns), at most (h, w).
    """
    rows, columns = (min(wanted, whole) for wanted, whole in zip(size, latents.shape[-2:], strict=True))
    top = _first(boxes[:, 1::2], latents.shape[-2] / image_size[0], rows, latents.shape[-2])
    left = _first(boxes[:, 0::2], latents.shape[-1] / image_size[1], columns, latents.shape[-1])
    y = top[:, None] + torch.arange(rows, device=latents.device)
    x = left[:, None] + torch.arange(columns, device=latents.device)
    number = torch.arange(len(latents), device=latents.device)
    cut = latents.permute(0, 2, 3, 1)[number[:, None, None], y[:, :, None], x[:, None, :]]
    return cut.permute(0, 3, 1, 2)


def mouth_pixels(
    images: Tensor, boxes: Tensor, latent_size: tuple[int, int], size: tuple[int, int]
) -> Tensor:
    """What the cells that `mouth_cells` takes of an image's latents show, (n, c, rows × s, columns × s).

    Args:
        images: (n, c, h, w).
        boxes: (n, 4) of the mouths, in its pixels.
        latent_size: (h / s, w / s) of the latents.
        size: (rows, columns) of cells.
    """
    height, width = images.shape[-2:]
    side = height // latent_size[0]
    return F.pixel_shuffle(mouth_cells(F.pixel_unshuffle(images, side), boxes, (height, width), size), side)


def _first(edges: Tensor, scale: float, count: int, whole: int) -> Tensor:
    """(n,) the first of `count` cells around the middle of edges (n, 2), inside the `whole`."""
    middle = edges.float().mean(dim=1) * scale
    return (middle - count / 2).round().long().clamp(0, whole - count)
