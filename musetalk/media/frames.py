"""Frames of a video, an image or a folder of images, one at a time, forward or forward and backward.

Colour: frames are BGR as the source's own tags say (matrix and range). Where a video has no tags: limited range, and
the matrix that players assume, BT.709 from 1280 x 720 on and BT.601 below. `ColorTags` go to the writer, which
converts back by the same rules and writes tags in every case.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol, TypeVar

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from PIL import Image

from musetalk.errors import InputError, UsageError
from musetalk.media.ffmpeg import open_media, packets, reason_of, require_file
from musetalk.media.timing import constant_rate, mean_rate, resample_by_time

# Frame rate of images, published: --fps 25.
IMAGE_FPS = Fraction(25)

# Decoded frames that a ping-pong keeps at most: short clips stay whole, long ones go backward in chunks of this size.
PING_PONG_BYTES = 128 * 1024 * 1024

_IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM")
_IMAGE_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm"))
_EXIF_ORIENTATION = 0x0112

# ITU-T H.273 code points -> the names that ffmpeg takes. A code point that is not here counts as untagged.
_MATRICES = {1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020nc", 10: "bt2020nc"}
_PRIMARIES = {1: "bt709", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020", 12: "smpte432"}
_TRANSFERS = {
    1: "bt709",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    11: "iec61966-2-4",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    18: "arib-std-b67",
}
_RGB_MATRIX = 0
_SWS_BT709, _SWS_BT601, _SWS_BT2020 = 1, 5, 9
_SWS_MATRIX = {"bt709": 1, "fcc": 4, "bt470bg": 5, "smpte170m": 5, "smpte240m": 7, "bt2020nc": _SWS_BT2020}
_LIMITED, _FULL = 1, 2
# swscale: bilinear chroma at full resolution with exact rounding; its default repeats chroma and is off by 1-2 levels.
_SWS_FLAGS = 0x2 | 0x2000 | 0x40000

# Decoders that draw text files as pictures: a text that happens to be called .nfo or .ans is not a video.
_TEXT_ART = frozenset(("ansi", "bintext", "xbin", "idf"))

Item = TypeVar("Item")


@dataclass(frozen=True)
class ColorTags:
    """What a source says of its colours, in ffmpeg's names; None where it says nothing.

    Attributes:
        matrix: YUV matrix, such as "bt709" or "smpte170m".
        primaries: Colour primaries.
        transfer: Transfer characteristic.
        full_range: Whether luma uses 0-255 instead of 16-235.
    """

    matrix: str | None = None
    primaries: str | None = None
    transfer: str | None = None
    full_range: bool | None = None


@dataclass(frozen=True)
class SourceInfo:
    """What is known of a source before its frames are read.

    Attributes:
        path: The file or folder.
        width: Pixels across, after rotation.
        height: Pixels down, after rotation.
        fps: Rate of the frames that are handed out; exact.
        frame_estimate: How many frames one pass hands out; off by a few for damaged videos.
        is_image: Whether it is a single image.
        color: Colour tags for the writer.
        sample_aspect: Width of a pixel over its height; 1 except in anamorphic video.
        start: Seconds from the start of the file, where its sound is counted from, to the first frame.
    """

    path: Path
    width: int
    height: int
    fps: Fraction
    frame_estimate: int | None
    is_image: bool
    color: ColorTags = field(default_factory=ColorTags)
    sample_aspect: Fraction = Fraction(1)
    start: Fraction = Fraction(0)


class FrameSource(Protocol):
    """Frames as (H, W, 3) uint8 BGR arrays that the caller owns."""

    info: SourceInfo

    def frames(self) -> Iterator[np.ndarray]:
        """Yield the frames of one forward pass."""
        ...

    def ping_pong(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (index, frame) forward, backward, forward ... without end: 0 ... n-1, n-1 ... 0, 0 ... (published).

        The index is the frame's place in `frames()`. Memory is bounded by `PING_PONG_BYTES`, however long the source.
        """
        ...


@dataclass(frozen=True)
class Orientation:
    """How to turn a stored picture upright: transpose first, then mirror."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def from_exif(cls, value: int) -> Orientation:
        """Return the orientation of EXIF tag 0x0112; values outside 1-8 mean upright."""
        return cls(value in (5, 6, 7, 8), value in (2, 3, 6, 7), value in (3, 4, 7, 8))

    @classmethod
    def from_display_matrix(cls, matrix: Sequence[int]) -> Orientation:
        """Return the orientation of a 3x3 display matrix (9 ints, row by row); odd angles go to the nearest right one.

        The matrix takes a stored (x, y) to the shown (a x + c y, b x + d y).
        """
        a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(True, c < 0, b < 0)
        return cls(False, a < 0, d < 0)

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Return the upright image, contiguous."""
        if self.transpose:
            image = cv2.transpose(image)
        if self.flip_x or self.flip_y:
            image = cv2.flip(image, -1 if self.flip_x and self.flip_y else int(self.flip_x))
        return image


def open_source(path: str | Path, fps: Fraction | None = None) -> FrameSource:
    """Open a video, an image or a folder of images, and check that frames can be read from it.

    Args:
        path: A video of any container and codec, an image, or a folder of numbered images of one size.
        fps: Rate of the frames handed out: a video is resampled by time, images follow each other at this rate.
            None: the video's own rate (of uneven frames the average), 25 for images.

    Raises:
        InputError: There is nothing there that frames can be read from, or a file is cut short.
        UsageError: `fps` is not positive.
    """
    path = Path(path)
    if fps is not None and fps <= 0:
        raise UsageError(f"fps is {fps}", "Give a frame rate above 0.")
    if path.is_dir():
        return ImageFolder(path, fps)
    require_file(path, "video or image")
    if _image_header(path) is not None:
        return ImageFile(path, fps)
    return VideoFile(path, fps)


class _Source:
    """The ping-pong that all sources share; a subclass says how to read forward, and a range at random."""

    info: SourceInfo

    def __init__(self, keep_bytes: int = PING_PONG_BYTES) -> None:
        self._keep_bytes = keep_bytes

    def frames(self) -> Iterator[np.ndarray]:
        raise NotImplementedError

    def _first_pass(self) -> Iterator[np.ndarray]:
        """Yield the frames of a forward pass, noting what `_range` needs."""
        return self.frames()

    def _range(self, start: int, stop: int) -> list[np.ndarray]:
        """Return the frames start ... stop-1 of a source that `_first_pass` has gone through."""
        raise NotImplementedError

    def ping_pong(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (index, frame) without end; see `FrameSource`."""
        kept: list[np.ndarray] | None = []
        kept_bytes = count = 0
        for frame in self._first_pass():
            if kept is not None:
                kept_bytes += frame.nbytes
                if kept_bytes <= self._keep_bytes:
                    kept.append(frame.copy())
                else:
                    kept = None
            yield count, frame
            count += 1
        while True:
            yield from self._backward(count, kept)
            yield from self._forward(count, kept)

    def _backward(self, count: int, kept: list[np.ndarray] | None) -> Iterator[tuple[int, np.ndarray]]:
        if kept is not None:
            for index in reversed(range(count)):
                yield index, kept[index].copy()
            return
        chunk = max(1, self._keep_bytes // (self.info.width * self.info.height * 3))
        for stop in range(count, 0, -chunk):
            start = max(0, stop - chunk)
            frames = self._range(start, stop)
            for index in reversed(range(start, stop)):
                yield index, frames.pop()

    def _forward(self, count: int, kept: list[np.ndarray] | None) -> Iterator[tuple[int, np.ndarray]]:
        if kept is not None:
            for index in range(count):
                yield index, kept[index].copy()
            return
        yield from zip(range(count), self.frames(), strict=False)


# Images


def _image_header(path: Path) -> tuple[int, int, Orientation] | None:
    """Return (stored width, stored height, orientation) of an image, or None when the file is no image."""
    try:
        with Image.open(path, formats=_IMAGE_FORMATS) as image:
            width, height = image.size
            return width, height, Orientation.from_exif(image.getexif().get(_EXIF_ORIENTATION, 1))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def read_image(path: Path) -> np.ndarray:
    """Return an image as (H, W, 3) uint8 BGR, upright; alpha is dropped, grey is repeated, 16 bit becomes 8.

    Raises:
        InputError: It is missing, empty, or cannot be decoded.
    """
    require_file(path, "image")
    header = _image_header(path)
    stored = None
    if header is not None:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        try:
            stored = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        except cv2.error:
            stored = None
    if header is None or stored is None:
        raise InputError(f"{path}: cannot be read as an image", "Save it again as PNG or JPEG.")
    return header[2].apply(stored)


class ImageFile(_Source):
    """A single image: one frame."""

    def __init__(self, path: Path, fps: Fraction | None = None) -> None:
        super().__init__()
        self._image = read_image(path)
        height, width = self._image.shape[:2]
        self.info = SourceInfo(path, width, height, fps or IMAGE_FPS, 1, is_image=True)

    def frames(self) -> Iterator[np.ndarray]:
        """Yield the image once."""
        yield self._image.copy()


def _natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Return a sort key that orders numbers in names by value: 2.png before 10.png."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part.casefold()) for part in parts], name


class ImageFolder(_Source):
    """A folder of numbered images, in the order of their numbers; gaps in the numbers do not matter."""

    def __init__(self, path: Path, fps: Fraction | None = None, keep_bytes: int = PING_PONG_BYTES) -> None:
        super().__init__(keep_bytes)
        try:
            names = [entry for entry in path.iterdir() if entry.suffix.lower() in _IMAGE_SUFFIXES and entry.is_file()]
        except OSError as error:
            raise InputError(f"{path}: cannot be listed: {error.strerror}", "Check the folder's rights.") from error
        self._paths = sorted((p for p in names if not p.name.startswith(".")), key=lambda p: _natural_key(p.name))
        if not self._paths:
            raise InputError(
                f"{path}: the folder holds no images", "Give a folder with images such as 0001.png, or a video file."
            )
        height, width = read_image(self._paths[0]).shape[:2]
        for image in self._paths[1:]:
            require_file(image, "image")
            self._check_size(image, _image_header(image), width, height)
        self.info = SourceInfo(path, width, height, fps or IMAGE_FPS, len(self._paths), is_image=False)

    def _check_size(self, path: Path, header: tuple[int, int, Orientation] | None, width: int, height: int) -> None:
        if header is None:
            raise InputError(f"{path}: cannot be read as an image", "Save it again as PNG or JPEG, or remove it.")
        size = (header[1], header[0]) if header[2].transpose else (header[0], header[1])
        if size != (width, height):
            raise InputError(
                f"{path}: the image is {size[0]}x{size[1]}, but {self._paths[0].name} is {width}x{height}",
                "Give all images of the folder one size.",
            )

    def frames(self) -> Iterator[np.ndarray]:
        """Yield the images in order."""
        for index in range(len(self._paths)):
            yield from self._range(index, index + 1)

    def _range(self, start: int, stop: int) -> list[np.ndarray]:
        return [read_image(path) for path in self._paths[start:stop]]


# Videos


@dataclass(frozen=True)
class _Timing:
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


@dataclass
class _PassRecord:
    """What a forward pass notes so that any part of it can be found again.

    Attributes:
        shown: For each frame handed out, which decoded frame it was.
        keys: For each key frame, in order, (place among the decoded frames, stamp).
        checksums: For each decoded frame that was handed out, a checksum of its pixels.
    """

    shown: list[int] = field(default_factory=list)
    keys: list[tuple[int, int | None]] = field(default_factory=list)
    checksums: dict[int, int] = field(default_factory=dict)


def _checksum(image: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(image[::8]).data)


class VideoFile(_Source):
    """The first video stream of a media file.

    Frames at a constant rate are each handed out exactly once. Frames at uneven times, or at an asked rate, are
    resampled by time in exact arithmetic: frame k is the one on display at time k / fps.
    """

    def __init__(self, path: Path, fps: Fraction | None = None, keep_bytes: int = PING_PONG_BYTES) -> None:
        super().__init__(keep_bytes)
        self._path = path
        with open_media(path, "video") as container:
            self._timing = _scan(container, self._stream(container), path)
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
        self._orientation = _orientation(first)
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
            color=_color_tags(first),
            sample_aspect=1 / aspect if transposed else aspect,
            start=start,
        )
        self._record: _PassRecord | None = None

    def frames(self) -> Iterator[np.ndarray]:
        """Yield the frames of one forward pass.

        Raises:
            InputError: Reading fails, or nothing can be decoded.
        """
        return self._convert(None)

    def _first_pass(self) -> Iterator[np.ndarray]:
        self._record = _PassRecord()
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

    def _timed(self, record: _PassRecord | None) -> Iterator[tuple[Fraction, tuple[int, av.VideoFrame]]]:
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

    def _convert(self, record: _PassRecord | None) -> Iterator[np.ndarray]:
        to_bgr = self._converter()
        image: np.ndarray | None = None
        shown = -1
        # The stream's rate, not the asked one: how long the last frame stays does not depend on the output.
        for index, frame in resample_by_time(self._timed(record), self.info.fps, 1 / self._timing.rate):
            if image is None or index != shown:
                image, shown = to_bgr(frame), index
                if record is not None:
                    record.checksums[index] = _checksum(image)
            if record is not None:
                record.shown.append(index)
            yield image.copy()
        if image is None:
            raise InputError(f"{self._path}: not one frame can be decoded", "The file is damaged; copy it again.")

    def _converter(self) -> Callable[[av.VideoFrame], np.ndarray]:
        """Return a function from a decoded frame to an upright (H, W, 3) uint8 BGR array."""
        reformatter = VideoReformatter()
        width, height = self._stored_size

        def to_bgr(frame: av.VideoFrame) -> np.ndarray:
            matrix, color_range = _assumed_colors(frame)
            try:
                converted = reformatter.reformat(
                    frame,
                    width=width,
                    height=height,
                    format="bgr24",
                    src_colorspace=matrix,
                    src_color_range=color_range,
                    dst_color_range=_FULL,
                    interpolation=_SWS_FLAGS,
                )
            except av.FFmpegError as error:
                raise InputError(
                    f"{self._path}: pixel format {frame.format.name} cannot be converted: {reason_of(error)}",
                    "Convert the video to H.264 with 8 bits, for example with ffmpeg -pix_fmt yuv420p.",
                ) from error
            return self._orientation.apply(converted.to_ndarray())

        return to_bgr

    def _range(self, start: int, stop: int) -> list[np.ndarray]:
        record = self._record
        assert record is not None
        shown = record.shown[start:stop]
        for entry in _entries(record.keys, shown[0]):
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

    def _decode_from(self, entry: int | None, wanted: set[int], record: _PassRecord) -> dict[int, np.ndarray] | None:
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
                if _checksum(found[place]) != record.checksums[place]:
                    return None
                if place == last:
                    return found
        return None


def _start(first: av.VideoFrame, container: InputContainer) -> Fraction:
    if first.pts is None or first.time_base is None or container.start_time is None:
        return Fraction(0)
    return max(Fraction(0), first.pts * first.time_base - Fraction(container.start_time, av.time_base))


def _entries(keys: Sequence[tuple[int, int | None]], place: int) -> Iterator[int | None]:
    """Yield stamps to seek to for reaching `place`: the key frame before it, some earlier ones, the beginning."""
    before = [stamp for key, stamp in keys if key <= place and stamp is not None]
    for back in (1, 2, 4, 8):
        if len(before) >= back:
            yield before[-back]
    yield None


def _scan(container: InputContainer, stream: VideoStream, path: Path) -> _Timing:
    """Go through the packets without decoding: when frames are shown, and whether the file is all there."""
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
        return _Timing(rate, True, True, time_base, count, count / rate)
    stamps = np.sort(np.array(chosen, np.int64))
    constant = constant_rate(stamps, time_base, claims)
    if counted:
        rate = constant or claimed
        return _Timing(rate, True, True, time_base, count, count / rate)
    span = int(stamps[-1] - stamps[0]) * time_base
    if constant is not None:
        return _Timing(constant, True, False, time_base, count, (round(span * constant) + 1) / constant)
    rate = mean_rate(stamps, time_base, stream.average_rate)
    return _Timing(rate, False, False, time_base, count, span + 1 / rate)


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


def _orientation(frame: av.VideoFrame) -> Orientation:
    side_data: Any = frame.side_data  # PyAV's stub lists only some of the kinds
    try:
        matrix = side_data["DISPLAYMATRIX"]
    except KeyError:
        return Orientation()
    return Orientation.from_display_matrix(np.frombuffer(bytes(matrix), np.int32)[:9].tolist())


def _is_yuv(frame: av.VideoFrame) -> bool:
    return not frame.format.is_rgb and int(frame.colorspace) != _RGB_MATRIX


def _color_tags(frame: av.VideoFrame) -> ColorTags:
    """Return the frame's tags; an RGB source has none that would mean anything for the YUV result."""
    if not _is_yuv(frame):
        return ColorTags()
    matrix = _MATRICES.get(int(frame.colorspace))
    color_range = int(frame.color_range)
    full = color_range == _FULL or frame.format.name.startswith("yuvj")
    return ColorTags(
        matrix,
        # Primaries and transfer without a matrix would pair foreign tags with the writer's own matrix.
        _PRIMARIES.get(int(frame.color_primaries)) if matrix else None,
        _TRANSFERS.get(int(frame.color_trc)) if matrix else None,
        full if full or color_range == _LIMITED else None,
    )


def _assumed_colors(frame: av.VideoFrame) -> tuple[int | None, int | None]:
    """Return swscale's (matrix, range) for a frame: its tags, or what players assume without."""
    if not _is_yuv(frame):
        return None, None
    tags = _color_tags(frame)
    if tags.matrix is not None:
        matrix = _SWS_MATRIX[tags.matrix]
    elif frame.width >= 1280 or frame.height >= 720:
        matrix = _SWS_BT709
    else:
        matrix = _SWS_BT601
    return matrix, _FULL if tags.full_range else _LIMITED
