"""What the trainer needs to know of a task: its networks, samples and losses, and how to measure and export it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from musetalk.training.learning_judge import LearningJudge


@dataclass(frozen=True)
class Pass:
    """What one pass over a batch gives.

    Attributes:
        losses: Unweighted, by name; 0-d.
        pairs: What each judge that learns in this pass is given: the truth, (n, c, h, w), and what `own_loss` takes
            beside it.
    """

    losses: Mapping[str, torch.Tensor]
    pairs: Mapping[str, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)


@dataclass(frozen=True)
class Validation:
    """Numbers by name, and pictures (h, w, 3) BGR uint8 by name."""

    values: Mapping[str, float]
    strips: Mapping[str, np.ndarray] = field(default_factory=dict)


class Task(Protocol):
    """What is trained.

    Attributes:
        networks: What the optimiser trains, by name; the trainer puts the wrapped ones of several processes here.
        adversaries: Judges by name, discriminators mostly, each with an optimiser of its own.
        weights: Weight of each named loss.
        samples: `samples[number]` is a sample, in every process the same.
        batch_size, num_workers: Of one process.
        architecture: What the shapes of weights do not tell, as JSON: a run goes on from checkpoints of the same alone.
    """

    networks: dict[str, nn.Module]
    adversaries: Mapping[str, LearningJudge]
    weights: Mapping[str, float]
    samples: Any
    batch_size: int
    num_workers: int
    architecture: Mapping[str, Any]

    def forward(self, batch: Any, step: int) -> Pass:
        """The losses of a batch that lies on the device, through `networks` as they are."""
        ...

    def place(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move everything that is frozen to the device, in the dtype of mixed precision."""
        ...

    def validate(self, networks: Mapping[str, nn.Module], step: int) -> Validation:
        """Measure bare networks on fixed samples of the validation list; only the main process calls it."""
        ...

    def export(self, networks: Mapping[str, nn.Module], folder: Path) -> None:
        """Write what inference or a later stage takes."""
        ...

    def warnings(self) -> list[str]:
        """What has gone wrong with samples since the last call."""
        ...
