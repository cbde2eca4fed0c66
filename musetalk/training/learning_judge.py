"""A network that judges what a generator makes and learns beside it, with its optimiser and its schedule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from musetalk.checkpoint import load_into


class LearningJudge(ABC):
    """What `generator_losses` compare goes through `network`, frozen; what it learns from itself through `trained`.

    Call backward on the generator's losses before the optimiser's step: the step changes weights in place.

    Args:
        network: On its device.
        optimizer: Of the network's parameters.
        scheduler: Of the optimiser, one step with each of its own.

    Attributes:
        trained: `network` itself; set it to what wraps it for several processes.
        role: What its own loss is logged as, after its name.
    """

    role: ClassVar[str]

    def __init__(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, scheduler: torch.optim.lr_scheduler.LRScheduler
    ) -> None:
        self.network = network
        self.trained: nn.Module = network
        self.optimizer = optimizer
        self.scheduler = scheduler

    @abstractmethod
    def generator_losses(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """float32 scalars by name; gradients reach `fake`, and nothing else."""

    @abstractmethod
    def own_loss(self, real: Tensor, beside: Tensor) -> Tensor:
        """A float32 scalar whose gradients reach the network only.

        Args:
            real: (n, c, h, w), what is true.
            beside: What else it learns from; both are detached.
        """

    def state_dict(self) -> dict[str, Any]:
        """Everything that a continued run needs."""
        return {
            "discriminator": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any], path: str = "checkpoint") -> None:
        """Take what `state_dict` gave.

        Args:
            state: As from `state_dict`.
            path: Where it was read from, for the error.

        Raises:
            WeightsError: It belongs to a network of another shape.
        """
        load_into(self.network, state["discriminator"], path)
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Within, the module is in evaluation mode and its parameters take no gradients; then it is as it was."""
    training = module.training
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    module.eval().requires_grad_(False)
    try:
        yield
    finally:
        module.train(training)
        for parameter in trainable:
            parameter.requires_grad_(True)


def sum_of(terms: Iterator[Tensor]) -> Tensor:
    """The sum of losses, each a scalar."""
    return torch.stack(list(terms)).sum()
