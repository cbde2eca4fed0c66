"""A task small enough to follow by hand: y = 2x + 1 by a line, with an optional flaw at one sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from musetalk.training.task import Pass, Validation


class Samples:
    """Sample n: x drawn by n alone; NaN for the numbers in `flawed`."""

    def __init__(self, flawed: Callable[[int], bool] = lambda number: False) -> None:
        self.flawed = flawed
        self.taken: list[int] = []

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        self.taken.append(number)
        x = float(np.random.default_rng((3, number)).normal())
        return {"x": torch.tensor([x]), "y": torch.tensor([float("nan") if self.flawed(number) else 2 * x + 1])}


class Line:
    def __init__(self, samples: Samples | None = None, batch_size: int = 2, noise: float = 0.0) -> None:
        self.networks: dict[str, nn.Module] = {"line": nn.Linear(1, 1)}
        nn.init.zeros_(self.networks["line"].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.networks["line"].bias)  # type: ignore[arg-type]
        self.adversaries: dict[str, Any] = {}
        self.architecture: dict[str, Any] = {}
        self.weights = {"error": 1.0}
        self.samples = samples or Samples()
        self.batch_size, self.num_workers, self.noise = batch_size, 0, noise
        self.seen: list[float] = []
        self.after: Callable[[int], None] = lambda step: None

    def place(self, device: torch.device, dtype: torch.dtype) -> None:
        pass

    def forward(self, batch: Mapping[str, torch.Tensor], step: int) -> Pass:
        given = batch["x"] + self.noise * torch.randn_like(batch["x"])
        error = (self.networks["line"](given) - batch["y"]).square().mean()
        self.seen.append(float(error.detach()))
        self.after(step)
        return Pass({"error": error})

    def validate(self, networks: Mapping[str, nn.Module], step: int) -> Validation:
        slope = float(networks["line"].weight.detach())  # type: ignore[operator, arg-type]
        return Validation({"slope": slope}, {"strip": np.zeros((4, 4, 3), np.uint8)})

    def export(self, networks: Mapping[str, nn.Module], folder: Path) -> None:
        (folder / "exported.txt").write_text(str(float(networks["line"].bias.detach())))  # type: ignore[operator, arg-type]

    def warnings(self) -> list[str]:
        return []
