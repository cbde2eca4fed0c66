"""LPIPS with AlexNet, version 0.1 (Zhang et al. 2018; loads torchvision's AlexNet and the published linear weights)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from musetalk.checkpoint import load_into, read_state_dict

CHANNELS = (64, 192, 384, 256, 256)
RELUS = (1, 4, 7, 9, 11)
"""Layers of AlexNet whose results are compared, counted as torchvision does."""
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Published: of images in [-1, 1]."""
_EPS = 1e-10


class _Weighing(nn.Module):
    """One number per channel. The published file keeps it as the second of two layers; the first was dropout."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Identity(), nn.Conv2d(channels, 1, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class Lpips(nn.Module):
    """`forward` takes two (n, 3, h, w) RGB in [-1, 1], h and w at least 63, and returns (n,) distances."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, 4, 2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
        )
        self.lin0, self.lin1, self.lin2, self.lin3, self.lin4 = (_Weighing(channels) for channels in CHANNELS)
        self.register_buffer("shift", torch.tensor(SHIFT).view(3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE).view(3, 1, 1), persistent=False)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        weighings = (self.lin0, self.lin1, self.lin2, self.lin3, self.lin4)
        found = [
            weigh((a - b).square()).mean(dim=(1, 2, 3))
            for weigh, a, b in zip(weighings, self._depths(first), self._depths(second), strict=True)
        ]
        return torch.stack(found).sum(dim=0)

    def _depths(self, images: Tensor) -> list[Tensor]:
        x = (images - self.shift) / self.scale
        found = []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in RELUS:
                found.append(x / (x.square().sum(dim=1, keepdim=True).sqrt() + _EPS))
        return found


def load_lpips(alexnet: Path, linear: Path, device: torch.device | str = "cpu") -> Lpips:
    """The measure with its published weights, frozen, in float32.

    Args:
        alexnet: torchvision's alexnet-owt-7be5be79.pth; its classifier is not read.
        linear: alex.pth of version 0.1.

    Raises:
        WeightsError: A file is missing, unsafe or of another network.
    """
    network = Lpips()
    load_into(network, read_state_dict(alexnet), alexnet, ignore=("classifier.", "lin"))
    load_into(network, read_state_dict(linear), linear, ignore=("features.",))
    return network.to(device).eval().requires_grad_(False)


@torch.inference_mode()
def distances(network: Lpips, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[float]:
    """LPIPS of pairs of (h, w, 3) uint8 BGR pictures, all of one size."""
    device = next(network.parameters()).device
    sides = []
    for side in zip(*pairs, strict=True):
        rgb = np.stack([cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) for picture in side])
        sides.append(torch.from_numpy(rgb.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1).to(device))
    return [float(value) for value in network(*sides)]
