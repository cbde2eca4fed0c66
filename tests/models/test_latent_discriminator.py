"""The discriminator of latents looks at the mouth, at three depths."""

from __future__ import annotations

import torch

from musetalk.models.latent_discriminator import LatentDiscriminator


def test_it_judges_at_full_half_and_quarter_size() -> None:
    judged = LatentDiscriminator(7)({1.0: torch.randn(2, 7, 12, 24)})
    assert {share: tuple(at.score.shape) for share, at in judged.items()} == {
        1.0: (2, 1, 12, 24),
        0.5: (2, 1, 6, 12),
        0.25: (2, 1, 3, 6),
    }
    assert [at.features[0].shape[1] for at in judged.values()] == [64, 96, 128]


def test_it_learns_to_tell_blurred_from_sharp() -> None:
    torch.manual_seed(0)
    network = LatentDiscriminator(4)
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    for _ in range(60):
        sharp = torch.randn(8, 4, 12, 12)
        blurred = torch.nn.functional.avg_pool2d(sharp, 3, 1, 1)
        real, fake = (
            torch.stack([at.score.mean() for at in network({1.0: x}).values()]) for x in (sharp, blurred)
        )
        loss = ((real - 1).square() + fake.square()).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.6  # 1.5 where it cannot tell them apart
