"""The discriminator of latents looks at the mouth, at three depths."""

from __future__ import annotations

import torch

from musetalk.models.latent_discriminator import LatentDiscriminator, mouth_cells, mouth_pixels


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


def test_cells_around_the_mouth_stay_inside_the_latents() -> None:
    latents = torch.arange(3 * 32 * 32).reshape(3, 1, 32, 32).float()
    # middles at cells (16, 22), (1, 0.5) and (28.5, 30.4)
    boxes = torch.tensor([[96, 160, 160, 192], [0, 0, 16, 8], [200, 230, 256, 256]])
    cut = mouth_cells(latents, boxes, (256, 256), (12, 24))
    assert cut.shape == (3, 1, 12, 24)
    for one, whole, top, left in zip(cut, latents, (16, 0, 20), (4, 0, 8), strict=True):
        assert torch.equal(one, whole[:, top : top + 12, left : left + 24])
    assert mouth_cells(latents[:, :, :8, :8], boxes, (64, 64), (12, 24)).shape == (3, 1, 8, 8)


def test_pixels_around_the_mouth_are_those_of_its_cells() -> None:
    images = torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(1))
    boxes = torch.tensor([[96, 160, 160, 192], [200, 230, 256, 256]])
    cut = mouth_pixels(images, boxes, (32, 32), (12, 24))
    assert torch.equal(cut[0], images[0, :, 128:224, 32:224])
    assert torch.equal(cut[1], images[1, :, 160:256, 64:256])
