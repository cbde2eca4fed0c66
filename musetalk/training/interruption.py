"""Ctrl-C and SIGTERM end a run at the end of a step, with a checkpoint; a second one ends it at once."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType

from musetalk.cli import Terminated


class Interruption:
    """While entered, the first SIGINT or SIGTERM only sets `asked`."""

    def __init__(self) -> None:
        self.asked = False
        self._signal: int = signal.SIGTERM
        self._before: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> Interruption:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise self.exception()
        self.asked, self._signal = True, number

    def exception(self) -> KeyboardInterrupt:
        """What a command turns into the exit code of the signal."""
        return KeyboardInterrupt() if self._signal == signal.SIGINT else Terminated()
