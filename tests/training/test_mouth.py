from __future__ import annotations

import torch

from musetalk.training.mouth import mouth_mask, mouth_mean, mouth_weights


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
