"""Commands that take hours: what stops the recipe stops them too, and they have the time they need to save."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from musetalk.cli import Terminated
from musetalk.training.processes import end_with_parent


def call(command: Sequence[str]) -> int:
    """Run a command to its end; its exit code. For the main thread.

    Ctrl-C and SIGTERM are passed on to it, and raised when it has ended.

    Raises:
        KeyboardInterrupt: One of them came (Terminated: the second).
    """
    asked: list[int] = []
    child: subprocess.Popen[bytes] | None = None

    def forward(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        if child is not None and child.poll() is None:
            child.send_signal(number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        child = subprocess.Popen(
            command,
            start_new_session=True,  # Ctrl-C comes through us alone, once
            preexec_fn=end_with_parent if sys.platform == "linux" else None,
        )
        if asked:
            child.send_signal(asked[0])
        code = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked:
        raise Terminated if asked[0] == signal.SIGTERM else KeyboardInterrupt
    return code
