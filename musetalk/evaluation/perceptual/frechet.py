"""FID: how far two clouds of features lie apart, taken as Gaussians (Heusel et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from musetalk.evaluation.perceptual.inception import FidInception

BATCH = 8
LEAST_IMAGES = 2


@dataclass(frozen=True, eq=False)
class Cloud:
    """Features taken as a Gaussian.

    Attributes:
        mean: (d,) float64.
        spread: (k, d) float64, k ≤ d: its product with its own transpose, (d, d), is the covariance.
    """

    mean: np.ndarray
    spread: np.ndarray


class Features:
    """Collects features of pictures, a few at a time, and makes a `Cloud` of them."""

    def __init__(self, network: FidInception) -> None:
        self._network = network
        self._waiting: list[np.ndarray] = []
        self._found: list[np.ndarray] = []

    def add(self, picture: np.ndarray) -> None:
        """Take a picture, (h, w, 3) uint8 BGR; neighbours of another size start a new batch."""
        if self._waiting and self._waiting[0].shape != picture.shape:
            self._embed()
        self._waiting.append(picture)
        if len(self._waiting) == BATCH:
            self._embed()

    def cloud(self) -> Cloud | None:
        """None for less than two pictures."""
        self._embed()
        if sum(len(part) for part in self._found) < LEAST_IMAGES:
            return None
        return cloud_of(np.concatenate(self._found))

    @torch.inference_mode()
    def _embed(self) -> None:
        if not self._waiting:
            return
        rgb = np.stack([cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) for picture in self._waiting])
        device = next(self._network.parameters()).device
        images = torch.from_numpy(rgb.transpose(0, 3, 1, 2).astype(np.float32) / 255).to(device)
        self._found.append(self._network(images).cpu().numpy())
        self._waiting = []


def cloud_of(features: np.ndarray) -> Cloud:
    """The cloud of features (n, d), n ≥ 2."""
    wide = features.astype(np.float64)
    mean = wide.mean(axis=0)
    spread = (wide - mean) / np.sqrt(len(wide) - 1)
    if len(spread) > spread.shape[1]:
        spread = np.asarray(np.linalg.qr(spread, mode="r"))
    return Cloud(mean, spread)


def frechet_distance(first: Cloud, second: Cloud) -> float:
    """|m₁ − m₂|² + tr(C₁ + C₂ − 2 √(C₁ C₂)).

    With C = SᵀS the trace of the root is the sum of the singular values of S₁ S₂ᵀ. That is exact also for fewer
    pictures than features, where C₁ C₂ is singular and its root, which the published code takes, is not.
    """
    apart = first.mean - second.mean
    shared = np.linalg.svd(first.spread @ second.spread.T, compute_uv=False).sum()
    distance = apart @ apart + np.square(first.spread).sum() + np.square(second.spread).sum() - 2 * shared
    return max(float(distance), 0.0)
