"""What the user sees while a command runs and at its end: progress bars, the table of stages, peak memory."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from musetalk.pipeline.stages import StageTime


class ProgressBars:
    """One bar for each stage, on standard error; nothing where that is not a terminal.

    A context manager, which leaves the bars as they are at its end.
    """

    def __init__(self, names: Sequence[str], unit: str = "frame") -> None:
        self._names = names
        self._unit = unit
        self._lock = threading.Lock()
        self._bars: dict[str, Any] = {}

    def start(self, total: int) -> None:
        """Show the bars, each to run to `total`."""
        from tqdm import tqdm

        with self._lock:
            self._bars = {
                name: tqdm(total=total, desc=f"{name:>8}", unit=self._unit, position=row, disable=None)
                for row, name in enumerate(self._names)
            }

    def advance(self, name: str) -> None:
        """Count one of a stage; stages without a bar are ignored. Called from any thread."""
        bar = self._bars.get(name)
        if bar is not None:
            with self._lock:
                bar.update()

    def __enter__(self) -> ProgressBars:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            for bar in self._bars.values():
                bar.close()


def stage_table(stages: Iterable[StageTime], frames: int, seconds: float) -> str:
    """The table of a finished task: frames, seconds and frames a second by stage and in all.

    Stages overlap, so their seconds add up to more than the whole took.
    """
    rows = [(stage.name, stage.items, stage.seconds) for stage in stages]
    rows.append(("in all", frames, seconds))
    lines = [f"  {'stage':<10}{'frames':>8}{'seconds':>10}{'fps':>8}"]
    for name, items, spent in rows:
        rate = f"{items / spent:.1f}" if spent > 0 else "-"
        lines.append(f"  {name:<10}{items:>8}{spent:>10.2f}{rate:>8}")
    return "\n".join(lines)


def peak_memory() -> str:
    """The most memory that this process has held so far, and on the GPU if one was used."""
    import torch

    text = f"{_peak_bytes() / 1e9:.2f} GB"
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        text += f", on the GPU {torch.cuda.max_memory_allocated() / 1e9:.2f} GB"
    return text


def _peak_bytes() -> int:
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
