"""A UNet that is told the mouth, and paints it.

The published UNet finds both in one: how the mouth stands, and how that looks on this face. A small network that is
told true mouths while it learns (see `scripts.render_heads`) learns the second from exact facts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from musetalk.models.mouth_reader import MouthReader
from musetalk.models.reference_warp import ReferenceWarp


class MouthUnet(nn.Module):
    """A UNet2DConditionModel that paints the mouth that it is told.

    It has the mouth beside its timestep (class_embed_type `projection`), and as the tokens of its cross-attention: one
    for each channel, a learnt vector and another one times the channel.

    Args:
        unet: The network.
        reader: Tells it the mouth where nobody else does.
        warp: Numbers of a ReferenceWarp, which adds to what the UNet paints; None: there is none.
    """

    def __init__(self, unet: Any, reader: MouthReader, warp: Mapping[str, int] | None = None) -> None:
        super().__init__()
        self.unet, self.reader = unet, reader
        channels, width = reader.mouth.out_features, int(unet.config.cross_attention_dim)
        self.tokens = nn.Parameter(torch.randn(channels, 2, width) * 0.5)
        self.warp: ReferenceWarp | None = None
        if warp is not None:
            self.latents = int(unet.config.in_channels) // 2
            features, painted = unet.conv_out.in_channels, unet.conv_out.out_channels
            self.warp = ReferenceWarp(features, self.latents, painted, channels, **warp)
            self.conv_out, unet.conv_out = unet.conv_out, nn.Identity()  # both paint from the same features

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
        painted: torch.Tensor = self.unet(latents, timestep, **given)[0]
        if self.warp is not None:
            painted = self.conv_out(painted) + self.warp(painted, latents[:, -self.latents :], mouths)
        return (painted,)

    def enable_gradient_checkpointing(self) -> None:
        """The UNet's."""
        self.unet.enable_gradient_checkpointing()

    def set_attn_processor(self, processor: Any) -> None:
        """The UNet's."""
        self.unet.set_attn_processor(processor)
