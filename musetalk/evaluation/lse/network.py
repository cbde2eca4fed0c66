"""The SyncNet that lip-sync scores are defined by (Chung and Zisserman 2016; loads joonson's syncnet_v2.model)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from musetalk.checkpoint import load_into, read_state_dict

WINDOW = 5  # frames of one look
FACE_SIZE = 224
MFCC_STEPS = 20  # of 10 ms, beside 5 frames of 40 ms
WIDTH = 1024


class LseSyncNet(nn.Module):
    """Two stacks of convolutions. Key names are the published ones."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_conv2d(1, 64, 3, 1),
            nn.MaxPool2d(1),  # published: pools nothing, and keeps the numbers of the layers after it
            *_conv2d(64, 192, 3, 1),
            nn.MaxPool2d(3, (1, 2)),
            *_conv2d(192, 384, 3, 1),
            *_conv2d(384, 256, 3, 1),
            *_conv2d(256, 256, 3, 1),
            nn.MaxPool2d(3, 2),
            *_conv2d(256, 512, (5, 4), 0),
        )
        self.netfcaud = _head()
        self.netcnnlip = nn.Sequential(
            *_conv3d(3, 96, (5, 7, 7), (1, 2, 2), 0),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_conv3d(96, 256, (1, 5, 5), (1, 2, 2), (0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_conv3d(256, 256, (1, 3, 3), 1, (0, 1, 1)),
            *_conv3d(256, 256, (1, 3, 3), 1, (0, 1, 1)),
            *_conv3d(256, 256, (1, 3, 3), 1, (0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_conv3d(256, 512, (1, 6, 6), 1, 0),
        )
        self.netfclip = _head()

    def embed_sound(self, windows: Tensor) -> Tensor:
        """(n, 1, 13, 20) MFCC → (n, 1024)."""
        return self.netfcaud(self.netcnnaud(windows).flatten(1))

    def embed_faces(self, windows: Tensor) -> Tensor:
        """(n, 3, 5, 224, 224) BGR in 0…255 → (n, 1024)."""
        return self.netfclip(self.netcnnlip(windows).flatten(1))


def _conv2d(channels_in: int, channels_out: int, kernel: int | tuple[int, int], padding: int) -> list[nn.Module]:
    convolution = nn.Conv2d(channels_in, channels_out, kernel, padding=padding)
    return [convolution, nn.BatchNorm2d(channels_out), nn.ReLU()]


def _conv3d(
    channels_in: int,
    channels_out: int,
    kernel: tuple[int, int, int],
    stride: int | tuple[int, int, int],
    padding: int | tuple[int, int, int],
) -> Sequence[nn.Module]:
    convolution = nn.Conv3d(channels_in, channels_out, kernel, stride, padding)
    return [convolution, nn.BatchNorm3d(channels_out), nn.ReLU()]


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, WIDTH))


def load_lse_syncnet(path: Path, device: torch.device | str = "cpu") -> LseSyncNet:
    """The network with its published weights, frozen, in float32.

    Raises:
        WeightsError: The file is missing, unsafe or of another network.
    """
    network = LseSyncNet()
    load_into(network, read_state_dict(path), path)
    return network.to(device).eval().requires_grad_(False)
