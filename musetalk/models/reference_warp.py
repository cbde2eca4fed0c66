"""Moves what the reference shows to where it belongs in another mouth, and paints on that.

A lip or a beard that is to be elsewhere would otherwise have to be painted anew from what a few layers remember of it,
and comes back blurred.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

REACH = 4.0  # cells that a flow of 1 means: flows begin at 0, and grow fast enough


class MouthBlock(nn.Module):
    """A residual block that the mouth scales and shifts; it begins as the identity.

    Args:
        width: Channels.
        mouth: Numbers of a mouth, C.
    """

    def __init__(self, width: int, mouth: int) -> None:
        super().__init__()
        self.norm_in, self.conv_in = nn.GroupNorm(8, width), nn.Conv2d(width, width, 3, padding=1)
        self.norm_out, self.conv_out = nn.GroupNorm(8, width), nn.Conv2d(width, width, 3, padding=1)
        self.scale_shift = nn.Linear(mouth, 2 * width)
        for layer in (self.scale_shift, self.conv_out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor, mouths: torch.Tensor) -> torch.Tensor:
        scale, shift = self.scale_shift(mouths)[:, :, None, None].chunk(2, dim=1)
        hidden = self.conv_in(F.silu(self.norm_in(x)))
        hidden = self.norm_out(hidden) * (1 + scale) + shift
        return x + self.conv_out(F.silu(hidden))


class ReferenceWarp(nn.Module):
    """Features of a UNet and the reference's latents → what is to be added to what the UNet paints; 0 at first.

    Args:
        features: Channels of the UNet's last features.
        latents: Channels of the latents, c.
        painted: Channels that the UNet paints.
        mouth: Numbers of a mouth, C.
        width: Channels of what is moved.
        hidden: Channels of the blocks that paint on it.
        heads: Flows, each of which moves its own share of the channels; divides `latents` and `width`.
        blocks: How many blocks.
    """

    def __init__(
        self, features: int, latents: int, painted: int, mouth: int, width: int, hidden: int, heads: int, blocks: int
    ) -> None:
        super().__init__()
        if latents % heads or width % heads:
            raise ValueError(f"{heads} heads do not divide {latents} and {width} channels")
        self.heads = heads
        self.flow = nn.Conv2d(features, 2 * heads, 3, padding=1)
        self.look = nn.Conv2d(latents, width, 3, padding=1)
        self.fuse = nn.Conv2d(width + features + 2 * heads + latents, hidden, 3, padding=1)
        self.blocks = nn.ModuleList(MouthBlock(hidden, mouth) for _ in range(blocks))
        self.norm = nn.GroupNorm(8, hidden)
        self.out = nn.Conv2d(hidden, painted, 3, padding=1)
        for layer in (self.flow, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, features: torch.Tensor, reference: torch.Tensor, mouths: torch.Tensor) -> torch.Tensor:
        """(n, painted, h, w).

        Args:
            features: (n, features, h, w).
            reference: (n, latents, h, w).
            mouths: (n, C).
        """
        flow = self.flow(features) * REACH
        seen, moved = (warped(x, flow, self.heads).to(features.dtype) for x in (self.look(reference), reference))
        beside = flow - flow.detach().round()  # where in a cell a flow ends
        x = self.fuse(torch.cat([seen, features, beside, moved], dim=1).contiguous(memory_format=torch.channels_last))
        for block in self.blocks:
            x = block(x, mouths)
        changed: torch.Tensor = self.out(F.silu(self.norm(x)))
        return changed


def warped(x: torch.Tensor, flow: torch.Tensor, heads: int) -> torch.Tensor:
    """(n, c, h, w) float32: at each place what `x` shows at that place plus the flow, interpolated linearly.

    Args:
        x: (n, c, h, w); beyond its edge it goes on as there.
        flow: (n, 2·heads, h, w) in cells: right and down for each head.
        heads: Each moves its own c / heads channels.
    """
    count, channels, height, width = x.shape
    flows = flow.float().unflatten(1, (heads, 2))
    columns = torch.arange(width, device=x.device) + flows[:, :, 0]
    rows = torch.arange(height, device=x.device)[:, None] + flows[:, :, 1]
    places = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], dim=-1).flatten(0, 1)
    given = x.float().reshape(count * heads, channels // heads, height, width)
    moved = F.grid_sample(given, places, mode="bilinear", padding_mode="border", align_corners=False)
    return moved.reshape(count, channels, height, width)
