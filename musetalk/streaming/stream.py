"""A live stream of an avatar for programs: push sound, iterate over frames, with or without asyncio."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType

import numpy as np

from musetalk.audio.streaming import StreamingFeatures
from musetalk.audio.voice_activity import VoiceActivity
from musetalk.avatar.avatar import Avatar
from musetalk.streaming.engine import SpeechEngine
from musetalk.streaming.settings import StreamSettings
from musetalk.streaming.sound_units import SoundUnits
from musetalk.streaming.stream_frame import StreamFrame, StreamStatistics

_LOOK_UP = 0.02  # seconds after which a worker that waits looks whether sound has stopped coming
_PATIENCE = 0.5  # seconds after which whoever waits looks whether the stream was closed


class SpeechStream:
    """A stream; `Avatar.stream` makes one. A context manager, which stops its threads.

    `push`, `interrupt`, `flush` and `end` may be called from any thread, or from a coroutine: they never wait. Frames
    are taken by one thread, with `for`, or one coroutine, with `async for`.

    Args:
        engine: What decides which frame shows what.
    """

    def __init__(self, engine: SpeechEngine) -> None:
        self._engine = engine
        engine.warm_up()
        self._closed = threading.Event()
        self._failure = _Failure()
        self._pending: asyncio.Future[StreamFrame | None] | None = None
        # Apart, so that sound is understood in time whatever the networks are busy with.
        self._workers = [
            threading.Thread(target=self._work, args=(work,), name="musetalk-stream", daemon=True)
            for work in (engine.listen, engine.generate)
        ]
        for worker in self._workers:
            worker.start()

    @property
    def statistics(self) -> StreamStatistics:
        """Counts so far."""
        return self._engine.statistics

    @property
    def buffered(self) -> float:
        """Seconds of sound that have come and are not shown yet."""
        return self._engine.buffered

    def push(self, samples: np.ndarray, *, interrupt: bool = False) -> None:
        """Append sound, (n,) 16 kHz mono in [-1, 1].

        Args:
            samples: Any number of samples.
            interrupt: Cut off what is being said: nothing of it is shown from the next frame on.
        """
        self._engine.push(samples, interrupt=interrupt)

    def interrupt(self) -> None:
        """Cut off what is being said: from the next frame on the avatar comes to rest."""
        self._engine.interrupt()

    def flush(self) -> None:
        """An utterance is complete: speak it to its end without waiting for the sound after it."""
        self._engine.flush()

    def end(self) -> None:
        """No more sound will come. When all is spoken, the iteration ends."""
        self._engine.end()

    def wait_for_room(self, seconds: float) -> None:
        """Wait until less sound than that is buffered, or the stream is closed: for sources that could give hours."""
        engine = self._engine
        while engine.buffered >= seconds and not self._closed.is_set():
            with engine.changed:
                engine.changed.wait(_PATIENCE)

    def __iter__(self) -> Iterator[StreamFrame]:
        while (frame := self.next_frame()) is not None:
            yield frame

    def next_frame(self) -> StreamFrame | None:
        """The next frame, when it is due; None when the stream has ended or was closed."""
        engine = self._engine
        while not self._closed.is_set():
            with engine.changed:
                seen = engine.changes
            self._failure.tell()
            frame = engine.frame()
            if frame is not None:
                return frame
            if engine.over:
                return None
            wait = engine.wait()
            if wait is not None:
                self._closed.wait(min(wait, _PATIENCE))
            else:
                self._wait_for_change(seen, _PATIENCE)
        return None

    def __aiter__(self) -> AsyncIterator[StreamFrame]:
        return self

    async def __anext__(self) -> StreamFrame:
        """As `next_frame`, without holding up the event loop. A frame that nobody waits for any more is not lost."""
        if self._pending is None:
            self._pending = asyncio.ensure_future(asyncio.to_thread(self.next_frame))
        frame = await asyncio.shield(self._pending)
        self._pending = None
        if frame is None:
            raise StopAsyncIteration
        return frame

    def close(self) -> None:
        """End the iteration and the threads; from any thread. Idempotent."""
        self._closed.set()
        with self._engine.changed:
            self._engine.changed.notify_all()
        for worker in self._workers:
            if worker is not threading.current_thread():
                worker.join()

    def __enter__(self) -> SpeechStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _work(self, work: Callable[[], bool]) -> None:
        engine = self._engine
        with self._failure:
            while not self._closed.is_set():
                with engine.changed:
                    seen = engine.changes
                if not work():
                    self._wait_for_change(seen, _LOOK_UP)
        with engine.changed:
            engine.changed.notify_all()

    def _wait_for_change(self, seen: int, seconds: float) -> None:
        engine = self._engine
        with engine.changed:
            engine.changed.wait_for(lambda: engine.changes != seen or self._closed.is_set(), seconds)


class _Failure:
    """Keeps what ends a thread for another one, which it is told to."""

    def __init__(self) -> None:
        self._error: BaseException | None = None

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._error = self._error or error
        return True

    def tell(self) -> None:
        """Raise it, if there is something."""
        if self._error is not None:
            raise self._error


def build_engine(
    avatar: Avatar, settings: StreamSettings | None, paced: bool, clock: Callable[[], float]
) -> SpeechEngine:
    """The engine of `Avatar.stream`, for those who do its waiting themselves; the arguments are the same."""
    settings = settings or StreamSettings()
    fps = avatar.frames.info.fps
    avatar.model.generator.check_padding(settings.audio_padding_left, settings.audio_padding_right)
    windows = StreamingFeatures(
        avatar.model.streaming_encoder(), fps, settings.audio_padding_left, settings.audio_padding_right
    )
    units = SoundUnits(windows, VoiceActivity(fps), fps)
    return SpeechEngine(avatar.frames, units, avatar.model.batcher, settings, clock, paced, avatar.model.compositor)
