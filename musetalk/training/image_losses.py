"""Losses between a decoded picture and the one that was encoded: pure functions."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def image_pyramid_loss(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """L1 of the images from full to 1/16 size, and of their gradients down to ¼; (n, 3, h, w) in [-1, 1].

    The small sizes keep the colours: edges alone are content with grey ones.
    """
    total = predicted.new_zeros(())
    for scale in range(5):
        if scale:
            predicted, target = F.avg_pool2d(predicted, 2), F.avg_pool2d(target, 2)
        total = total + F.l1_loss(predicted, target)
        if scale < 3:
            for axis in (2, 3):
                total = total + F.l1_loss(predicted.diff(dim=axis), target.diff(dim=axis))
    return total / 3


def detail_loss(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """L1 of the local deviation (5×5) of what a 2×2 mean takes away, at full and half size; (n, 3, h, w) in [-1, 1]."""
    total = predicted.new_zeros(())
    for _ in range(2):
        (ours, predicted), (theirs, target) = _detail(predicted), _detail(target)
        total = total + F.l1_loss(ours, theirs)
    return total / 2


def _detail(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How strong the detail is that half the size does not show, and the images at half the size."""
    half = F.avg_pool2d(images, 2)
    detail = images - F.interpolate(half, scale_factor=2)
    return (F.avg_pool2d(detail.square(), 5, stride=2) + 1e-5).sqrt(), half  # 1e-5: the root is steep at 0
