from __future__ import annotations

import torch

from musetalk.training.mouth import mouth_cells, mouth_mask, mouth_mean, mouth_pixels, mouth_weights


def test_the_mask_is_one_inside_the_box_and_boxes_may_leave_the_face() -> None:
    mask = mouth_mask(torch.tensor([[1, 2, 3, 4], [-5, -5, 1, 1]]), 4, 5)
    assert mask.shape == (2, 1, 4, 5)
    assert mask[0, 0].nonzero().tolist() == [[2, 1], [2, 2], [3, 1], [3, 2]]
    assert mask[1, 0].nonzero().tolist() == [[0, 0]]


def test_the_mean_sees_the_box_alone() -> None:
    values = torch.full((1, 3, 4, 4), 9.0)
    values[:, :, 1, 1] = 2.0
    assert float(mouth_mean(values, torch.tensor([[1, 1, 2, 2]]))) == 2.0
    assert float(mouth_mean(values, torch.tensor([[3, 3, 3, 3]]))) == 0.0


def test_weights_are_highest_on_the_mouth_and_lowest_above() -> None:
    weights = mouth_weights(torch.tensor([[96, 160, 160, 192]]), torch.Size([256, 256]), torch.Size([32, 32]))[0, 0]
    assert weights.shape == (32, 32)
    mouth, chin, forehead = weights[22, 16], weights[31, 0], weights[2, 16]
    assert mouth > 8 and 1 <= chin < 1.1 and forehead < 0.2


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
