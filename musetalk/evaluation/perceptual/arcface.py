"""ArcFace's network, any depth (Deng et al. 2019; loads backbone.pth of insightface's arcface_torch)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from musetalk.checkpoint import load_into, read_state_dict
from musetalk.errors import WeightsError

WIDTH = 512
_LAST_SIDE = 7
_EPS = 1e-5
_BLOCK = re.compile(r"layer([1-4])\.(\d+)\.")


class Block(nn.Module):
    """Norm, 3×3, norm, PReLU, 3×3 (strided), norm; added to its input."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels_in, eps=_EPS)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out, eps=_EPS)
        self.prelu = nn.PReLU(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels_out, eps=_EPS)
        self.downsample: nn.Sequential | None = None
        if stride > 1:
            projection = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(channels_out, eps=_EPS))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        return inner + (x if self.downsample is None else self.downsample(x))


class ArcFace(nn.Module):
    """`forward` takes (n, 3, 112, 112) RGB in [-1, 1] and returns (n, 512), of any length.

    Args:
        depths: Blocks of each of the four layers; 3, 4, 14, 3 in iresnet50, 3, 13, 30, 3 in iresnet100.
    """

    def __init__(self, depths: Iterable[int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1, self.prelu = nn.BatchNorm2d(64, eps=_EPS), nn.PReLU(64)
        channels = 64
        for number, (depth, wide) in enumerate(zip(depths, (64, 128, 256, 512), strict=True), 1):
            blocks = [Block(channels, wide, 2), *(Block(wide, wide, 1) for _ in range(depth - 1))]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
            channels = wide
        self.bn2 = nn.BatchNorm2d(512, eps=_EPS)
        self.fc = nn.Linear(512 * _LAST_SIDE**2, WIDTH)
        self.features = nn.BatchNorm1d(WIDTH, eps=_EPS)

    def forward(self, faces: Tensor) -> Tensor:
        x = self.prelu(self.bn1(self.conv1(faces)))
        for number in range(1, 5):
            x = self.get_submodule(f"layer{number}")(x)
        return self.features(self.fc(self.bn2(x).flatten(1)))


def depths_of(keys: Iterable[str]) -> tuple[int, ...] | None:
    """Blocks of each layer that the keys of a checkpoint name, None where they are of something else."""
    found = [match for match in map(_BLOCK.match, keys) if match]
    depths = tuple(
        1 + max((int(block) for layer, block in (m.groups() for m in found) if int(layer) == n), default=-1)
        for n in range(1, 5)
    )
    return depths if all(depths) else None


def load_arcface(path: Path, device: torch.device | str = "cpu") -> ArcFace:
    """The network with its weights, frozen, in float32.

    Raises:
        WeightsError: The file is missing, unsafe or of another network.
    """
    weights = read_state_dict(path)
    depths = depths_of(weights)
    if depths is None:
        raise WeightsError(f"{path}: not an ArcFace backbone", "Give backbone.pth of an iresnet of arcface_torch.")
    network = ArcFace(depths)
    load_into(network, weights, path)
    return network.to(device).eval().requires_grad_(False)
