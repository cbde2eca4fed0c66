"""The mouth in a batch of faces: means over it, weights towards it."""

from __future__ import annotations

from collections.abc import Sequence

import torch

BASE_WEIGHT = 1.0
UPPER_WEIGHT = 0.15  # above this share of the height the target equals the input, but for the seam
UPPER_SHARE = 0.45
MOUTH_WEIGHT = 8.0


def mouth_mask(boxes: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """(n, 1, height, width) float32: 1 inside the boxes (n, 4) x1, y1, x2, y2, end exclusive."""
    x = torch.arange(width, device=boxes.device)
    y = torch.arange(height, device=boxes.device)
    inside_x = (x >= boxes[:, 0:1]) & (x < boxes[:, 2:3])
    inside_y = (y >= boxes[:, 1:2]) & (y < boxes[:, 3:4])
    return (inside_y[:, :, None] & inside_x[:, None, :])[:, None].float()


def mouth_mean(values: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Mean of (n, c, h, w) inside the boxes; 0 where there is no inside."""
    mask = mouth_mask(boxes, *values.shape[-2:])
    return (values * mask).sum() / (mask.sum() * values.shape[1]).clamp_min(1)


def mouth_weights(boxes: torch.Tensor, image_size: Sequence[int], size: Sequence[int]) -> torch.Tensor:
    """Weights (n, 1, h, w) at latent `size`: high around the mouth, low where the target is given anyway.

    Args:
        boxes: (n, 4) in pixels of the image.
        image_size: (height, width) of the image.
        size: (h, w) of the weights.
    """
    (height, width), (rows, columns) = image_size, size
    y = (torch.arange(rows, device=boxes.device) + 0.5) / rows
    x = (torch.arange(columns, device=boxes.device) + 0.5) / columns
    scale = torch.tensor([width, height, width, height], device=boxes.device)
    scaled = boxes / scale
    centre = (scaled[:, :2] + scaled[:, 2:]) / 2
    half = ((scaled[:, 2:] - scaled[:, :2]) / 2).clamp_min(0.05)
    distance_x = ((x[None] - centre[:, 0:1]) / half[:, 0:1]) ** 2
    distance_y = ((y[None] - centre[:, 1:2]) / half[:, 1:2]) ** 2
    distance = distance_y[:, :, None] + distance_x[:, None, :]
    base = torch.where(y < UPPER_SHARE, UPPER_WEIGHT, BASE_WEIGHT)[None, :, None]
    return (base + MOUTH_WEIGHT * torch.exp(-(distance - 0.5).clamp_min(0)))[:, None]
