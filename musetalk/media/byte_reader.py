"""Reading from a pipe that may stall, with a timeout and an end that another thread or a signal can bring about."""

from __future__ import annotations

import os
import queue
import select
import threading
from typing import Protocol

_PIECE = 1 << 15
_QUEUED_PIECES = 16


class ByteReader(Protocol):
    """What the two ways to read have in common."""

    def read(self, timeout: float) -> bytes | None:
        """The next bytes; None when nothing came within `timeout` seconds; b"" at the end. Raises OSError."""
        ...

    def close(self) -> None:
        """Let `read` return b"" from now on, also one that waits in another thread. Idempotent."""
        ...


def open_reader(descriptor: int, owned: bool) -> ByteReader:
    """A reader of a file descriptor. On Windows pipes cannot be waited for, so that a thread has to.

    Args:
        descriptor: An open file, pipe or socket.
        owned: Close it with the reader.
    """
    return ThreadReader(descriptor, owned) if os.name == "nt" else SelectReader(descriptor, owned)


class SelectReader:
    """Waits for the pipe and for `close` at once. A producer that is too fast is held up by its own pipe."""

    def __init__(self, descriptor: int, owned: bool) -> None:
        self._descriptor, self._owned = descriptor, owned
        self._woken, self._wake = os.pipe()
        self._reading = threading.Lock()  # descriptors are not closed under a reader
        self._asked = self._closing = self._released = False

    def read(self, timeout: float) -> bytes | None:
        with self._reading:
            found = b"" if self._closing else self._read(timeout)
        self._release()
        return found

    def close(self) -> None:
        if self._asked:
            return
        self._asked = True
        os.write(self._wake, b"x")
        self._closing = True
        self._release()

    def _read(self, timeout: float) -> bytes | None:
        ready, _, _ = select.select([self._descriptor, self._woken], [], [], timeout)
        if self._woken in ready:
            return b""
        if not ready:
            return None
        try:
            return os.read(self._descriptor, _PIECE)
        except BlockingIOError:
            return None

    def _release(self) -> None:
        """Close the descriptors, here or, when `close` comes from a signal or another thread, as `read` returns."""
        if not self._closing or not self._reading.acquire(blocking=False):
            return
        try:
            if not self._released:
                self._released = True
                for descriptor in (self._wake, self._woken, *([self._descriptor] if self._owned else [])):
                    os.close(descriptor)
        finally:
            self._reading.release()


class ThreadReader:
    """A thread reads ahead a little; one that is stuck in a pipe when the reader is closed ends with the program."""

    def __init__(self, descriptor: int, owned: bool) -> None:
        self._descriptor, self._owned = descriptor, owned
        self._pieces: queue.Queue[bytes | OSError] = queue.Queue(_QUEUED_PIECES)
        self._closed = threading.Event()
        threading.Thread(target=self._pump, name="musetalk-input", daemon=True).start()

    def read(self, timeout: float) -> bytes | None:
        if self._closed.is_set():
            return b""
        try:
            piece = self._pieces.get(timeout=timeout) if timeout > 0 else self._pieces.get_nowait()
        except queue.Empty:
            return None
        if isinstance(piece, OSError):
            raise piece
        if not piece:
            self._closed.set()
        return piece

    def close(self) -> None:
        self._closed.set()
        try:
            self._pieces.put_nowait(b"")  # wakes a `read`
        except queue.Full:
            return  # then it does not wait

    def _pump(self) -> None:
        piece: bytes | OSError = b"x"
        while piece and not isinstance(piece, OSError) and not self._closed.is_set():
            try:
                piece = os.read(self._descriptor, _PIECE)
            except OSError as error:
                piece = error
            while not self._closed.is_set():
                try:
                    self._pieces.put(piece, timeout=0.5)
                    break
                except queue.Full:
                    continue
        if self._owned:
            os.close(self._descriptor)
