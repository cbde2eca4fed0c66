"""Frames of a video file, in the order and at the times that they are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from musetalk.errors import InputError
from musetalk.media.color import bgr_converter, color_tags
from musetalk.media.ffmpeg import open_media, packets
from musetalk.media.frame_source import SourceInfo
from musetalk.media.orientation import orientation_of
from musetalk.media.pass_record import PassRecord, checksum, entries
from musetalk.media.ping_pong import PING_PONG_BYTES, PingPong
from musetalk.media.timing import resample_by_time
from musetalk.media.video_scan import scan

# Decoders that draw text files as pictures: a text that happens to be called .nfo or .ans is not a video.
_TEXT_ART = frozenset(("ansi", "bintext", "xbin", "idf"))


class VideoFile(PingPong):
    """The first video stream of a media file.

    Frames at a constant rate are each handed out exactly once. Frames at uneven times, or at an asked rate, are
    resampled by time in exact arithmetic: frame k is the one on display at time k / fps.
    """

    def __init__(self, path: Path, fps: Fraction | None = None, keep_bytes: int = PING_PONG_BYTES) -> None:
        super().__init__(keep_bytes)
        self._path = path
        with open_media(path, "video") as container:
            self._timing = scan(container, self._stream(container), path)
        with open_media(path, "video") as container:
            stream = self._stream(container)
            first = next(self._decode(container, stream), None)
            if first is None:
                raise InputError(
                    f"{path}: not one frame can be decoded", "The file is damaged; copy it again or convert it."
                )
            # The stream's aspect: container and codec may differ, and libav weighs the two there.
            aspect = stream.sample_aspect_ratio or Fraction(1)
            start = Fraction(0) if self._timing.counted else _start(first, container)
        self._stored_size = first.width, first.height
        self._orientation = orientation_of(first)
        transposed = self._orientation.transpose
        width, height = (first.height, first.width) if transposed else (first.width, first.height)
        rate = fps or self._timing.rate
        aspect = aspect if aspect > 0 else Fraction(1)
        self.info = SourceInfo(
            path,
            width,
            height,
            rate,
            frame_estimate=max(1, -int(-self._timing.duration * rate // 1)),
            is_image=False,
            color=color_tags(first),
            sample_aspect=1 / aspect if transposed else aspect,
            start=start,
        )
        self._record: PassRecord | None = None

    def frames(self) -> Iterator[np.ndarray]:
        """Yield the frames of one forward pass.

        Raises:
            InputError: Reading fails, or nothing can be decoded.
        """
        return self._convert(None)

    def _first_pass(self) -> Iterator[np.ndarray]:
        self._record = PassRecord()
        return self._convert(self._record)

    def _stream(self, container: InputContainer) -> VideoStream:
        cover = av.stream.Disposition.attached_pic
        streams = [stream for stream in container.streams.video if not stream.disposition & cover]
        if not streams:
            raise InputError(f"{self._path}: the file has no video stream", "Give a video, an image or a folder.")
        stream = streams[0]
        codec = stream.codec_context
        if codec is None or codec.name in _TEXT_ART:
            raise InputError(
                f"{self._path}: no decoder for this video", "Convert it to H.264, for example with ffmpeg or HandBrake."
            )
        stream.thread_type = "AUTO"
        return stream

    def _decode(self, container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
        """Yield what can be decoded from here on; a packet that cannot be is passed over."""
        for packet in packets(container, stream, self._path):
            try:
                decoded = packet.decode()
            except av.FFmpegError:
                continue
            yield from decoded

    def _timed(self, record: PassRecord | None) -> Iterator[tuple[Fraction, tuple[int, av.VideoFrame]]]:
        """Yield (time, (place, frame)) of every decoded frame."""
        timing = self._timing
        first_stamp: int | None = None
        time = Fraction(0)
        with open_media(self._path, "video") as container:
            for index, frame in enumerate(self._decode(container, self._stream(container))):
                if index == 0:
                    first_stamp = frame.pts
                else:
                    stamped = timing.time(index, frame.pts, first_stamp)
                    time = time + 1 / timing.rate if stamped is None else max(time, stamped)
                if record is not None and frame.key_frame:
                    record.keys.append((index, frame.pts))
                yield time, (index, frame)

    def _convert(self, record: PassRecord | None) -> Iterator[np.ndarray]:
        to_bgr = self._converter()
        image: np.ndarray | None = None
        shown = -1
        # The stream's rate, not the asked one: how long the last frame stays does not depend on the output.
        for index, frame in resample_by_time(self._timed(record), self.info.fps, 1 / self._timing.rate):
            if image is None or index != shown:
                image, shown = to_bgr(frame), index
                if record is not None:
                    record.checksums[index] = checksum(image)
            if record is not None:
                record.shown.append(index)
            yield image.copy()
        if image is None:
            raise InputError(f"{self._path}: not one frame can be decoded", "The file is damaged; copy it again.")

    def _converter(self) -> Callable[[av.VideoFrame], np.ndarray]:
        """Return a function from a decoded frame to an upright (H, W, 3) uint8 BGR array."""
        to_bgr = bgr_converter(self._path, *self._stored_size)
        return lambda frame: self._orientation.apply(to_bgr(frame))

    def _range(self, start: int, stop: int) -> list[np.ndarray]:
        record = self._record
        assert record is not None
        shown = record.shown[start:stop]
        for entry in entries(record.keys, shown[0]):
            found = self._decode_from(entry, set(shown), record)
            if found is not None:
                last_use = {index: place for place, index in enumerate(shown)}
                return [
                    found[index] if last_use[index] == place else found[index].copy()
                    for place, index in enumerate(shown)
                ]
        raise InputError(
            f"{self._path}: frames {start} to {stop - 1} differ when they are read again",
            "Do not change the file during the run; if nobody did, repair it by converting it with ffmpeg.",
        )

    def _decode_from(self, entry: int | None, wanted: set[int], record: PassRecord) -> dict[int, np.ndarray] | None:
        """Return the wanted decoded frames by their place, or None when they are not what the first pass showed.

        Seeking in real files lands early, late, or on frames that miss their references. So the count starts at a
        key frame whose stamp the first pass has seen, and each frame must have the checksum that it had then.

        Args:
            entry: The stamp to seek to; None starts at the beginning.
            wanted: Places among the decoded frames.
            record: The first pass's notes.
        """
        first, last = min(wanted), max(wanted)
        places = {stamp: place for place, stamp in record.keys if stamp is not None}
        to_bgr = self._converter()
        found: dict[int, np.ndarray] = {}
        with open_media(self._path, "video") as container:
            stream = self._stream(container)
            if entry is not None:
                try:
                    container.seek(entry, stream=stream)
                except av.FFmpegError:
                    return None
            place = -1 if entry is None else None
            for frame in self._decode(container, stream):
                if place is not None:
                    place += 1
                elif frame.key_frame and frame.pts in places:
                    place = places[frame.pts]
                    if place > first:
                        return None
                if place is None or place not in wanted:
                    continue
                found[place] = to_bgr(frame)
                if checksum(found[place]) != record.checksums[place]:
                    return None
                if place == last:
                    return found
        return None


def _start(first: av.VideoFrame, container: InputContainer) -> Fraction:
    if first.pts is None or first.time_base is None or container.start_time is None:
        return Fraction(0)
    return max(Fraction(0), first.pts * first.time_base - Fraction(container.start_time, av.time_base))
