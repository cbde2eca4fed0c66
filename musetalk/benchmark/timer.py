"""How long something takes: warm-up, repeats, the median, and devices that work behind one's back."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch


def synchronize(device: torch.device) -> None:
    """Wait until a device has done all that it was asked to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def median_seconds(
    run: Callable[[], object],
    device: torch.device,
    repeats: int,
    *,
    warm_up: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Median of `repeats` runs, each waited for, after `warm_up` runs that do not count.

    Args:
        run: What is timed.
        device: Where it works.
        repeats: At least 1.
        warm_up: Runs before.
        clock: Seconds that never go back.
    """
    for _ in range(warm_up):
        run()
    times = []
    for _ in range(repeats):
        synchronize(device)
        began = clock()
        run()
        synchronize(device)
        times.append(clock() - began)
    return median(times)
