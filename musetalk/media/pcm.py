"""Sound that arrives: from standard input, a named pipe, a file played in real time, or a program."""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from types import TracebackType

import numpy as np

from musetalk.audio.resampling import StreamResampler
from musetalk.audio.windows import SAMPLE_RATE
from musetalk.errors import InputError
from musetalk.media.audio_file import stream_audio
from musetalk.media.byte_reader import ByteReader, open_reader
from musetalk.media.pacing import Clock, Pacer
from musetalk.media.pcm_format import PcmDecoder, PcmFormat, may_be_wav, to_mono, wav_start

STANDARD_INPUT = "-"
RAW_SUFFIXES = (".pcm", ".raw")

# Somebody who waits for sound looks up this often, in seconds: a frame at 25 fps.
DEFAULT_TIMEOUT = 0.04

_BLOCK_SECONDS = 50  # a paced sound comes in this many blocks a second

Blocks = Iterator[np.ndarray | None]


class PcmStream:
    """Iterates over blocks (n,) float32, mono at 16 kHz in [-1, 1], of a sound that may never end.

    None in place of a block says that nothing has come for `timeout` seconds; the sound goes on later. The end of the
    input, or `close`, ends the iteration. A context manager.
    """

    def __init__(self, blocks: Blocks, close: Callable[[], None], closed: threading.Event) -> None:
        self._blocks = blocks
        self._close = close
        self._closed = closed

    def __iter__(self) -> Iterator[np.ndarray | None]:
        return self

    def __next__(self) -> np.ndarray | None:
        """Raises InputError when reading fails."""
        if self._closed.is_set():
            raise StopIteration
        return next(self._blocks)

    def close(self) -> None:
        """End the iteration, from any thread and from signal handlers. Idempotent."""
        self._closed.set()
        self._close()

    def __enter__(self) -> PcmStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_pcm(
    source: str | Path | Iterable[np.ndarray | None],
    format: PcmFormat | None = None,
    *,
    paced: bool = False,
    timeout: float = DEFAULT_TIMEOUT,
    clock: Clock = time.monotonic,
    sleep: Callable[[float], object] | None = None,
) -> PcmStream:
    """Open sound for listening.

    Args:
        source: "-" for standard input, a named pipe, a raw file (.pcm, .raw), any other file with sound, or arrays
            (n,) or (n, channels), floating in [-1, 1] or int16, with None for "nothing yet".
        format: How raw sound is stored; of arrays, only the rate counts. A WAV in a pipe overrides it.
        paced: Give the sound no faster than it plays: each block when its end would have been spoken.
        timeout: Seconds after which a pipe that gives nothing yields None.
        clock: Seconds that never go back, for pacing.
        sleep: Waits, for pacing; by default a wait that `close` ends.

    Raises:
        InputError: There is no such file, it cannot be read, or holds no sound; standard input is a terminal.
    """
    format = format or PcmFormat()
    closed = threading.Event()
    reader: ByteReader | None = None
    if isinstance(source, str | Path):
        name = "standard input" if str(source) == STANDARD_INPUT else str(source)
        reader = _open_raw(source, name)
        blocks = _decoded(reader, format, timeout, name) if reader else _of_file(Path(source))
    else:
        blocks = _of_arrays(source, format.rate)
    if paced:
        blocks = _paced(blocks, Pacer(SAMPLE_RATE, clock), sleep or closed.wait)
    return PcmStream(blocks, reader.close if reader else lambda: None, closed)


def _open_raw(source: str | Path, name: str) -> ByteReader | None:
    """A reader of what holds bytes without a container; None for files that have one."""
    if str(source) == STANDARD_INPUT:
        return open_reader(_standard_input(), owned=False)
    path = Path(source)
    try:
        kind = path.stat().st_mode
        if stat.S_ISFIFO(kind):
            # Without O_NONBLOCK, opening would wait for somebody to write.
            return open_reader(os.open(path, os.O_RDONLY | os.O_NONBLOCK), owned=True)
        if path.suffix.lower() not in RAW_SUFFIXES or not stat.S_ISREG(kind):
            return None
        if not path.stat().st_size:
            raise InputError(f"{name}: the sound holds no samples", "Give a file of raw samples that is not empty.")
        return open_reader(os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)), owned=True)
    except FileNotFoundError:
        raise InputError(f"{name}: no such file", "Check the path of the sound; - means standard input.") from None
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from error


def _standard_input() -> int:
    try:
        descriptor = sys.stdin.fileno() if sys.stdin is not None else 0
        terminal = os.isatty(descriptor)
        os.fstat(descriptor)
    except (OSError, ValueError) as error:
        raise InputError("standard input is closed", "Pipe raw sound into the command.") from error
    if terminal:
        raise InputError("standard input is a terminal, not sound", "Pipe raw sound into the command.")
    if os.name == "nt":
        import msvcrt

        msvcrt.setmode(descriptor, os.O_BINARY)  # type: ignore[attr-defined]
    return descriptor


def _unreadable(name: str, error: Exception) -> InputError:
    return InputError(
        f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}", "Check the path and its permissions."
    )


def _of_file(path: Path) -> Blocks:
    pieces = stream_audio(path, SAMPLE_RATE)
    return chain([next(pieces)], pieces)  # what is wrong with the file is told on opening


def _of_arrays(arrays: Iterable[np.ndarray | None], rate: int) -> Blocks:
    resampler = StreamResampler(rate, SAMPLE_RATE)
    for array in arrays:
        if array is None:
            yield None
            continue
        whole_numbers = array.dtype == np.int16
        samples = array.astype(np.float32) / np.float32(1 << 15) if whole_numbers else array.astype(np.float32)
        yield from _some(resampler.push(to_mono(samples if samples.ndim == 2 else samples[:, None])))
    yield from _some(resampler.finish())


def _decoded(reader: ByteReader, format: PcmFormat, timeout: float, name: str) -> Blocks:
    """Blocks of a reader's bytes; the reader is closed at the end."""
    head, left = b"", None
    decoder: PcmDecoder | None = None
    resampler = StreamResampler(SAMPLE_RATE, SAMPLE_RATE)
    try:
        while True:
            data = _read(reader, timeout, name)
            if data is None:
                yield None
                continue
            if decoder is None:
                head += data
                if data and may_be_wav(head):
                    start = wav_start(head)
                    if start is None:
                        continue
                    format, left, head = start.format, start.size, head[start.header :]
                decoder, resampler = PcmDecoder(format), StreamResampler(format.rate, SAMPLE_RATE)
                received, head = head, b""
            else:
                received = data
            if left is not None:
                # Behind the samples of a WAV there may be texts.
                received, left = received[:left], max(left - len(received), 0)
            yield from _some(resampler.push(decoder.push(received)))
            if not data or left == 0:
                break
        yield from _some(resampler.finish())
    finally:
        reader.close()


def _read(reader: ByteReader, timeout: float, name: str) -> bytes | None:
    try:
        return reader.read(timeout)
    except OSError as error:
        raise _unreadable(name, error) from error


def _some(samples: np.ndarray) -> Iterator[np.ndarray]:
    if len(samples):
        yield np.clip(samples, -1.0, 1.0)


def _paced(blocks: Blocks, pacer: Pacer, sleep: Callable[[float], object]) -> Blocks:
    """The same sound in short blocks, each when it is due; after a stall the schedule begins anew."""
    size, sent = SAMPLE_RATE // _BLOCK_SECONDS, 0
    pacer.start()
    for block in blocks:
        if block is None:
            yield None
            pacer.start(sent)
            continue
        for start in range(0, len(block), size):
            part = block[start : start + size]
            sent += len(part)
            wait = pacer.wait(sent)
            if wait > 0:
                sleep(wait)
            yield part
