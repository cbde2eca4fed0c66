"""Picture and sound to a file that grows, a pipe or a network, while they are made.

Encoding and muxing happen in this process (PyAV), so that every time stamp is exact: picture i at i / fps, sound sample
k at k / rate, one timeline. libav is not let near the target, for a stalled receiver would stop the whole interpreter:
files and pipes are written here, and URLs and HLS by an ffmpeg that copies what it gets (any protocol that it was built
with, SRT included, which PyAV lacks). Raw frames through two pipes into an encoding ffmpeg would move 20 MB/s of
512×512 video instead of 0.1, and either pipe could block the other.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np

from musetalk.errors import OutputError
from musetalk.media.byte_sink import ByteSink, FileSink, PipeSink, RelaySink
from musetalk.media.ffmpeg import find_ffmpeg
from musetalk.media.live_encoder import EncoderSettings, LiveEncoder, require_live_encoders
from musetalk.media.stream_target import (
    DEFAULT_FRAGMENT_SECONDS,
    DEFAULT_HLS_WINDOW,
    RELAY_FORMAT,
    StreamTarget,
    parse_target,
    relay_command,
)
from musetalk.media.writer import cannot_write, check_writable

_QUEUE_BYTES = 256 * 1024 * 1024
_FEWEST_FRAMES = 4
_SILENCE_PIECE = 1 << 14

# A frame with its number, sound, or a number of silent samples.
_Item = tuple[int, np.ndarray] | np.ndarray | int


@dataclass(frozen=True)
class OutputSettings:
    """How a stream is written.

    Attributes:
        encoder: What is spent on it.
        container: In place of the one that the target's suffix or scheme says.
        live: When the target falls behind: skip frames (the one before stays on display) rather than wait.
        queue_seconds: How far the target may be behind before that.
        patience: Seconds that a write may wait for a target that is not live, and that closing may take.
        fragment_seconds: What a file may lose at most when the program is killed.
        hls_window: Segments of 2 s that an HLS playlist holds; 0: all.
    """

    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    container: str | None = None
    live: bool = False
    queue_seconds: float = 2.0
    patience: float = 10.0
    fragment_seconds: float = DEFAULT_FRAGMENT_SECONDS
    hls_window: int = DEFAULT_HLS_WINDOW


class StreamOutput:
    """Takes frames and sound and writes them from a thread of its own.

    A context manager: it starts on entering and finalises the target on leaving, whatever the reason, so that what was
    written can be played. For the same reason a file is written under its own name. Not thread-safe: one writer.

    Attributes:
        frames: Frames given; the next one's time is frames / fps.
        samples: Sound samples given.
        skipped: Frames of those that were left out because the target was behind (`live` only).
        silenced: Sound samples that became silence for the same reason.
        encoded: Frames that the target has taken.
    """

    def __init__(
        self,
        target: str | Path,
        width: int,
        height: int,
        fps: Fraction,
        *,
        sample_rate: int | None = 16_000,
        settings: OutputSettings | None = None,
        ffmpeg: str | None = None,
    ) -> None:
        """Check everything that can be checked before there is something to write.

        Args:
            target: A file, "-", "pipe:N" or a URL; see `parse_target`.
            width: Pixels across.
            height: Pixels down.
            fps: Frames a second, exactly.
            sample_rate: Of the mono sound that will come, in samples a second; None for no sound track.
            settings: See there.
            ffmpeg: The binary that carries URLs and HLS; None: found when needed.

        Raises:
            OutputError: The target is unknown or cannot be written.
            DeviceError: There is no encoder, or no ffmpeg where one is needed.
        """
        self.settings = settings or OutputSettings()
        self.target: StreamTarget = parse_target(
            target,
            self.settings.container,
            fragment_seconds=self.settings.fragment_seconds,
            hls_window=self.settings.hls_window,
        )
        require_live_encoders()
        self._ffmpeg = (ffmpeg or find_ffmpeg()) if self.target.url is not None else ""
        if self.target.path is not None:
            check_writable(self.target.path)
        self._size, self._fps, self._sample_rate = (width, height), Fraction(fps), sample_rate
        most = max(round(self.settings.queue_seconds * self._fps), _FEWEST_FRAMES)
        self._most_frames = max(min(most, _QUEUE_BYTES // (width * height * 3)), _FEWEST_FRAMES)
        self._most_samples = int(2 * self._most_frames / self._fps * (sample_rate or 0))
        self._changed = threading.Condition()
        self._queue: deque[_Item] = deque()
        self._waiting_frames = self._waiting_samples = 0
        self._closing = self._ended = False
        self._failure: OutputError | None = None
        self._told = False
        self._sink: ByteSink | None = None
        self._thread: threading.Thread | None = None
        self.frames = self.samples = self.skipped = self.silenced = self.encoded = 0

    @property
    def behind(self) -> int:
        """Frames that wait for the target."""
        return self._waiting_frames

    def __enter__(self) -> StreamOutput:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # An exception on its way must not be replaced.
        self._told = self._told or kind is not None
        self.close()

    def start(self) -> None:
        """Open the target. An existing file is replaced.

        Raises:
            OutputError: It cannot be opened.
        """
        try:
            self._sink = self._open_sink()
        except OSError as error:
            raise cannot_write(self.target.path or Path(self.target.name), error) from error
        self._thread = threading.Thread(target=self._run, args=(self._sink,), name="musetalk-output", daemon=True)
        self._thread.start()

    def write_frame(self, frame: np.ndarray) -> None:
        """Append a frame, (height, width, 3) uint8 BGR; it must not be changed afterwards.

        Raises:
            OutputError: The other side has gone away, the disk is full ..., or (not `live`) it takes nothing.
        """
        width, height = self._size
        if frame.shape != (height, width, 3) or frame.dtype != np.uint8:
            raise ValueError(f"a frame is {frame.shape} {frame.dtype}, not {(height, width, 3)} uint8")
        with self._changed:
            number = self.frames
            self.frames += 1
            if not self._make_room(lambda: self._waiting_frames < self._most_frames):
                self.skipped += 1
                return
            self._queue.append((number, frame))
            self._waiting_frames += 1
            self._changed.notify_all()

    def write_sound(self, samples: np.ndarray) -> None:
        """Append sound, (n,) float32 in [-1, 1] at the sample rate; it must not be changed afterwards.

        Raises:
            OutputError: As `write_frame`.
        """
        if self._sample_rate is None:
            raise ValueError("this stream has no sound track")
        with self._changed:
            self.samples += len(samples)
            if self._make_room(lambda: self._waiting_samples < self._most_samples):
                self._queue.append(samples)
                self._waiting_samples += len(samples)
            else:
                # Left out, later sound would come too early.
                self.silenced += len(samples)
                last = self._queue.pop() if self._queue and isinstance(self._queue[-1], int) else 0
                assert isinstance(last, int)
                self._queue.append(last + len(samples))
            self._changed.notify_all()

    def close(self) -> None:
        """Write what waits, finalise the target and let go of it. Idempotent.

        Raises:
            OutputError: It failed, and no write has said so.
        """
        if self._thread is None or self._sink is None:
            return
        thread, sink = self._thread, self._sink
        self._thread = None
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        thread.join(self.settings.patience)
        if thread.is_alive():
            sink.abort()
            thread.join(self.settings.patience)
        reason = sink.close(self.settings.patience)
        if reason is not None:
            self._failure = self._failed(reason)
        if self._failure is not None and not self._told:
            self._told = True
            raise self._failure

    def _make_room(self, has_room: Callable[[], bool]) -> bool:
        """Whether there is room in the queue, after waiting for it where that is wanted."""
        self._check()
        if has_room() or self.settings.live:
            return has_room()
        self._changed.wait_for(lambda: self._ended or has_room(), self.settings.patience)
        self._check()
        if not has_room():
            self._told = True
            raise self._failed(f"nothing was taken for {self.settings.patience:g} s")
        return True

    def _check(self) -> None:
        if self._thread is None:
            raise RuntimeError("StreamOutput was written to outside of its context")
        if self._ended:
            self._told = True
            raise self._failure or self._failed("the encoder has stopped")

    def _open_sink(self) -> ByteSink:
        target = self.target
        if target.url is not None:
            return RelaySink(relay_command(self._ffmpeg, target))
        if target.descriptor is not None:
            return PipeSink(target.descriptor)
        assert target.path is not None
        return FileSink(target.path)

    def _run(self, sink: ByteSink) -> None:
        """The thread."""
        encoder: LiveEncoder | None = None
        failure: OutputError | None = None
        try:
            relayed = self.target.url is not None
            encoder = LiveEncoder(
                sink,
                RELAY_FORMAT if relayed else self.target.container,
                {} if relayed else self.target.muxer_options,
                self._size,
                self._fps,
                self._sample_rate,
                self.settings.encoder,
            )
            while (item := self._next()) is not None:
                self._encode(encoder, item)
            encoder.finish()
        except (OSError, av.FFmpegError) as error:
            failure = self._failure_of(error, sink)
        finally:
            with self._changed:
                self._failure, self._ended = failure, True
                self._queue.clear()
                self._changed.notify_all()
            if failure is not None and encoder is not None:
                encoder.abandon()

    def _next(self) -> _Item | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closing or bool(self._queue))
            return self._queue.popleft() if self._queue else None

    def _encode(self, encoder: LiveEncoder, item: _Item) -> None:
        if isinstance(item, int):
            for start in range(0, item, _SILENCE_PIECE):
                encoder.sound(np.zeros(min(_SILENCE_PIECE, item - start), np.float32))
            return
        frames = samples = 0
        if isinstance(item, tuple):
            encoder.frame(item[1], item[0])
            frames = 1
        else:
            encoder.sound(item)
            samples = len(item)
        with self._changed:
            self.encoded += frames
            self._waiting_frames -= frames
            self._waiting_samples -= samples
            self._changed.notify_all()

    def _failure_of(self, error: Exception, sink: ByteSink) -> OutputError:
        reason = sink.close(self.settings.patience)
        if reason is not None:
            return self._failed(reason)
        if isinstance(error, BrokenPipeError):
            return self._failed("the other side has closed it")
        if self.target.path is not None and isinstance(error, OSError):
            return cannot_write(self.target.path, error)
        return self._failed(str(getattr(error, "strerror", None) or error))

    def _failed(self, reason: str) -> OutputError:
        url = self.target.url
        if url is not None:  # some releases of ffmpeg repeat it, with the key in its path
            reason = reason.replace(f"{url}: ", "").replace(url, self.target.name)
        return OutputError(f"{self.target.name}: {reason}", "Check who receives the stream, and start it again.")
