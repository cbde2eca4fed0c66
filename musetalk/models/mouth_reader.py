"""Reads off the sound how the mouth stands; learnt from speech alone, of which there can be more than of pictures."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class MouthReader(nn.Module):
    """Two layers that read a mouth off an audio window.

    Args:
        window_tokens: Tokens of a window: steps, and in each the encoder's hidden states.
        width: Of a token.
        hidden: Of the layer between.
        channels: Numbers of a mouth, C; see `musetalk.synthetic.mouth_channels`.
    """

    def __init__(self, window_tokens: int, width: int, hidden: int, channels: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(window_tokens * width, hidden)
        self.mouth = nn.Linear(hidden, channels)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Mouths (n, C) of windows (n, window_tokens, width), each channel in its `mouth_channels.SPREAD`."""
        tokens = F.layer_norm(windows, windows.shape[-1:])  # tokens of zero, beyond the sound, stay so
        return self.mouth(F.silu(self.hidden(tokens.flatten(1))))

    def slide(self, states: torch.Tensor, before: int, stride: int) -> torch.Tensor:
        """`forward` of many windows of one sound, without writing them out.

        Args:
            states: (n, T, S, width) hidden states of each step.
            before: Steps of zero before the sound, and as many after it.
            stride: Steps from one window to the next.

        Returns:
            (n, windows, C).
        """
        tokens = F.layer_norm(states, states.shape[-1:]).flatten(2)
        weight = self.hidden.weight.unflatten(1, (-1, tokens.shape[2])).transpose(1, 2)
        padded = F.pad(tokens.transpose(1, 2), (before, before))
        hidden = F.conv1d(padded, weight, self.hidden.bias, stride=stride)
        return self.mouth(F.silu(hidden).transpose(1, 2))
