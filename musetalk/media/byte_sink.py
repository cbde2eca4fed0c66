"""Writing bytes where the other side may stall or go away: a file, a pipe, or an ffmpeg that carries them on."""

from __future__ import annotations

import os
import select
import subprocess
import threading
from collections import deque
from pathlib import Path
from typing import Protocol

from musetalk.media.writer import cause_in

# A pipe that is ready takes this much without blocking (POSIX' PIPE_BUF on Linux).
_PIECE = 4096


class Aborted(OSError):
    """The sink was told to give up while the other side took nothing."""


class ByteSink(Protocol):
    """What libav writes into: a file-like object without seeking."""

    def write(self, data: bytes) -> int:
        """Write all of it. Raises OSError."""
        ...

    def abort(self) -> None:
        """Let a `write` that waits, and all that follow, raise Aborted; from any thread."""
        ...

    def close(self, patience: float) -> str | None:
        """Let go, within `patience` seconds; why the other side failed, if it says so."""
        ...


class FileSink:
    """A file, emptied at first; written through, so that others can read what is there.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) or 0 :]
        return len(data)

    def abort(self) -> None:
        pass  # a disk does not stall

    def close(self, patience: float) -> str | None:
        self._file.close()
        return None


class PipeSink:
    """A pipe or socket of somebody else's. It stays as it is: blocking, and open."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._aborted = threading.Event()

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        while rest:
            self._wait()
            rest = rest[os.write(self._descriptor, rest[:_PIECE]) :]
        return len(data)

    def _wait(self) -> None:
        """Wait until the pipe takes something. (Windows has no such wait: there, `write` itself waits.)"""
        while not self._aborted.is_set():
            if os.name == "nt" or select.select([], [self._descriptor], [], 0.2)[1]:
                return
        raise Aborted("the other side takes no data")

    def abort(self) -> None:
        self._aborted.set()

    def close(self, patience: float) -> str | None:
        return None


class RelaySink:
    """The standard input of a command that carries the bytes on.

    Raises:
        OSError: The command cannot be started.
    """

    def __init__(self, command: list[str]) -> None:
        # A session of its own: Ctrl-C goes to this program alone, which then ends the relay in order.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        self._pipe = PipeSink(self._process.stdin.fileno())
        self._messages: deque[str] = deque(maxlen=50)
        self._listener = threading.Thread(target=self._listen, name="musetalk-relay", daemon=True)
        self._listener.start()

    def write(self, data: bytes) -> int:
        return self._pipe.write(data)

    def abort(self) -> None:
        self._pipe.abort()

    def close(self, patience: float) -> str | None:
        process = self._process
        assert process.stdin is not None and process.stderr is not None
        process.stdin.close()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self._messages.append("it did not end in time")
        self._listener.join(patience)
        process.stderr.close()
        return cause_in(tuple(self._messages)) if process.returncode else None

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._messages.append(line.decode("utf-8", "replace").rstrip())
