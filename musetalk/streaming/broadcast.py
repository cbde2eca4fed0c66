"""A stream from a sound that arrives to an output: what the command does, and a program can do."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from musetalk.avatar.avatar import Avatar
from musetalk.media.pcm import PcmStream
from musetalk.media.stream_output import StreamOutput
from musetalk.streaming.latency import Latency
from musetalk.streaming.settings import StreamSettings
from musetalk.streaming.stream import SpeechStream
from musetalk.streaming.stream_frame import Kind, StreamStatistics

MOST_BUFFERED = 10.0
"""Seconds of sound that are taken from a source that gives it faster than it is spoken."""


@dataclass(frozen=True)
class Broadcast:
    """What a stream was.

    Attributes:
        statistics: Counts of its frames.
        latency: Of its frames of speech.
        skipped: Frames that the output had no time for.
    """

    statistics: StreamStatistics
    latency: Latency
    skipped: int


def broadcast(
    avatar: Avatar,
    sound: PcmStream,
    output: StreamOutput,
    settings: StreamSettings | None = None,
    *,
    paced: bool = True,
) -> Broadcast:
    """Let an avatar speak what arrives, until the sound ends. Opens and closes the output, and closes the sound.

    Args:
        avatar: The avatar.
        sound: Where sound comes from.
        output: Where picture and sound go.
        settings: Settings of the stream.
        paced: See `Avatar.stream`.

    Raises:
        InputError: The sound cannot be read any more.
        OutputError: The output takes nothing more.
    """
    latency = Latency()
    with ExitStack() as stack:
        stack.enter_context(output)
        feeder = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="musetalk-feed"))
        stream = stack.enter_context(avatar.stream(settings, paced=paced))
        stack.enter_context(sound)
        fed = feeder.submit(feed, sound, stream)
        for frame in stream:
            output.write_frame(frame.image)
            output.write_sound(frame.sound)
            if frame.kind is Kind.SPEECH and frame.timing.generated:
                latency.add(frame.timing)
            if fed.done():
                fed.result()
        fed.result()
    return Broadcast(stream.statistics, latency, output.skipped)


def feed(sound: Iterable[np.ndarray | None], stream: SpeechStream) -> None:
    """Push a sound into a stream, and end that with it; None in place of a block means that nothing has come."""
    try:
        for block in sound:
            if block is not None:
                stream.wait_for_room(MOST_BUFFERED)
                stream.push(block)
    finally:
        stream.end()
