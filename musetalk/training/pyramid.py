"""Image pyramids: the same images at several scales, blurred before they are thinned out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def gaussian_kernel(sigma: float) -> Tensor:
    """(k,) float32 Gaussian of sum 1, k = 2 · round(4 · sigma) + 1 (published)."""
    reach = round(4 * sigma)
    positions = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = torch.exp(-positions.square() / (2 * sigma**2))
    return kernel / kernel.sum()


def shrink(images: Tensor, scale: float) -> Tensor:
    """Images at 1/n of their size. Published: Gaussian blur of sigma (n − 1) / 2, then every n-th pixel from the first.

    Args:
        images: (n, c, h, w).
        scale: 1, ½, ⅓, …; outside the image are zeros.

    Raises:
        ValueError: The scale is no such fraction.
    """
    stride = stride_of(scale)
    if stride == 1:
        return images
    kernel = gaussian_kernel((stride - 1) / 2).to(images.device, images.dtype)
    channels, reach = images.shape[1], len(kernel) // 2
    # The blur is separable; thinning out each axis with it leaves only the pixels that are kept to compute.
    columns = kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    rows = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    images = F.conv2d(images, columns, stride=(stride, 1), padding=(reach, 0), groups=channels)
    return F.conv2d(images, rows, stride=(1, stride), padding=(0, reach), groups=channels)


def stride_of(scale: float) -> int:
    """n for the scale 1/n.

    Raises:
        ValueError: The scale is no such fraction.
    """
    stride = round(1 / scale)
    if abs(1 / stride - scale) > 1e-6:
        raise ValueError(f"a scale of {scale} is not one over a whole number")
    return stride


class ImagePyramid(nn.Module):
    """(n, c, h, w) images → the images by scale, in float32 also under autocast.

    Args:
        scales: Each one over a whole number. Published: 1, ½, ¼, ⅛.
    """

    def __init__(self, scales: Sequence[float]) -> None:
        super().__init__()
        for scale in scales:
            stride_of(scale)
        self.scales = tuple(scales)

    def forward(self, images: Tensor) -> dict[float, Tensor]:
        with torch.autocast(images.device.type, enabled=False):
            return {scale: shrink(images.float(), scale) for scale in self.scales}
