"""Mean losses and rates between two rows of the log."""

from __future__ import annotations

import time
from collections.abc import Mapping


class LossWindow:
    """Means and rates since the last row of the log."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._samples = 0
        self._began = time.perf_counter()
        self._waited = 0.0

    def add(self, losses: Mapping[str, float], samples: int) -> None:
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1
        self._samples += samples

    def waiting(self) -> _Wait:
        return _Wait(self)

    def waited(self, seconds: float) -> None:
        self._waited += seconds

    def pause(self) -> None:
        """Leave out the time of a validation or a checkpoint: rates begin anew."""
        if not self._samples:
            self._began = time.perf_counter()

    def losses(self) -> dict[str, float]:
        return {name: total / self._counts[name] for name, total in self._sums.items()}

    def rates(self) -> dict[str, float]:
        """Samples a second of all processes, and the share of the time that the loader was waited for."""
        seconds = max(time.perf_counter() - self._began, 1e-9)
        return {"samples_per_second": self._samples / seconds, "waiting_for_data": self._waited / seconds}


class _Wait:
    def __init__(self, window: LossWindow) -> None:
        self._window = window

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *of_error: object) -> None:
        self._window.waited(time.perf_counter() - self._began)
