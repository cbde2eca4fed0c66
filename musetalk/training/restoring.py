"""Networks, adversaries and optimisers as a checkpoint of the run holds them.

All raise `WeightsError` where the checkpoint is damaged or was written with other settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from musetalk.checkpoint import load_into
from musetalk.errors import WeightsError
from musetalk.training.checkpoint import read_part
from musetalk.training.learning_judge import LearningJudge

_OTHER_SETTINGS = "Continue it with the settings it was trained with, or choose another exp_name."
ARCHITECTURE = "architecture"
"""Among a checkpoint's facts: see `Task.architecture`."""


def check_architecture(architecture: Mapping[str, Any], facts: Mapping[str, Any], checkpoint: Path) -> None:
    """Check that a checkpoint's networks work as the run's do; facts of older releases do not say."""
    saved = facts.get(ARCHITECTURE, architecture)
    if saved != architecture:
        raise WeightsError(f"{checkpoint}: its networks work otherwise: {saved}, now {architecture}", _OTHER_SETTINGS)


def load_network(network: nn.Module, checkpoint: Path, name: str) -> None:
    """Take the weights of the part `name`."""
    try:
        load_into(network, read_part(checkpoint, name), checkpoint / f"{name}.pt")
    except WeightsError as error:
        raise WeightsError(error.what, _OTHER_SETTINGS) from None


def load_adversary(adversary: LearningJudge, checkpoint: Path, name: str) -> None:
    """Take the judge, its optimiser and its schedule from the part `name`."""
    path = f"{checkpoint / name}.pt"
    try:
        adversary.load_state_dict(read_part(checkpoint, name), path)
    except WeightsError as error:
        raise WeightsError(error.what, _OTHER_SETTINGS) from None
    except (KeyError, ValueError):
        raise WeightsError(f"{path}: its optimiser belongs to another network", _OTHER_SETTINGS) from None


def load_optimizer(optimizer: torch.optim.Optimizer, checkpoint: Path) -> None:
    """Take moments and counts from a checkpoint, and rates and decays from today's settings."""
    saved: dict[str, Any] = read_part(checkpoint, "optimizer")
    groups = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
    try:
        optimizer.load_state_dict(saved)
    except (ValueError, KeyError):
        raise WeightsError(f"{checkpoint / 'optimizer.pt'}: belongs to other networks", _OTHER_SETTINGS) from None
    for group, settings in zip(optimizer.param_groups, groups, strict=True):
        group.update(settings)
