"""The lower rows of what AutoencoderTiny decodes, without the work for the rows above them.

Its decoder is convolutions alone, so a row of the picture depends on few rows of the latents. What each layer needs is
kept, and nothing else; the rows that are decoded equal those of the whole picture.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

_BLOCK_REACH = 3  # AutoencoderTinyBlock: three 3×3 convolutions


def can_decode_rows(network: Any) -> bool:
    """Whether an autoencoder's decoder is of convolutions alone; those with attention or group norm see all rows."""
    return type(network).__name__ == "AutoencoderTiny"


def decode_from_row(decoder: Any, latents: torch.Tensor, first_row: int) -> torch.Tensor:
    """The rows from `first_row` on of `decoder(latents)`, a diffusers DecoderTiny: (n, 3, H - first_row, W).

    Args:
        decoder: The network.
        latents: (n, c, h, w), unscaled.
        first_row: 0 … H - 1.
    """
    starts = _first_rows(list(decoder.layers), first_row)
    x, top = torch.tanh(latents / 3) * 3, 0
    for layer, start in zip(decoder.layers, starts, strict=True):
        if start > top:
            x, top = x[:, :, start - top :].contiguous(memory_format=torch.channels_last), start
        x = layer(x)
        if isinstance(layer, nn.Upsample):
            top *= 2
    return x[:, :, first_row - top :].mul(2).sub(1)


def _first_rows(layers: list[nn.Module], first_row: int) -> list[int]:
    """The first row that each layer needs of what goes into it."""
    starts = []
    for layer in reversed(layers):
        if isinstance(layer, nn.Upsample):
            first_row //= 2
        else:
            first_row = max(first_row - _reach(layer), 0)
        starts.append(first_row)
    return starts[::-1]


def _reach(layer: nn.Module) -> int:
    """Rows above a row that a layer looks at."""
    if isinstance(layer, nn.Conv2d):
        return int(layer.kernel_size[0]) // 2
    return 0 if isinstance(layer, nn.ReLU) else _BLOCK_REACH
