"""What the refiner is given while it learns."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from musetalk.face.refinement import first_row
from musetalk.models.refiner import RefinerNetwork
from musetalk.training.learning_refiner import refined_faces


class Recording(nn.Module):
    """A refiner that keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.network = RefinerNetwork((8, 16))
        self.painted = torch.empty(0)

    def forward(self, painted: torch.Tensor, source: torch.Tensor) -> object:
        self.painted = painted
        return self.network(painted, source)


@pytest.mark.parametrize("side", [64, 128, 256])
def test_rows_of_the_lower_half_are_always_those_that_were_painted(side: int) -> None:
    sources, first = torch.full((1, 3, side, side), -0.5), first_row(side)
    painted = torch.full((1, 3, side, side), 0.5)
    refiner = Recording()
    hidden = set()
    for seed in range(40):
        torch.manual_seed(seed)
        refined_faces(refiner, painted, sources)
        rows = refiner.painted[0, 0, :, 0]
        assert (rows[side // 2 - first :] == 0.5).all()
        hidden.add(int((rows == -0.5).sum()))
    assert hidden == {side // 8 * quarter // 4 for quarter in range(5)}
    refined_faces(refiner.eval(), painted, sources)
    assert (refiner.painted == 0.5).all()


def test_what_lies_above_is_the_frames() -> None:
    sources = torch.rand(2, 3, 64, 64) * 2 - 1
    first = first_row(64)
    faces = refined_faces(RefinerNetwork((8, 16)).eval(), torch.zeros(2, 3, 64, 64), sources)
    assert faces.shape == sources.shape and torch.equal(faces[:, :, :first], sources[:, :, :first])
    share = torch.sigmoid(torch.tensor(-1.0))
    torch.testing.assert_close(faces[:, :, first:], share * sources[:, :, first:], atol=1e-5, rtol=0)
