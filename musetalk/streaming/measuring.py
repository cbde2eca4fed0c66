"""How fast streams are: latency of one in real time, and what several make together as fast as they can."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count

import numpy as np

from musetalk.audio.windows import SAMPLE_RATE
from musetalk.avatar.avatar import Avatar
from musetalk.media.pacing import Pacer
from musetalk.media.stream_output import StreamOutput
from musetalk.streaming.latency import Latency
from musetalk.streaming.settings import StreamSettings
from musetalk.streaming.stream import SpeechStream
from musetalk.streaming.stream_frame import FrameTiming, Kind, StreamStatistics

_POLL = 0.001  # seconds: how exactly the end of the output is known


@dataclass(frozen=True)
class LatencyResult:
    """What a stream in real time did.

    Attributes:
        latency: Of its frames of speech with a face of their own.
        statistics: Counts of its frames.
        seconds: How long it ran.
    """

    latency: Latency
    statistics: StreamStatistics
    seconds: float


def measure_latency(
    avatar: Avatar,
    samples: np.ndarray,
    seconds: float,
    output: StreamOutput,
    settings: StreamSettings | None = None,
    chunk: float = 0.04,
) -> LatencyResult:
    """Let an avatar speak in real time what comes in chunks, as from a microphone.

    Args:
        avatar: The avatar.
        samples: (n,) float32, 16 kHz mono; repeated as long as need be.
        seconds: How long.
        output: Where it goes; opened and closed here.
        settings: Settings of the stream.
        chunk: Seconds of sound that come at once.
    """
    timings: dict[int, FrameTiming] = {}
    began = time.monotonic()
    with output, ThreadPoolExecutor(2) as threads, avatar.stream(settings) as stream:
        fed = threads.submit(_feed, stream, samples, seconds, chunk)
        done = threading.Event()
        gone = threads.submit(_watch, output, done)
        try:
            for frame in stream:
                if frame.kind is Kind.SPEECH and frame.timing.generated:
                    timings[frame.index] = frame.timing
                output.write_sound(frame.sound)
                output.write_frame(frame.image)
            fed.result()
        finally:
            output.close()
            done.set()
        times = gone.result()
    latency = Latency()
    for index, timing in timings.items():
        latency.add(timing, times[index])
    return LatencyResult(latency, stream.statistics, time.monotonic() - began)


def _feed(stream: SpeechStream, samples: np.ndarray, seconds: float, chunk: float) -> None:
    size = round(chunk * SAMPLE_RATE)
    pacer = Pacer(SAMPLE_RATE)
    pacer.start()
    for number, block in enumerate(_repeated(samples, size)):
        end = (number + 1) * size
        time.sleep(pacer.wait(end))
        if end > seconds * SAMPLE_RATE:
            stream.end()
            return
        stream.push(block)


def _repeated(samples: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in count(0, size):
        yield samples.take(range(start, start + size), mode="wrap")


def _watch(output: StreamOutput, done: threading.Event) -> list[float]:
    """The clock's time at which each frame was encoded and written."""
    times: list[float] = []
    while True:
        last = done.is_set()
        times.extend([time.monotonic()] * (output.encoded - len(times)))
        if last:
            return times
        done.wait(_POLL)


@dataclass(frozen=True)
class ThroughputResult:
    """What several streams made at the same time, as fast as they could.

    Attributes:
        frames: Of each stream.
        seconds: Until each was done.
        faces_per_pass: Faces in a pass of the networks, on average.
    """

    frames: list[int]
    seconds: list[float]
    faces_per_pass: float

    @property
    def fps(self) -> float:
        """Frames a second of all streams together."""
        return sum(self.frames) / max(self.seconds)


def measure_throughput(
    avatar: Avatar, samples: np.ndarray, streams: int, seconds: float, settings: StreamSettings | None = None
) -> ThroughputResult:
    """Let streams of one avatar speak the same sound at the same time, not in real time, and count frames.

    Args:
        avatar: The avatar.
        samples: (n,) float32, 16 kHz mono; repeated as long as need be.
        streams: How many.
        seconds: Of sound for each.
        settings: Settings of the streams.
    """
    sound = next(_repeated(samples, round(seconds * SAMPLE_RATE)))
    batcher = avatar.model.batcher
    opened = [avatar.stream(settings, paced=False) for _ in range(streams)]
    passes, faces = batcher.passes, batcher.faces
    began = time.monotonic()

    def speak(stream: SpeechStream) -> tuple[int, float]:
        with stream:
            stream.push(sound)
            stream.end()
            frames = sum(1 for _ in stream)
        return frames, time.monotonic() - began

    with ThreadPoolExecutor(streams) as threads:
        done = list(threads.map(speak, opened))
    return ThroughputResult(
        [frames for frames, _ in done],
        [end for _, end in done],
        (batcher.faces - faces) / max(batcher.passes - passes, 1),
    )
