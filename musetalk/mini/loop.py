"""The loop that every training step of the bundled model shares: optimiser, schedule, checkpoints, log."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

SAVE_SECONDS = 120.0


def cosine_rate(step: int, total: int, warmup: int = 100, floor: float = 0.02) -> float:
    """Share of the peak learning rate at `step`: linear warm-up, then half a cosine down to `floor`."""
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, total - warmup))
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))


def save_atomic(state: dict[str, object], path: Path) -> None:
    """torch.save that leaves either the old file or the new one."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def train(
    network: nn.Module,
    loss_of: Callable[[int], dict[str, torch.Tensor]],
    *,
    steps: int,
    rate: float,
    checkpoint: Path,
    average: float = 0.0,
    weight_decay: float = 0.01,
    evaluate: Callable[[], dict[str, float]] | None = None,
    evaluate_every: int = 200,
    log_every: int = 50,
) -> nn.Module:
    """Train `network` in place and return it; continues from `checkpoint` where there is one.

    Args:
        loss_of: step number → named losses, the entry "loss" of which is minimised.
        average: decay of an exponential moving average of the weights, which `network` holds at the end; 0: none.
        evaluate: measured and logged every `evaluate_every` steps, on the current weights.
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, betas=(0.9, 0.99), weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: cosine_rate(step, steps))
    averaged = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(average)
    ) if average else None
    start = 0
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        if averaged is not None:
            averaged.load_state_dict(state["averaged"])
        start = state["step"]

    def save(step: int) -> None:
        save_atomic(
            {
                "network": network.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "averaged": averaged.state_dict() if averaged is not None else {},
                "step": step,
            },
            checkpoint,
        )

    log = checkpoint.with_suffix(".log.jsonl").open("a")
    began = saved = time.monotonic()
    sums: dict[str, float] = {}
    network.train()
    for step in range(start, steps):
        losses = loss_of(step)
        optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if averaged is not None:
            averaged.update_parameters(network)
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
        done = step + 1
        if done % log_every == 0 or done == steps:
            count = log_every if done % log_every == 0 else steps % log_every
            row = {"step": done, "seconds": round(time.monotonic() - began, 1)}
            row |= {name: round(total / count, 5) for name, total in sums.items()}
            sums = {}
            if evaluate is not None and (done % evaluate_every == 0 or done == steps):
                network.eval()
                row |= {name: round(value, 5) for name, value in evaluate().items()}
                network.train()
            print(json.dumps(row), file=log, flush=True)
        if time.monotonic() - saved > SAVE_SECONDS or done == steps:
            save(done)
            saved = time.monotonic()
    log.close()
    if averaged is not None:
        network.load_state_dict(averaged.module.state_dict())
    return network.eval()
