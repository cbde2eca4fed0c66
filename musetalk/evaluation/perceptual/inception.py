"""The Inception network that FID is defined by (loads pytorch-fid's pt_inception-2015-12-05-6726825d.pth).

Szegedy et al. 2015, arXiv 1512.00567, as it was trained in TensorFlow: average pooling leaves the padding out of its
count, and the last block pools the maximum. Key names are those of the file.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from musetalk.checkpoint import load_into, read_state_dict

IMAGE_SIZE = 299
WIDTH = 2048
_IGNORED = ("fc.", "AuxLogits.")
"""The classifier, which features do not need."""

Size = int | tuple[int, int]


class ConvNorm(nn.Module):
    """Convolution without bias, norm, ReLU; odd kernels keep the size unless told otherwise."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel: Size = 1, stride: int = 1, pad: bool = True
    ) -> None:
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (height // 2, width // 2) if pad else 0
        self.conv = nn.Conv2d(channels_in, channels_out, (height, width), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(channels_out, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


def _average(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


class BlockA(nn.Module):
    """35×35: 1×1, 5×5, twice 3×3, pooling."""

    def __init__(self, channels: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = ConvNorm(channels, 64)
        self.branch5x5_1, self.branch5x5_2 = ConvNorm(channels, 48), ConvNorm(48, 64, 5)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = ConvNorm(channels, 64), ConvNorm(64, 96, 3)
        self.branch3x3dbl_3 = ConvNorm(96, 96, 3)
        self.branch_pool = ConvNorm(channels, pooled)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat(
            [self.branch1x1(x), self.branch5x5_2(self.branch5x5_1(x)), double, self.branch_pool(_average(x))], 1
        )


class BlockB(nn.Module):
    """35×35 → 17×17."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch3x3 = ConvNorm(channels, 384, 3, 2, pad=False)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = ConvNorm(channels, 64), ConvNorm(64, 96, 3)
        self.branch3x3dbl_3 = ConvNorm(96, 96, 3, 2, pad=False)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, 2)], 1)


class BlockC(nn.Module):
    """17×17: 1×1, rows and columns of 7, twice that, pooling."""

    def __init__(self, channels: int, narrow: int) -> None:
        super().__init__()
        row, column = (1, 7), (7, 1)
        self.branch1x1 = ConvNorm(channels, 192)
        self.branch7x7_1, self.branch7x7_2 = ConvNorm(channels, narrow), ConvNorm(narrow, narrow, row)
        self.branch7x7_3 = ConvNorm(narrow, 192, column)
        self.branch7x7dbl_1, self.branch7x7dbl_2 = ConvNorm(channels, narrow), ConvNorm(narrow, narrow, column)
        self.branch7x7dbl_3, self.branch7x7dbl_4 = ConvNorm(narrow, narrow, row), ConvNorm(narrow, narrow, column)
        self.branch7x7dbl_5 = ConvNorm(narrow, 192, row)
        self.branch_pool = ConvNorm(channels, 192)

    def forward(self, x: Tensor) -> Tensor:
        once = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        twice = self.branch7x7dbl_5(self.branch7x7dbl_4(twice))
        return torch.cat([self.branch1x1(x), once, twice, self.branch_pool(_average(x))], 1)


class BlockD(nn.Module):
    """17×17 → 8×8."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = ConvNorm(channels, 192), ConvNorm(192, 320, 3, 2, pad=False)
        self.branch7x7x3_1, self.branch7x7x3_2 = ConvNorm(channels, 192), ConvNorm(192, 192, (1, 7))
        self.branch7x7x3_3, self.branch7x7x3_4 = ConvNorm(192, 192, (7, 1)), ConvNorm(192, 192, 3, 2, pad=False)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([self.branch3x3_2(self.branch3x3_1(x)), seven, F.max_pool2d(x, 3, 2)], 1)


class BlockE(nn.Module):
    """8×8: 1×1, rows beside columns of 3, 3×3 and the same, pooling (of the maximum in the last block)."""

    def __init__(self, channels: int, pools_maximum: bool) -> None:
        super().__init__()
        row, column = (1, 3), (3, 1)
        self.branch1x1 = ConvNorm(channels, 320)
        self.branch3x3_1 = ConvNorm(channels, 384)
        self.branch3x3_2a, self.branch3x3_2b = ConvNorm(384, 384, row), ConvNorm(384, 384, column)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = ConvNorm(channels, 448), ConvNorm(448, 384, 3)
        self.branch3x3dbl_3a, self.branch3x3dbl_3b = ConvNorm(384, 384, row), ConvNorm(384, 384, column)
        self.branch_pool = ConvNorm(channels, 192)
        self.pools_maximum = pools_maximum

    def forward(self, x: Tensor) -> Tensor:
        single = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, 3, 1, 1) if self.pools_maximum else _average(x)
        return torch.cat(
            [
                self.branch1x1(x),
                self.branch3x3_2a(single),
                self.branch3x3_2b(single),
                self.branch3x3dbl_3a(double),
                self.branch3x3dbl_3b(double),
                self.branch_pool(pooled),
            ],
            1,
        )


class FidInception(nn.Module):
    """`forward` takes (n, 3, h, w) RGB in [0, 1] of any size and returns (n, 2048)."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = ConvNorm(3, 32, 3, 2, pad=False)
        self.Conv2d_2a_3x3, self.Conv2d_2b_3x3 = ConvNorm(32, 32, 3, pad=False), ConvNorm(32, 64, 3)
        self.Conv2d_3b_1x1, self.Conv2d_4a_3x3 = ConvNorm(64, 80), ConvNorm(80, 192, 3, pad=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = BlockA(192, 32), BlockA(256, 64), BlockA(288, 64)
        self.Mixed_6a = BlockB(288)
        self.Mixed_6b, self.Mixed_6c = BlockC(768, 128), BlockC(768, 160)
        self.Mixed_6d, self.Mixed_6e = BlockC(768, 160), BlockC(768, 192)
        self.Mixed_7a = BlockD(768)
        self.Mixed_7b, self.Mixed_7c = BlockE(1280, False), BlockE(2048, True)

    def forward(self, images: Tensor) -> Tensor:
        x = F.interpolate(images, (IMAGE_SIZE, IMAGE_SIZE), mode="bilinear", align_corners=False)
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(2 * x - 1)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, 2))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        return self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))).mean(dim=(2, 3))


def load_inception(path: Path, device: torch.device | str = "cpu") -> FidInception:
    """The network with its published weights, frozen, in float32.

    Raises:
        WeightsError: The file is missing, unsafe or of another network.
    """
    network = FidInception()
    load_into(network, read_state_dict(path), path, ignore=_IGNORED)
    return network.to(device).eval().requires_grad_(False)
