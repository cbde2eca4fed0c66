"""What a video's packets tell without decoding: when its frames are shown, and whether the file is all there."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from musetalk.errors import InputError
from musetalk.media.ffmpeg import reason_of
from musetalk.media.frame_source import IMAGE_FPS
from musetalk.media.timing import constant_rate, mean_rate


@dataclass(frozen=True)
class VideoTiming:
    """How the frames of a stream get their times.

    Attributes:
        rate: The stream's rate: constant, or the average.
        constant: Whether stamps are rounded multiples of 1 / rate, so that the exact time can be told from them.
        counted: Whether stamps are missing or wrong, so that frames can only be counted.
        time_base: Seconds of one unit of the stamps.
        frame_count: Packets that hold a frame.
        duration: Seconds from the first frame's time to the end of the last.
    """

    rate: Fraction
    constant: bool
    counted: bool
    time_base: Fraction
    frame_count: int
    duration: Fraction

    def time(self, index: int, stamp: int | None, first_stamp: int | None) -> Fraction | None:
        """Return the seconds since the first frame's time; None for a frame without a stamp."""
        if self.counted:
            return index / self.rate
        if stamp is None or first_stamp is None:
            return None
        elapsed = (stamp - first_stamp) * self.time_base
        return round(elapsed * self.rate) / self.rate if self.constant else elapsed


def scan(container: InputContainer, stream: VideoStream, path: Path) -> VideoTiming:
    """Go through the packets without decoding: when frames are shown, and whether the file is all there.

    Raises:
        InputError: The file is cut short, or holds no frames.
    """
    presented: list[int | None] = []
    decoded: list[int | None] = []
    skipped_empty = 0
    end = Fraction(0)
    try:
        for packet in container.demux():
            if packet.stream is stream and packet.size == 0 and packet.dts is not None:
                skipped_empty += 1
            if packet.size == 0 or packet.is_discard:
                continue
            if packet.pts is not None:
                end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
            if packet.stream is stream:
                presented.append(packet.pts)
                decoded.append(packet.dts)
    except av.FFmpegError as error:
        raise _cut_short(path, reason_of(error)) from error
    if not presented:
        raise InputError(f"{path}: the video stream holds no frames", "The file is damaged; copy it again.")
    _check_whole(container, stream, path, len(presented) + skipped_empty, end)

    time_base = stream.time_base or Fraction(1, 1000)
    count = len(presented)
    claims = [stream.average_rate, stream.guessed_rate, stream.base_rate]
    claimed = next((claim for claim in claims if claim and 1 <= claim <= 1000), IMAGE_FPS)
    counted = None in presented or (container.format.name == "avi" and _avi_is_counted(stream, decoded))
    chosen = [stamp for stamp in (decoded if counted else presented) if stamp is not None]
    if len(chosen) < count or count == 1:
        # Raw streams: their average rate is libav's default, the guess comes from the codec.
        rate = stream.guessed_rate if None in presented and stream.guessed_rate else claimed
        return VideoTiming(rate, True, True, time_base, count, count / rate)
    stamps = np.sort(np.array(chosen, np.int64))
    constant = constant_rate(stamps, time_base, claims)
    if counted:
        rate = constant or claimed
        return VideoTiming(rate, True, True, time_base, count, count / rate)
    span = int(stamps[-1] - stamps[0]) * time_base
    if constant is not None:
        return VideoTiming(constant, True, False, time_base, count, (round(span * constant) + 1) / constant)
    rate = mean_rate(stamps, time_base, stream.average_rate)
    return VideoTiming(rate, False, False, time_base, count, span + 1 / rate)


def _avi_is_counted(stream: VideoStream, decoded: list[int | None]) -> bool:
    """Return whether frames of an AVI should be counted instead of timed.

    AVI has no presentation times: libav makes them up, wrongly for codecs that reorder. And muxers put an empty slot
    or two at the start; many empty slots are dropped frames of a capture, which do take time.
    """
    stamps = [stamp for stamp in decoded if stamp is not None]
    empty_slots = max(stamps) - min(stamps) + 1 - len(stamps) if stamps else 0
    return stream.codec_context.has_b_frames or empty_slots <= 2


def _cut_short(path: Path, how: str) -> InputError:
    return InputError(
        f"{path}: the video is cut short: {how}",
        "Copy or download it again; to use what is left, convert it with ffmpeg first.",
    )


def _check_whole(container: InputContainer, stream: VideoStream, path: Path, count: int, end: Fraction) -> None:
    """Check, by what each container says of its own length, that the end of the file is not missing.

    MPEG-TS, FLV and raw streams do not say: what is there is all there is.
    """
    names = set(container.format.name.split(","))
    if names & {"mov", "mp4"}:
        size = path.stat().st_size
        needed = max((entry.pos + entry.size for entry in stream.index_entries), default=0)
        if needed > size:
            raise _cut_short(path, f"its index needs {needed} bytes, the file has {size}")
    elif names & {"matroska", "webm"} and container.duration:
        stated = Fraction(container.duration, av.time_base)
        if end < stated - max(Fraction(1, 5), min(Fraction(1), stated / 10)):
            raise _cut_short(path, f"it ends at {float(end):.2f} s of {float(stated):.2f} s")
    elif "avi" in names and stream.frames:
        rate = stream.average_rate or IMAGE_FPS
        missing = stream.frames - count
        if missing > 2 and missing > min(rate, Fraction(stream.frames, 10)):
            raise _cut_short(path, f"it holds {count} of {stream.frames} frames")
