"""Optimiser and learning-rate schedule from the settings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from musetalk.errors import ConfigError
from musetalk.training.config import SolverConfig


def build_optimizer(parameters: Iterable[nn.Parameter], solver: SolverConfig, scale: int) -> torch.optim.Optimizer:
    """AdamW with the published settings (betas 0.5 and 0.999, weight decay 0.01).

    Args:
        parameters: What it trains.
        solver: Its settings.
        scale: Samples in one step of all processes together; with scale_lr the learning rate is multiplied by it.

    Raises:
        ConfigError: use_8bit_adam without the package that has it.
    """
    kind: Any = torch.optim.AdamW
    if solver.use_8bit_adam:
        try:
            from bitsandbytes.optim import AdamW8bit
        except ImportError:
            raise ConfigError(
                "solver.use_8bit_adam: the package bitsandbytes is not installed",
                "Install it with `pip install bitsandbytes`, or set use_8bit_adam to false.",
            ) from None
        kind = AdamW8bit
    return kind(
        [parameter for parameter in parameters if parameter.requires_grad],
        lr=solver.learning_rate * (scale if solver.scale_lr else 1),
        betas=(solver.adam_beta1, solver.adam_beta2),
        weight_decay=solver.adam_weight_decay,
        eps=solver.adam_epsilon,
    )


def build_schedule(
    optimizer: torch.optim.Optimizer, solver: SolverConfig, done: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """The schedule of lr_scheduler over max_train_steps, one step of it a step of the optimiser.

    Args:
        optimizer: Has the full learning rate.
        solver: Settings.
        done: Steps done so far: the rate follows from these and the settings, and nothing else has to be kept.
    """
    from diffusers.optimization import get_scheduler

    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return get_scheduler(
        solver.lr_scheduler,
        optimizer,
        num_warmup_steps=solver.lr_warmup_steps,
        num_training_steps=solver.max_train_steps,
        last_epoch=done - 1,
    )
