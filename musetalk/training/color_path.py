"""A way for colours through AutoencoderTiny, laid before training."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

COLOR_SCALE = 1.5
"""Three latent channels are pulled towards the mean colour of their 8×8 pixels, times this."""
LIFT = 1.6
"""Added to those channels inside the decoder, so that its ReLUs let them pass."""


@torch.no_grad()
def lay_color_path(decoder: Any, projection: torch.Tensor, channels: tuple[int, int, int]) -> None:
    """Let three feature channels carry the colour latents unchanged to the last convolution.

    Left to find it, so small a network without normalisation stays for thousands of steps with brightness and one
    axis of colour, and faces turn grey-brown.

    Args:
        projection: (3, 3), the part of RGB that is added to the picture in this way.
        channels: The feature channels to use.
    """
    from diffusers.models.autoencoders.vae import AutoencoderTinyBlock

    chosen = list(channels)
    layers = list(decoder.layers)
    convolutions: list[Any] = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    first, last = convolutions[0], convolutions[-1]
    for layer in layers:
        if isinstance(layer, AutoencoderTinyBlock):  # its shortcut is the path
            layer.conv[-1].weight[chosen] = 0
            layer.conv[-1].bias[chosen] = 0
        elif isinstance(layer, nn.Conv2d) and layer is not last:
            layer.weight[chosen] = 0
            sources = (0, 1, 2) if layer is first else channels
            for target, source in zip(channels, sources, strict=True):
                layer.weight[target, source, 1, 1] = 1
    first.bias[chosen] = LIFT
    gain = 0.5 / (COLOR_SCALE * 0.95)  # half: the decoder paints in 0…1; 0.95: its tanh bends large latents
    last.weight[:, chosen] = 0
    last.weight[:, chosen, 1, 1] = gain * projection
    if torch.equal(projection, torch.eye(3)):
        last.bias.fill_(0.5)
    last.bias -= gain * LIFT * projection.sum(dim=1)
