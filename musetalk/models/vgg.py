"""The convolutions of VGG19, as far as the perceptual loss looks (loads torchvision's vgg19-dcbb9e9d.pth).

Simonyan and Zisserman 2014, arXiv 1409.1556, configuration E.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from musetalk.checkpoint import load_into, read_state_dict

IMAGE_SIZE = 224
"""Published: images are scaled to this before the features are computed."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CHANNELS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512)  # 0: pooling
FEATURE_LAYERS = (1, 6, 11, 20, 29)
"""Layers whose results are the features, counted as torchvision does: relu1_1, 2_1, 3_1, 4_1, 5_1."""
FEATURE_CHANNELS = (64, 128, 256, 512, 512)


class VGG19(nn.Module):
    """Features of five depths. `forward` takes (n, 3, h, w) RGB in [-1, 1] and returns five maps, shallow to deep.

    Published: the mean and deviation of ImageNet, meant for [0, 1], are removed from images in [-1, 1].

    Attributes:
        gradient_checkpointing: Compute the maps between features again in the backward pass instead of keeping them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(*_layers())
        self.gradient_checkpointing = False

    def forward(self, images: Tensor) -> list[Tensor]:
        mean, std = (torch.tensor(values, device=images.device).view(3, 1, 1) for values in (MEAN, STD))
        x = ((images.float() - mean) / std).to(next(self.parameters()).dtype)
        found = []
        for piece in self._pieces():
            if self.gradient_checkpointing and torch.is_grad_enabled() and x.requires_grad:
                x = checkpoint(piece, x, use_reentrant=False)
            else:
                x = piece(x)
            found.append(x)
        return found

    def _pieces(self) -> list[nn.Module]:
        begins = (0, *(last + 1 for last in FEATURE_LAYERS[:-1]))
        return [self.features[first : last + 1] for first, last in zip(begins, FEATURE_LAYERS, strict=True)]


def _layers() -> list[nn.Module]:
    layers: list[nn.Module] = []
    before = 3
    for channels in _CHANNELS:
        if channels:
            layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
            before = channels
        else:
            layers.append(nn.MaxPool2d(2))
    return layers


def load_vgg(path: Path) -> VGG19:
    """VGG19 with torchvision's weights, frozen, on the CPU in float32. The classifier in the file is not read.

    Raises:
        WeightsError: The file is missing, unsafe or of the wrong shape.
    """
    network = VGG19()
    load_into(network, read_state_dict(path), path, ignore=("classifier.",))
    return network.eval().requires_grad_(False)
