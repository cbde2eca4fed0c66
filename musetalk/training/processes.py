"""Several processes of one program on this machine's CPU, as one: signals reach all, the first failure ends all."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import FrameType
from typing import IO

POLL_SECONDS = 0.1
GRACE_SECONDS = 5.0
"""How long processes have to end by themselves after one has failed: they may wait for it for ever."""
_PR_SET_PDEATHSIG = 1


def rank_environment(environment: Mapping[str, str], rank: int, count: int, port: int) -> dict[str, str]:
    """What tells torch and accelerate which of `count` processes this is."""
    own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_PORT": port}
    threads = {"OMP_NUM_THREADS": environment.get("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))}
    described = {name: str(value) for name, value in own.items()}
    return {**environment, **described, **threads, "MASTER_ADDR": "127.0.0.1", "ACCELERATE_USE_CPU": "true"}


def run_processes(count: int, program: Sequence[str]) -> int:
    """Run `python <program>` in several processes to their end; the exit code of the first that failed, or 0.

    What the others say on standard error is shown only where the first one has nothing to say.
    """
    with ExitStack() as files:
        others = [files.enter_context(tempfile.TemporaryFile()) for _ in range(count - 1)]
        return _run(program, [None, *others])


class ChildProcesses:
    """Processes that get the Ctrl-C and SIGTERM that this one gets, once, and do not outlive it. For the main thread.

    Within the block signals do nothing else; after it no process runs any more.

    Attributes:
        children: Those that were started.
        signals: Numbers of the signals that came.
    """

    def __init__(self) -> None:
        self.children: list[subprocess.Popen[bytes]] = []
        self.signals: list[int] = []

    def __enter__(self) -> ChildProcesses:
        self._before = {number: signal.signal(number, self._forward) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        for child in self.children:
            if child.poll() is None:
                child.kill()
                child.wait()

    def start(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None, errors: IO[bytes] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process; `errors` takes its standard error in the place of ours."""
        child = subprocess.Popen(
            command,
            env=environment,
            stderr=errors,
            start_new_session=True,  # Ctrl-C comes through us alone, once
            preexec_fn=end_with_parent if sys.platform == "linux" else None,
        )
        self.children.append(child)
        for number in self.signals:  # that came while it was started
            child.send_signal(number)
        return child

    def _forward(self, number: int, frame: FrameType | None) -> None:
        self.signals.append(number)
        for child in self.children:
            if child.poll() is None:
                child.send_signal(number)


def _run(program: Sequence[str], heard: Sequence[IO[bytes] | None]) -> int:
    count, port = len(heard), _free_port()
    with ChildProcesses() as started:
        for rank in range(count):
            environment = rank_environment(os.environ, rank, count, port)
            started.start([sys.executable, *program], environment, heard[rank])
        children = started.children
        failed = _wait(children)
    file = heard[failed] if failed is not None else None
    if file is not None:
        file.seek(0)
        sys.stderr.write(file.read().decode(errors="replace"))
    if failed is None:
        return 0
    code = children[failed].returncode
    return 128 - code if code < 0 else code  # killed by a signal: as shells report it


def _wait(children: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """Wait for all; the first process of those that failed first, or None."""
    while True:
        codes = [child.poll() for child in children]
        failed = [rank for rank, code in enumerate(codes) if code]
        if failed:
            ends = time.monotonic() + GRACE_SECONDS
            while time.monotonic() < ends and any(child.poll() is None for child in children):
                time.sleep(POLL_SECONDS)
            # Of processes that fail together, the first one speaks.
            return next((rank for rank, child in enumerate(children) if child.returncode), failed[0])
        if all(code == 0 for code in codes):
            return None
        time.sleep(POLL_SECONDS)


def end_with_parent() -> None:
    """Have the kernel send this process SIGTERM when its parent ends (Linux)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
