"""BiSeNet face parser with a ResNet-18 context path, 19 classes (loads 79999_iter.pth unchanged).

Yu et al. 2018, arXiv 1808.00897; the spatial path is the context path's feature map of stride 8, as in the
published face parser.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASS_COUNT = 19


class ConvBNReLU(nn.Module):
    """Convolution without bias, batch norm, ReLU; keeps the size."""

    def __init__(self, channels_in: int, channels_out: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel_size, padding=kernel_size // 2, bias=False)
        self.bn = nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class BasicBlock(nn.Module):
    """Residual block of ResNet-18."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        residual = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(residual + self.downsample(x))


class ResNet18(nn.Module):
    """Feature maps of stride 8, 16 and 32 (128, 256, 512 channels)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(BasicBlock(64, 64), BasicBlock(64, 64))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256))
        self.layer4 = nn.Sequential(BasicBlock(256, 512, 2), BasicBlock(512, 512))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        stride8 = self.layer2(self.layer1(x))
        stride16 = self.layer3(stride8)
        return stride8, stride16, self.layer4(stride16)


class AttentionRefinement(nn.Module):
    """A 3×3 block whose channels are weighted by their global mean."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = ConvBNReLU(channels_in, channels_out)
        self.conv_atten = nn.Conv2d(channels_out, channels_out, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        mean = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.bn_atten(self.conv_atten(mean)))


class ContextPath(nn.Module):
    """ResNet-18 and the refined maps of strides 16 and 32, each brought one step up."""

    def __init__(self) -> None:
        super().__init__()
        self.resnet = ResNet18()
        self.arm16 = AttentionRefinement(256, 128)
        self.arm32 = AttentionRefinement(512, 128)
        self.conv_head32 = ConvBNReLU(128, 128)
        self.conv_head16 = ConvBNReLU(128, 128)
        self.conv_avg = ConvBNReLU(512, 128, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        stride8, stride16, stride32 = self.resnet(x)
        context = self.conv_avg(stride32.mean((2, 3), keepdim=True))
        up32 = F.interpolate(self.arm32(stride32) + context, stride16.shape[2:], mode="nearest")
        up32 = self.conv_head32(up32)
        up16 = F.interpolate(self.arm16(stride16) + up32, stride8.shape[2:], mode="nearest")
        return stride8, self.conv_head16(up16), up32


class FeatureFusion(nn.Module):
    """Joins the spatial and the context map with channel attention."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.convblk = ConvBNReLU(channels_in, channels_out, 1)
        self.conv1 = nn.Conv2d(channels_out, channels_out // 4, 1, bias=False)
        self.conv2 = nn.Conv2d(channels_out // 4, channels_out, 1, bias=False)

    def forward(self, spatial: Tensor, context: Tensor) -> Tensor:
        x = self.convblk(torch.cat([spatial, context], 1))
        attention = torch.sigmoid(self.conv2(F.relu(self.conv1(x.mean((2, 3), keepdim=True)))))
        return x * attention + x


class Head(nn.Module):
    """A 3×3 block and a 1×1 convolution to the classes."""

    def __init__(self, channels_in: int, channels_mid: int, class_count: int) -> None:
        super().__init__()
        self.conv = ConvBNReLU(channels_in, channels_mid)
        self.conv_out = nn.Conv2d(channels_mid, class_count, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(self.conv(x))


class BiSeNet(nn.Module):
    """Class logits of every pixel.

    `forward` takes (B, 3, H, W) RGB, ImageNet mean and standard deviation removed, and returns (B, 19, H, W) logits.
    """

    def __init__(self, class_count: int = CLASS_COUNT) -> None:
        super().__init__()
        self.cp = ContextPath()
        self.ffm = FeatureFusion(256, 256)
        self.conv_out = Head(256, 256, class_count)
        self.conv_out16 = Head(128, 64, class_count)
        self.conv_out32 = Head(128, 64, class_count)

    def forward(self, x: Tensor) -> Tensor:
        stride8, context8, _ = self.cp(x)
        return _scaled_to(self.conv_out(self.ffm(stride8, context8)), x)

    def all_heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The logits of `forward` and of both auxiliary heads (strides 8 and 16), which only training uses."""
        stride8, context8, context16 = self.cp(x)
        fused = self.ffm(stride8, context8)
        heads = self.conv_out(fused), self.conv_out16(context8), self.conv_out32(context16)
        return _scaled_to(heads[0], x), _scaled_to(heads[1], x), _scaled_to(heads[2], x)


def _scaled_to(logits: Tensor, image: Tensor) -> Tensor:
    return F.interpolate(logits, image.shape[2:], mode="bilinear", align_corners=True)
