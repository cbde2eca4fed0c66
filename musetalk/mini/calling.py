"""Commands that take hours: what stops the recipe stops them too, and they have the time they need to save."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from musetalk.cli import Terminated
from musetalk.training.processes import ChildProcesses


def call(command: Sequence[str]) -> int:
    """Run a command to its end; its exit code. For the main thread.

    Ctrl-C and SIGTERM are passed on to it, and raised when it has ended.

    Raises:
        KeyboardInterrupt: One of them came (Terminated: SIGTERM).
    """
    with ChildProcesses() as started:
        code = started.start(command).wait()
    if started.signals:
        raise Terminated if started.signals[0] == signal.SIGTERM else KeyboardInterrupt
    return code
