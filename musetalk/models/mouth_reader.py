"""A mouth between the sound and the picture: what is said is read off the sound, and then painted.

The published UNet finds both in one: how the mouth stands, and how that looks on this face. A small network that is
shown true mouths while it learns (see `scripts.render_heads`) learns the second from exact facts; the first is learnt
from speech alone, of which there can be far more than of pictures.
"""

from __future__ import annotations

from typing import Any

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


class MouthUnet(nn.Module):
    """A UNet2DConditionModel that paints the mouth that it is told.

    It has the mouth beside its timestep (class_embed_type `projection`), and as the tokens of its cross-attention: one
    for each channel, a learnt vector and another one times the channel.

    Args:
        unet: The network.
        reader: Tells it the mouth where nobody else does.
    """

    def __init__(self, unet: Any, reader: MouthReader) -> None:
        super().__init__()
        self.unet, self.reader = unet, reader
        channels, width = reader.mouth.out_features, int(unet.config.cross_attention_dim)
        self.tokens = nn.Parameter(torch.randn(channels, 2, width) * 0.5)

    @property
    def config(self) -> Any:
        """That of the UNet."""
        return self.unet.config

    def forward(
        self,
        latents: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        mouths: torch.Tensor | None = None,
        return_dict: bool = False,
    ) -> tuple[torch.Tensor]:
        """As the UNet's.

        Args:
            latents: (n, in_channels, h, w).
            timestep: 0.
            encoder_hidden_states: (n, window_tokens, width) audio windows.
            mouths: (n, C) to be painted; None: what the windows say.
            return_dict: Only false.
        """
        if mouths is None:
            mouths = self.reader(encoder_hidden_states)
        mouths = mouths.to(latents.dtype)
        tokens = self.tokens[:, 0] + mouths[..., None] * self.tokens[:, 1]
        given = {"encoder_hidden_states": tokens, "class_labels": mouths, "return_dict": False}
        painted: tuple[torch.Tensor] = self.unet(latents, timestep, **given)
        return painted

    def enable_gradient_checkpointing(self) -> None:
        """The UNet's."""
        self.unet.enable_gradient_checkpointing()

    def set_attn_processor(self, processor: Any) -> None:
        """The UNet's."""
        self.unet.set_attn_processor(processor)
