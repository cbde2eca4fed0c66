"""Accelerate's object, as the settings of a run ask for it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import torch

from musetalk.errors import ConfigError
from musetalk.training.config import SolverConfig

PATIENCE = timedelta(hours=24)
_PRECISION = {"fp32": "no"}  # published name → accelerate's


def build_accelerator(solver: SolverConfig) -> Any:
    """Accelerate's object for the processes that the launcher has started.

    Raises:
        ConfigError: fp16 without a GPU.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.utils import InitProcessGroupKwargs

    if solver.mixed_precision == "fp16" and not torch.cuda.is_available():
        raise ConfigError(
            "solver.mixed_precision: fp16 trains on CUDA only, and there is none",
            "Use bf16 or fp32 on this machine: solver.mixed_precision=bf16.",
        )
    AcceleratorState._reset_state()  # an earlier run of this program may have had another precision
    return Accelerator(
        mixed_precision=_PRECISION.get(solver.mixed_precision, solver.mixed_precision),
        gradient_accumulation_steps=solver.gradient_accumulation_steps,
        # While the first process prepares the sound of a large data set, the others wait.
        kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
    )
