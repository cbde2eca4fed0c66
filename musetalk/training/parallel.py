"""What differs between the ways that accelerate shares the work: one process, several, DeepSpeed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from musetalk.errors import ConfigError

DEEPSPEED_FOLDER = "deepspeed"


class Parallel(Protocol):
    """Wraps networks and optimisers, and carries out their steps."""

    shards_optimizer: bool
    """Whether each process keeps a part of the optimiser's state, and writes it by itself."""

    def wrap(
        self, networks: Sequence[nn.Module], optimizer: torch.optim.Optimizer, batch: int, max_norm: float
    ) -> tuple[list[nn.Module], Any]:
        """The networks and their optimiser as the training loop uses them."""
        ...

    def save_shard(self, folder: Path) -> None:
        """Write this process's part of the optimiser's state."""
        ...

    def load_shard(self, folder: Path) -> None:
        """Read it again."""
        ...


def choose_parallel(accelerator: Any) -> Parallel:
    """The one that the launcher's configuration asks for."""
    from accelerate.utils import DistributedType

    deepspeed = accelerator.distributed_type == DistributedType.DEEPSPEED
    return DeepSpeed(accelerator) if deepspeed else Plain(accelerator)


class Plain:
    """One process, or several with the same networks (DDP)."""

    shards_optimizer = False

    def __init__(self, accelerator: Any) -> None:
        self.accelerator = accelerator

    def wrap(
        self, networks: Sequence[nn.Module], optimizer: torch.optim.Optimizer, batch: int, max_norm: float
    ) -> tuple[list[nn.Module], Any]:
        *wrapped, optimizer = self.accelerator.prepare(*networks, optimizer)
        return wrapped, optimizer

    def save_shard(self, folder: Path) -> None:
        """Nothing is sharded."""

    def load_shard(self, folder: Path) -> None:
        """Nothing is sharded."""


class DeepSpeed:
    """DeepSpeed's ZeRO, stages 0 to 2, for the one network of the main optimiser; discriminators stay outside of it."""

    shards_optimizer = True

    def __init__(self, accelerator: Any) -> None:
        self.accelerator = accelerator
        self.engine: Any = None

    def wrap(
        self, networks: Sequence[nn.Module], optimizer: torch.optim.Optimizer, batch: int, max_norm: float
    ) -> tuple[list[nn.Module], Any]:
        if len(networks) > 1:
            raise ConfigError(
                f"DeepSpeed trains one network, and there are {len(networks)}",
                "Set train_decoder to false and refiner_config to null, or choose another accelerate configuration.",
            )
        settings = self.accelerator.state.deepspeed_plugin.deepspeed_config
        if settings.get("zero_optimization", {}).get("stage", 0) > 2:
            raise ConfigError(
                "accelerate's configuration asks for ZeRO stage 3, which splits the networks themselves",
                "Set zero_stage to 2 in the deepspeed_config: the networks here are small enough.",
            )
        # Those that DeepSpeed would take from a loader of accelerate's, and those that our settings decide.
        passes = self.accelerator.gradient_accumulation_steps
        settings["train_micro_batch_size_per_gpu"], settings["gradient_accumulation_steps"] = batch, passes
        settings["train_batch_size"] = batch * passes * self.accelerator.num_processes
        settings["gradient_clipping"] = max_norm
        for network in networks:  # DeepSpeed sends weights as bytes, which it cannot in channels-last layout
            network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        self.engine, optimizer = self.accelerator.prepare(*networks, optimizer)
        return [self.engine], optimizer

    def save_shard(self, folder: Path) -> None:
        self.engine.save_checkpoint(str(folder / DEEPSPEED_FOLDER), tag="state", exclude_frozen_parameters=True)

    def load_shard(self, folder: Path) -> None:
        # DeepSpeed reads its own files in its own way; only checkpoints of runs with DeepSpeed hold such files.
        self.engine.load_checkpoint(str(folder / DEEPSPEED_FOLDER), tag="state", load_lr_scheduler_states=False)
