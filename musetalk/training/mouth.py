"""The mouth in a batch of faces: means over it, weights towards it, and what lies around it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

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


def mouth_cells(
    latents: torch.Tensor, boxes: torch.Tensor, image_size: tuple[int, int], size: tuple[int, int]
) -> torch.Tensor:
    """The cells around each mouth, (n, c, rows, columns).

    Args:
        latents: (n, c, h, w).
        boxes: (n, 4) of the mouths, in pixels of the image.
        image_size: (height, width) of the image.
        size: (rows, columns), at most (h, w).
    """
    rows, columns = (min(wanted, whole) for wanted, whole in zip(size, latents.shape[-2:], strict=True))
    top = _first(boxes[:, 1::2], latents.shape[-2] / image_size[0], rows, latents.shape[-2])
    left = _first(boxes[:, 0::2], latents.shape[-1] / image_size[1], columns, latents.shape[-1])
    y = top[:, None] + torch.arange(rows, device=latents.device)
    x = left[:, None] + torch.arange(columns, device=latents.device)
    number = torch.arange(len(latents), device=latents.device)
    cut = latents.permute(0, 2, 3, 1)[number[:, None, None], y[:, :, None], x[:, None, :]]
    return cut.permute(0, 3, 1, 2)


def mouth_pixels(
    images: torch.Tensor, boxes: torch.Tensor, latent_size: tuple[int, int], size: tuple[int, int]
) -> torch.Tensor:
    """What the cells that `mouth_cells` takes of an image's latents show, (n, c, rows × s, columns × s).

    Args:
        images: (n, c, h, w).
        boxes: (n, 4) of the mouths, in its pixels.
        latent_size: (h / s, w / s) of the latents.
        size: (rows, columns) of cells.
    """
    height, width = images.shape[-2:]
    side = height // latent_size[0]
    return F.pixel_shuffle(mouth_cells(F.pixel_unshuffle(images, side), boxes, (height, width), size), side)


def _first(edges: torch.Tensor, scale: float, count: int, whole: int) -> torch.Tensor:
    """(n,) the first of `count` cells around the middle of edges (n, 2), inside the `whole`."""
    middle = edges.float().mean(dim=1) * scale
    return (middle - count / 2).round().long().clamp(0, whole - count)
