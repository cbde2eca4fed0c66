"""Gives a painted face the sharpness of its frame: what the frame shows is moved to where it belongs in the new mouth.

A VAE and one step of a small UNet leave lips soft. Most of what they lose is there in the frame, a few pixels away from
its place: an appearance flow (Zhou et al. 2016) says where each pixel comes from, a mask how much of it is to be seen,
and a residual adds what neither the frame nor the painted face shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from musetalk.checkpoint import load_into, read_state_dict
from musetalk.errors import WeightsError
from musetalk.face.refinement import Refinement, first_row
from musetalk.models.config_file import read_network_config, without_private_keys
from musetalk.models.single_thread_pool import SingleThreadPool

CONFIG_NAME, WEIGHTS_NAME = "config.json", "model.safetensors"
FILE_NAMES = CONFIG_NAME, WEIGHTS_NAME
WIDTHS = "widths"
"""The key of config.json."""
_FLOW_UNIT = 1 / 16  # of the face's side that a flow of 1 means: flows begin at 0, and grow fast enough
_RESIDUAL_UNIT = 0.2  # likewise of the residual, in [-1, 1]
_BGR_TO_RGB_TWICE = [0, 2, 1, 1, 2, 0, 3, 5, 4, 4, 5, 3]
"""Channels from and to, of two BGR pictures and of one of six channels, RGB and RGB, as cv2.mixChannels takes them."""
_MASK_BIAS = -1.0  # at first most of the face is seen
_GROUPS, _MOST_WIDTH = 8, 1024
_PIXELS = 2  # of a side that become channels
_FOUND = 4  # numbers found for each pixel: mask, and residual in RGB


@dataclass(frozen=True)
class RefinerOutput:
    """What the network gives, n faces, the rows from `first_row` on; float32.

    Attributes:
        mask: (n, 1, h, w) how much of the frame's pixels is seen, 0…1.
        flow: (n, 2, h/4, w/4) to where they come from, x and y, in sides of the face.
        residual: (n, 3, h, w) RGB, added to the mixture of both.
    """

    mask: torch.Tensor
    flow: torch.Tensor
    residual: torch.Tensor

    def apply(self, painted: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        """The faces as they are to be seen, about [-1, 1]; all (n, 3, h, w) RGB, arguments as of the network."""
        height, width = source.shape[-2:]
        flow = F.interpolate(self.flow, size=(height, width), mode="bilinear", align_corners=False)
        x = (torch.arange(width, device=flow.device) + 0.5) * (2 / width) - 1
        y = (torch.arange(height, device=flow.device) + 0.5) * (2 / height) - 1
        grid = torch.stack([x + 2 * flow[:, 0], y[:, None] + flow[:, 1] * (2 * width / height)], dim=-1)
        moved = F.grid_sample(source, grid, padding_mode="border", align_corners=False)
        return torch.lerp(painted, moved, self.mask) + self.residual


class RefinerNetwork(nn.Module):
    """A small U-Net over a painted face and the frame's. It begins as showing mostly the painted one, unmoved.

    Args:
        widths: Channels at a half of the size, a quarter, and so on; at least two.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.first = nn.Conv2d(6 * _PIXELS**2, widths[0], 3, padding=1)
        steps = list(pairwise(widths))
        self.down = nn.ModuleList(nn.Sequential(_block(a, b, 2), _block(b, b)) for a, b in steps)
        self.up = nn.ModuleList(nn.Sequential(_block(a + b, a)) for a, b in reversed(steps))
        self.flow = nn.Conv2d(widths[1], 2, 3, padding=1)
        self.head = nn.Conv2d(widths[0], _FOUND * _PIXELS**2, 3, padding=1)
        for layer in (self.flow, self.head):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            self.head.bias[::_FOUND] = _MASK_BIAS  # type: ignore[index]

    def forward(self, painted: torch.Tensor, source: torch.Tensor) -> RefinerOutput:
        """Refine.

        Args:
            painted, source: (n, 3, h, w) float32 RGB in [-1, 1], the rows from `first_row` on of face and frame; h and
                w are even.
        """
        return self.refine(torch.cat([painted, source], dim=1).permute(0, 2, 3, 1))

    def refine(self, seen: torch.Tensor) -> RefinerOutput:
        """The same of both in one, channels last: (n, h, w, 6) RGB in [-1, 1], painted, then the frames'."""
        features = self.first(_to_channels(seen.to(self.head.weight.dtype)).permute(0, 3, 1, 2))
        kept = []
        for step in self.down:
            kept.append(features)
            features = step(features)
        flow = torch.empty(0)
        for step in self.up:
            beside, flow = kept.pop(), features  # in the end that of a quarter of the size
            features = step(torch.cat([F.interpolate(features, size=beside.shape[-2:]), beside], dim=1))
        mask, residual = _to_pixels(self.head(features).permute(0, 2, 3, 1)).float().split([1, _FOUND - 1], dim=3)
        return RefinerOutput(
            torch.sigmoid(mask).permute(0, 3, 1, 2),
            _FLOW_UNIT * self.flow(flow).float(),
            _RESIDUAL_UNIT * residual.permute(0, 3, 1, 2),
        )


def _to_channels(pixels: torch.Tensor) -> torch.Tensor:
    """(n, h, w, c) to (n, h/2, w/2, 4c): like `F.pixel_unshuffle`, but quick where channels come last."""
    n, height, width, channels = pixels.shape
    squares = pixels.reshape(n, height // _PIXELS, _PIXELS, width // _PIXELS, _PIXELS, channels)
    return squares.transpose(2, 3).flatten(3)


def _to_pixels(squares: torch.Tensor) -> torch.Tensor:
    """Back from `_to_channels`."""
    n, rows, columns, channels = squares.shape
    pixels = squares.reshape(n, rows, columns, _PIXELS, _PIXELS, channels // _PIXELS**2).transpose(2, 3)
    return pixels.reshape(n, rows * _PIXELS, columns * _PIXELS, -1)


class Refiner:
    """Refines faces one by one, as they are put into their frames. Thread-safe.

    Args:
        network: In eval mode.
    """

    def __init__(self, network: RefinerNetwork) -> None:
        self.network = network
        self._threads = SingleThreadPool()  # others paint meanwhile

    @torch.inference_mode()
    def __call__(self, painted: np.ndarray, source: np.ndarray, visible_from: float) -> Refinement:
        """Refine.

        Args:
            painted: (s, s, 3) BGR uint8.
            source: The frame's face alike.
            visible_from: Share of the height above which the painted one may be black.
        """
        side, first = len(painted), first_row(len(painted))
        seen = np.empty((side - first, side, 6), np.uint8)
        cv2.mixChannels([painted[first:], source[first:]], [seen], _BGR_TO_RGB_TWICE)
        unseen = max(round(visible_from * side) - first, 0)
        seen[:unseen, :, :3] = seen[:unseen, :, 3:]
        device = next(self.network.parameters()).device

        def refine() -> RefinerOutput:
            return self.network.refine(torch.from_numpy(seen[None]).to(device).float() / 127.5 - 1.0)

        refined = self._threads.run(refine) if device.type == "cpu" else refine()
        mask, flow = refined.mask[0, 0], refined.flow[0].permute(1, 2, 0)
        residual = (refined.residual[0].flip(0).permute(1, 2, 0) * 127.5).round().to(torch.int16)
        return Refinement(*(part.contiguous().cpu().numpy() for part in (mask, flow, residual)))


def load_refiner(folder: Path) -> Refiner:
    """The refiner of a folder with config.json and model.safetensors, in float32 on the CPU.

    Raises:
        WeightsError: A file is missing, damaged, or of another network.
    """
    return Refiner(read_refiner(folder).eval().requires_grad_(False))


def read_refiner(folder: Path) -> RefinerNetwork:
    """The network alone; errors as of `load_refiner`."""
    path = folder / WEIGHTS_NAME
    network = build_refiner(read_network_config(folder / CONFIG_NAME), folder / CONFIG_NAME)
    load_into(network, read_state_dict(path), path)
    return network


def build_refiner(config: dict[str, Any], path: Path) -> RefinerNetwork:
    """A network with random weights.

    Args:
        config: The keys of config.json.
        path: For errors.

    Raises:
        WeightsError: It is the configuration of something else.
    """
    known = without_private_keys(config)
    widths = known.pop(WIDTHS, None)
    allowed = range(_GROUPS, _MOST_WIDTH + 1, _GROUPS)
    if known or not isinstance(widths, list) or len(widths) < 2 or not all(_whole(width, allowed) for width in widths):
        raise WeightsError(
            f"{path}: the configuration of no refiner",
            f'It is like {{"{WIDTHS}": [24, 32, 48, 48]}}, each a multiple of {_GROUPS}.',
        )
    return RefinerNetwork(widths)


def _whole(width: object, allowed: range) -> bool:
    return type(width) is int and width in allowed


def refiner_settings(network: RefinerNetwork) -> dict[str, Any]:
    """The keys of its config.json."""
    return {"_class_name": "RefinerNetwork", WIDTHS: list(network.widths)}


def _block(channels: int, out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, out, 3, stride, 1), nn.GroupNorm(_GROUPS, out), nn.SiLU())
