"""The refiner as it learns: on what the decoder shows of painted latents, and on the faces they were painted over."""

from __future__ import annotations

import torch
from torch import nn

from musetalk.face.appearance import FIRST_ROW

UNSEEN_STEPS = 4
"""While it learns it is given the frame's rows in place of 0, 1, … or 4 quarters of those above the lower half: at
inference what is not shown is not painted either."""


def first_row(height: int) -> int:
    """The first of `height` rows, of pixels or latents, that is refined."""
    return round(FIRST_ROW * height)


def refined_faces(refiner: nn.Module, lower: torch.Tensor, sources: torch.Tensor) -> torch.Tensor:
    """Whole faces (n, 3, h, w) RGB, about [-1, 1], as they are seen; above the first refined row those of the frames.

    Args:
        refiner: The network, wrapped or bare.
        lower: (n, 3, rows, w) the painted faces from that row on.
        sources: (n, 3, h, w) the frames' faces in [-1, 1].
    """
    upper, rows = sources.split([first_row(sources.shape[2]), lower.shape[2]], dim=2)
    above = sources.shape[2] // 2 - upper.shape[2]
    unseen = above * int(torch.randint(UNSEEN_STEPS + 1, ())) // UNSEEN_STEPS if refiner.training else 0
    painted = torch.cat([rows[:, :, :unseen], lower[:, :, unseen:]], dim=2).float()
    return torch.cat([upper, refiner(painted, rows).shown(painted, rows)], dim=2)
