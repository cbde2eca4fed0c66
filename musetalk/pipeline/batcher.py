"""Faces of many streams in one pass of the networks."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

MOST_FACES = 16
"""In one pass. More make each pass longer, and nothing faster on the machines that were measured."""


class FaceMaker(Protocol):
    """What makes faces: a `Generator`, or a `Batcher` in front of one."""

    def generate(self, latents: torch.Tensor, windows: np.ndarray, visible_from: float = 0.0) -> np.ndarray: ...


@dataclass(eq=False)
class _Request:
    """Faces that somebody waits for."""

    latents: torch.Tensor
    windows: np.ndarray
    visible_from: float
    given: int = 0  # how many are in a pass that is done or under way
    faces: list[np.ndarray] = field(default_factory=list)
    error: BaseException | None = None

    @property
    def shapes(self) -> tuple[object, ...]:
        return self.latents.shape[1:], self.windows.shape[1:]

    @property
    def done(self) -> bool:
        return self.error is not None or len(self.faces) == len(self.windows)


class Batcher:
    """Stands for a generator towards many threads: what they ask for at the same time goes through in one pass.

    Nobody waits for others to ask. While a pass is under way, requests gather; the next pass takes one face of each in
    turn, so that each has a fair share whatever the others ask for. The passes are done by the threads that wait.

    Args:
        generator: Makes the faces; called by one thread at a time.
        most: Faces in one pass.

    Attributes:
        passes: Passes so far.
        faces: Faces in them.
    """

    def __init__(self, generator: FaceMaker, most: int = MOST_FACES) -> None:
        self._generator = generator
        self._most = most
        self._waiting: deque[_Request] = deque()
        self._busy = False
        self._changed = threading.Condition()
        self.passes = 0
        self.faces = 0

    def generate(self, latents: torch.Tensor, windows: np.ndarray, visible_from: float = 0.0) -> np.ndarray:
        """Faces (n, s, s, 3) BGR uint8; see `Generator.generate`. From any thread."""
        request = _Request(latents, np.asarray(windows), visible_from)
        with self._changed:
            self._waiting.append(request)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: request.done or not self._busy)
                if request.done:
                    break
                self._busy = True
                turns = self._next_pass()
            self._run(turns)
        if request.error is not None:
            raise request.error
        return np.stack(request.faces)

    def _next_pass(self) -> list[tuple[_Request, int]]:
        """(request, which of its faces), one face of each request in turn, of those that fit the oldest one."""
        turns: list[tuple[_Request, int]] = []
        shapes = self._waiting[0].shapes if self._waiting else None
        others: list[_Request] = []
        while self._waiting and len(turns) < self._most:
            request = self._waiting.popleft()
            if request.shapes != shapes:
                others.append(request)
                continue
            turns.append((request, request.given))
            request.given += 1
            if request.given < len(request.windows):
                self._waiting.append(request)
        self._waiting.extendleft(reversed(others))
        return turns

    def _run(self, turns: list[tuple[_Request, int]]) -> None:
        faces: np.ndarray | None = None
        error: BaseException | None = None
        try:
            faces = self._generator.generate(
                torch.stack([request.latents[k] for request, k in turns]),
                np.stack([request.windows[k] for request, k in turns]),
                min(request.visible_from for request, _ in turns),
            )
        except BaseException as caught:
            error = caught
            raise
        finally:
            with self._changed:
                self._busy = False
                self.passes += 1
                self.faces += len(turns)
                for place, (request, _) in enumerate(turns):
                    if faces is not None:
                        request.faces.append(faces[place])
                    elif request.error is None:
                        request.error = error
                self._waiting = deque(request for request in self._waiting if request.error is None)
                self._changed.notify_all()
