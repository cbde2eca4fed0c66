"""RTMPose-l for whole-body keypoints (DWPose), in plain PyTorch.

The state dict has the keys and shapes of the published dw-ll_ucoco_384.pth. Architecture: Jiang et al., "RTMPose"
(arXiv 2303.07399), the CSPNeXt backbone and a SimCC head with one gated attention unit.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

INPUT_WIDTH = 288
INPUT_HEIGHT = 384
KEYPOINTS = 133  # COCO-WholeBody
SIMCC_SPLIT = 2  # bins per pixel of the network's input (published)
_BATCH_NORM_EPS = 1e-5

# COCO-WholeBody: body 0-16, feet 17-22, face 23-90, left hand 91-111, right hand 112-132. Within body, feet and face
# these joints change places in a mirror image; joints not listed keep theirs.
_MIRRORED_PAIRS = (
    [(1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16), (17, 20), (18, 21), (19, 22)]
    + [(23 + i, 39 - i) for i in range(8)]  # jaw
    + [(40 + i, 49 - i) for i in range(5)]  # brows
    + [(54, 58), (55, 57)]  # nostrils
    + [(59, 68), (60, 67), (61, 66), (62, 65), (63, 70), (64, 69)]  # eyes
    + [(71, 77), (72, 76), (73, 75), (78, 82), (79, 81)]  # outer lips
    + [(83, 87), (84, 86), (88, 90)]  # inner lips
    + [(91 + i, 112 + i) for i in range(21)]  # hands
)


def mirrored_keypoints() -> list[int]:
    """The index of the joint that each of the 133 joints becomes in a mirror image."""
    order = list(range(KEYPOINTS))
    for left, right in _MIRRORED_PAIRS:
        order[left], order[right] = right, left
    return order


class _Conv(nn.Module):
    """Convolution without bias, batch norm, SiLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=_BATCH_NORM_EPS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.silu(self.bn(self.conv(x)), inplace=True)


class _DepthwiseConv(nn.Module):
    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.depthwise_conv = _Conv(channels, channels, kernel, groups=channels)
        self.pointwise_conv = _Conv(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.pointwise_conv(self.depthwise_conv(x))


class _Block(nn.Module):
    def __init__(self, channels: int, identity: bool) -> None:
        super().__init__()
        self.conv1 = _Conv(channels, channels, 3)
        self.conv2 = _DepthwiseConv(channels, 5)
        self.identity = identity

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv2(self.conv1(x))
        return y + x if self.identity else y


class _ChannelAttention(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * F.hardsigmoid(self.fc(F.adaptive_avg_pool2d(x, 1)))


class _CSPLayer(nn.Module):
    """Half of the channels goes through the blocks, the other half around them."""

    def __init__(self, channels: int, blocks: int, identity: bool) -> None:
        super().__init__()
        half = channels // 2
        self.main_conv = _Conv(channels, half, 1)
        self.short_conv = _Conv(channels, half, 1)
        self.final_conv = _Conv(2 * half, channels, 1)
        self.blocks = nn.Sequential(*(_Block(half, identity) for _ in range(blocks)))
        self.attention = _ChannelAttention(2 * half)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        main = self.blocks(self.main_conv(x))
        return self.final_conv(self.attention(torch.cat((main, self.short_conv(x)), dim=1)))


class _SpatialPyramidPooling(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _Conv(channels, channels // 2, 1)
        self.conv2 = _Conv(channels * 2, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv1(x)
        pooled = [F.max_pool2d(x, size, stride=1, padding=size // 2) for size in (5, 9, 13)]
        return self.conv2(torch.cat((x, *pooled), dim=1))


class CSPNeXt(nn.Module):
    """The backbone: (batch, 3, H, W) to (batch, 1024, H/32, W/32)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_Conv(3, 32, 3, stride=2), _Conv(32, 32, 3), _Conv(32, 64, 3))
        self.stage1 = nn.Sequential(_Conv(64, 128, 3, stride=2), _CSPLayer(128, 3, identity=True))
        self.stage2 = nn.Sequential(_Conv(128, 256, 3, stride=2), _CSPLayer(256, 6, identity=True))
        self.stage3 = nn.Sequential(_Conv(256, 512, 3, stride=2), _CSPLayer(512, 6, identity=True))
        self.stage4 = nn.Sequential(
            _Conv(512, 1024, 3, stride=2), _SpatialPyramidPooling(1024), _CSPLayer(1024, 3, identity=False)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for stage in (self.stem, self.stage1, self.stage2, self.stage3, self.stage4):
            x = stage(x)
        return x


class _ScaleNorm(nn.Module):
    """x over its root mean square, times one learned number."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = width**-0.5
        self.g = nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        norm = torch.linalg.norm(x, dim=-1, keepdim=True) * self.scale
        return x / norm.clamp(min=1e-5) * self.g


class _Scale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale


class _GatedAttention(nn.Module):
    """Gated attention unit over the keypoints, with squared-ReLU attention (Hua et al., arXiv 2202.10447)."""

    def __init__(self, width: int = 256, hidden: int = 512, key_width: int = 128) -> None:
        super().__init__()
        self.widths = (hidden, hidden, key_width)
        self.gamma = nn.Parameter(torch.ones(2, key_width))
        self.beta = nn.Parameter(torch.zeros(2, key_width))
        self.ln = _ScaleNorm(width)
        self.uv = nn.Linear(width, 2 * hidden + key_width, bias=False)
        self.o = nn.Linear(hidden, width, bias=False)
        self.res_scale = _Scale(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        u, v, base = F.silu(self.uv(self.ln(x))).split(self.widths, dim=-1)
        query, key = (base.unsqueeze(2) * self.gamma + self.beta).unbind(dim=2)
        attention = F.relu(query @ key.transpose(1, 2) / math.sqrt(query.shape[-1])).square()
        return self.res_scale(x) + self.o(u * (attention @ v))


class _SimCCHead(nn.Module):
    """One distribution over x and one over y for each keypoint (Li et al., arXiv 2107.03332)."""

    def __init__(self, channels: int = 1024, width: int = 256) -> None:
        super().__init__()
        cells = (INPUT_WIDTH // 32) * (INPUT_HEIGHT // 32)
        self.final_layer = nn.Conv2d(channels, KEYPOINTS, 7, padding=3)
        self.mlp = nn.Sequential(_ScaleNorm(cells), nn.Linear(cells, width, bias=False))
        self.gau = _GatedAttention(width)
        self.cls_x = nn.Linear(width, INPUT_WIDTH * SIMCC_SPLIT, bias=False)
        self.cls_y = nn.Linear(width, INPUT_HEIGHT * SIMCC_SPLIT, bias=False)

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        keypoints = self.gau(self.mlp(self.final_layer(features).flatten(2)))
        return self.cls_x(keypoints), self.cls_y(keypoints)


class RTMPose(nn.Module):
    """The whole-body network: normalised image to SimCC logits."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = CSPNeXt()
        self.head = _SimCCHead()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits over x and over y.

        Args:
            x: (batch, 3, 384, 288) RGB, normalised with `face.dwpose_finder`'s mean and std.

        Returns:
            (batch, 133, 576) and (batch, 133, 768): two bins per pixel.
        """
        return self.head(self.backbone(x))


def average_with_mirrored(
    plain: tuple[torch.Tensor, torch.Tensor], mirrored: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of an image and of its mirror image (flip test), averaged in the image's own coordinates."""
    order = mirrored_keypoints()
    return (plain[0] + mirrored[0][:, order].flip(-1)) * 0.5, (plain[1] + mirrored[1][:, order]) * 0.5


def decode(logits: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Keypoints in pixels of the network's input, and their scores.

    Args:
        logits: (batch, 133, 576) over x and (batch, 133, 768) over y.

    Returns:
        Keypoints (batch, 133, 2) float64, x and y in half-pixel steps, bin −1 (−0.5 pixels) where the score is not
        positive; scores (batch, 133) float32, the smaller of both maxima.
    """
    maxima = [axis.float().max(dim=-1) for axis in logits]
    scores = torch.minimum(maxima[0].values, maxima[1].values)
    positions = torch.stack([axis.indices.double() for axis in maxima], dim=-1)
    positions[scores <= 0] = -1.0
    return positions / SIMCC_SPLIT, scores
