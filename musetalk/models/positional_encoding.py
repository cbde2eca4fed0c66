"""Sinusoidal positional encoding of the audio tokens ("Attention is all you need")."""

from __future__ import annotations

import math

import torch

MAX_PERIOD = 10_000.0


def positional_encoding(length: int, width: int) -> torch.Tensor:
    """The table (length, width), float32: sine in even columns, cosine in odd ones, positions 0 … length − 1."""
    position = torch.arange(length, dtype=torch.float32).unsqueeze(1)
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(MAX_PERIOD) / width))
    table = torch.zeros(length, width)
    table[:, 0::2] = torch.sin(position * rate)
    table[:, 1::2] = torch.cos(position * rate[: width // 2])
    return table


def add_positional_encoding(tokens: torch.Tensor) -> torch.Tensor:
    """Tokens (n, length, width) plus the encoding, in the dtype and on the device of the tokens.

    Used in training and in inference alike.
    """
    table = positional_encoding(tokens.shape[-2], tokens.shape[-1])
    return tokens + table.to(device=tokens.device, dtype=tokens.dtype)
