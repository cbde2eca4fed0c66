"""The refiner as it learns: on what the decoder shows of painted latents, and on the faces they were painted over."""

from __future__ import annotations

import torch
from torch import nn

from musetalk.face.refinement import first_row

UNSEEN_STEPS = 4
"""While it learns it is given the frame's rows in place of 0, 1, … or 4 quarters of those above the lower half: at
inference what is not shown is not painted either."""


def refined_faces(refiner: nn.Module, painted: torch.Tensor, sources: torch.Tensor) -> torch.Tensor:
    """Whole faces (n, 3, h, w) RGB, about [-1, 1], as they are seen; above the first refined row those of the frames.

    Args:
        refiner: The network, wrapped or bare.
        painted: (n, 3, h, w) whole faces alike; those rows of them are not looked at.
        sources: (n, 3, h, w) the frames' faces in [-1, 1].
    """
    height = sources.shape[2]
    first = first_row(height)
    above = height // 2 - first
    unseen = above * int(torch.randint(UNSEEN_STEPS + 1, ())) // UNSEEN_STEPS if refiner.training else 0
    upper, rows = sources.split([first, height - first], dim=2)
    given = torch.cat([rows[:, :, :unseen], painted[:, :, first + unseen :]], dim=2).float()
    return torch.cat([upper, refiner(given, rows).apply(given, rows)], dim=2)
