"""Losses of latents: what each of them tells apart."""

from __future__ import annotations

import pytest
import torch

from musetalk.training.latent_losses import (
    copying_loss,
    latent_detail_loss,
    latent_loss,
    pyramid_distance,
    structural_distance,
)
from musetalk.training.mouth import mouth_weights


def noise(seed: int) -> torch.Tensor:
    return torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(seed))


def shares() -> torch.Tensor:
    return mouth_weights(torch.tensor([[32, 64, 96, 112]] * 2), (128, 128), (16, 16))


def test_the_strength_of_detail_tells_blur_from_detail_elsewhere() -> None:
    latents, reference = noise(0), noise(1)
    blurred = torch.nn.functional.avg_pool2d(latents, 3, stride=1, padding=1)
    moved = latents.roll(1, 3)
    given = latents, reference, shares()
    assert latent_loss(blurred, *given) < latent_loss(moved, *given)
    assert latent_detail_loss(blurred, *given) > 1.5 * latent_detail_loss(moved, *given)
    assert latent_detail_loss(latents, *given) == 0


def test_copying_is_told_from_an_error_of_the_same_size() -> None:
    truth, reference = noise(0), noise(1)
    given = truth, reference, shares()
    way = reference - truth
    assert copying_loss(truth, *given) == 0
    assert copying_loss(reference, *given) == pytest.approx(1, abs=0.03)
    assert copying_loss(truth + way / 2, *given) == pytest.approx(1 / 4, abs=0.01)
    assert copying_loss(truth - way / 2, *given) == pytest.approx(1 / 4, abs=0.01)
    other = noise(2)
    assert copying_loss(truth + other * way.norm() / other.norm() / 2, *given) < 0.02


def test_copying_counts_where_the_mouth_is() -> None:
    truth, reference = torch.zeros(2, 4, 16, 16), noise(1)
    beside = reference.clone()
    beside[:, :, 6:, 2:14] = 0  # all but the mouth is the reference's
    given = truth, reference, shares()
    assert copying_loss(reference - beside, *given) > 2 * copying_loss(beside, *given)


def test_a_reference_with_the_same_mouth_may_be_copied() -> None:
    """Where truth and reference are one, the way between them is noise, and no error is large in it."""
    truth = noise(0)
    reference = truth + 0.01 * noise(1)
    assert copying_loss(truth + 0.3 * noise(2), truth, reference, shares()) < 0.01
    assert torch.isfinite(copying_loss(truth, truth, truth, shares()))


def test_the_distance_of_pictures_counts_large_shapes_more_than_grain() -> None:
    picture = torch.zeros(1, 3, 16, 16)
    grain = torch.ones(1, 3, 16, 16) * 0.5
    grain[..., ::2] *= -1
    flat = torch.full((1, 3, 16, 16), 0.5)
    assert pyramid_distance(picture, picture) == pytest.approx(0, abs=1e-6)
    assert pyramid_distance(flat, picture) == pytest.approx(0.5 - 0.02, abs=1e-3)
    assert pyramid_distance(grain, picture) == pytest.approx((0.5 - 0.02) / 3, abs=1e-3)


def test_structure_counts_where_contrast_is_low_too() -> None:
    generator = torch.Generator().manual_seed(0)
    picture = torch.randint(2, (1, 1, 34, 34), generator=generator).expand(-1, 3, -1, -1) * 2.0 - 1
    blurred = torch.nn.functional.avg_pool2d(picture, 5, stride=1, padding=2, count_include_pad=False)
    strong, pale = (structural_distance(blurred * size, picture * size).item() for size in (1.0, 0.4))
    assert structural_distance(picture, picture).item() == pytest.approx(0, abs=1e-5)
    assert strong > 0.3
    assert pale > 0.9 * strong


def test_structure_of_one_window_by_hand() -> None:
    """Two grey pictures as large as the window: the formula with means, variances and covariance over all of it."""
    generator = torch.Generator().manual_seed(1)
    a, b = (torch.rand(7, 7, generator=generator, dtype=torch.float64) for _ in range(2))
    both = ((a - a.mean()) * (b - b.mean())).mean()
    light = (2 * a.mean() * b.mean() + 1e-4) / (a.mean() ** 2 + b.mean() ** 2 + 1e-4)
    structure = (2 * both + 9e-4) / (a.var(correction=0) + b.var(correction=0) + 9e-4)
    found = structural_distance(*((x * 2 - 1).expand(1, 3, 7, 7) for x in (a, b)))
    assert found.item() == pytest.approx(1 - (light * structure).item(), rel=1e-6)
