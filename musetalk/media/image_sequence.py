"""Many images of one size in one file, lossless, each readable by itself: the frames of a prepared avatar.

Each image is a MagicYUV picture of planes G, B, R. Of the lossless codecs at hand it decodes fastest (BENCHMARKS.md);
any size goes, and nothing but the picture itself is needed to decode it.

Layout, little-endian: a header of 40 bytes (magic, version, number of images, width, height, where the index begins,
CRC-32 of the index), the pictures, the index (16 bytes for each: offset, length, CRC-32). The header is written last,
so that a file that was cut short is known before anything in it is decoded. Nothing in a file is executed.
"""

from __future__ import annotations

import mmap
import struct
import threading
import zlib
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import av
import cv2
import numpy as np

from musetalk.errors import InputError, OutputError

CODEC = "magicyuv"
PIXEL_FORMAT = "gbrp"

_MAGIC = b"MuseImgs"
_VERSION = 1
_HEADER = struct.Struct("<8sIIIIQI4x")
_ENTRY = np.dtype([("offset", "<u8"), ("length", "<u4"), ("crc", "<u4")])
_RATE = Fraction(25)  # the codec wants one; it means nothing here


class ImageSequenceWriter:
    """Writes images one after the other. A context manager; after an exception the file cannot be opened."""

    def __init__(self, path: Path, width: int, height: int) -> None:
        """
        Args:
            path: The file; it must not exist.
            width: Pixels across of every image.
            height: Pixels down.
        """
        self._path = path
        self._shape = (height, width, 3)
        self._index: list[tuple[int, int, int]] = []
        self._end = _HEADER.size
        self._file: BinaryIO | None = None
        self._encoder: Any = None

    def __enter__(self) -> ImageSequenceWriter:
        try:
            self._file = self._path.open("xb")
            self._file.write(bytes(_HEADER.size))
        except OSError as error:
            raise self._failed(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None
        try:
            if kind is None:
                self._finish(self._file)
        except OSError as failure:
            raise self._failed(failure) from failure
        finally:
            self._file.close()

    def write(self, image: np.ndarray) -> None:
        """Append an image, (height, width, 3) uint8 BGR.

        Raises:
            OutputError: The disk is full.
        """
        if self._file is None:
            raise RuntimeError("ImageSequenceWriter.write outside of its context")
        if image.shape != self._shape or image.dtype != np.uint8:
            raise ValueError(f"image of {image.dtype} {image.shape}, not uint8 {self._shape}")
        data = self._encode(image)
        try:
            self._file.write(data)
        except OSError as error:
            raise self._failed(error) from error
        self._index.append((self._end, len(data), zlib.crc32(data)))
        self._end += len(data)

    def _encode(self, image: np.ndarray) -> bytes:
        height, width = self._shape[:2]
        if self._encoder is None:
            encoder: Any = av.CodecContext.create(CODEC, "w")
            encoder.width, encoder.height, encoder.pix_fmt = width, height, PIXEL_FORMAT
            encoder.time_base, encoder.thread_count = 1 / _RATE, 1
            self._encoder = encoder
        frame = av.VideoFrame(width, height, PIXEL_FORMAT)
        blue, green, red = cv2.split(image)
        for plane, values in zip(frame.planes, (green, blue, red), strict=True):
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
            rows[:, :width] = values
        frame.pts, frame.time_base = len(self._index), 1 / _RATE
        (packet,) = self._encoder.encode(frame)
        return bytes(packet)

    def _finish(self, file: BinaryIO) -> None:
        height, width = self._shape[:2]
        index = np.array(self._index, _ENTRY).tobytes()
        file.write(index)
        file.flush()
        file.seek(0)
        header = (_MAGIC, _VERSION, len(self._index), width, height, self._end, zlib.crc32(index))
        file.write(_HEADER.pack(*header))

    def _failed(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self._path}: cannot be written: {error.strerror or error}",
            "Free some space, or choose a folder that you may write to.",
        )


class ImageSequence:
    """Images of a file that `ImageSequenceWriter` made. Any thread may read any image; only the index is held.

    Attributes:
        path: The file.
        width: Pixels across of every image.
        height: Pixels down.
    """

    def __init__(self, path: str | Path) -> None:
        """Open a file and check that it is whole.

        Raises:
            InputError: It is missing, cut short, damaged or something else.
        """
        self.path = Path(path)
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, 2)
                if size < _HEADER.size:
                    raise self._damaged("is cut short")
                self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise self._damaged(f"cannot be read: {error.strerror or error}") from None
        magic, version, count, self.width, self.height, end, crc = _HEADER.unpack(self._data[: _HEADER.size])
        if magic != _MAGIC:
            raise self._damaged("is no image sequence, or was not written to its end")
        if version != _VERSION:
            raise self._damaged(f"is of version {version}, not {_VERSION}")
        index = self._data[end : end + count * _ENTRY.itemsize]
        if len(index) != count * _ENTRY.itemsize:
            raise self._damaged("is cut short")
        if zlib.crc32(index) != crc:
            raise self._damaged("has a damaged index")
        self._index = np.frombuffer(index, _ENTRY)
        self._decoders = threading.local()  # a decoder serves one thread

    def __len__(self) -> int:
        """Number of images."""
        return len(self._index)

    def read(self, index: int) -> np.ndarray:
        """An image, (height, width, 3) uint8 BGR, the caller's own.

        Raises:
            InputError: The file is damaged there.
            IndexError: There is no such image.
        """
        offset, length, crc = (int(value) for value in self._index[index])
        data = self._data[offset : offset + length]
        if zlib.crc32(data) != crc:
            raise self._damaged(f"is damaged at image {index}")
        try:
            (frame,) = self._decoder().decode(av.Packet(data))
        except (av.FFmpegError, ValueError):
            raise self._damaged(f"is damaged at image {index}") from None
        if (frame.width, frame.height, frame.format.name) != (self.width, self.height, PIXEL_FORMAT):
            raise self._damaged(f"holds an image of another kind at {index}")
        green, blue, red = (
            np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : self.width]
            for plane in frame.planes
        )
        return cv2.merge([blue, green, red])

    def _decoder(self) -> Any:
        decoder = getattr(self._decoders, "decoder", None)
        if decoder is None:
            decoder = av.CodecContext.create(CODEC, "r")
            decoder.thread_count = 1
            self._decoders.decoder = decoder
        return decoder

    def close(self) -> None:
        """Let go of the file; nothing can be read any more."""
        self._data.close()

    def _damaged(self, how: str) -> InputError:
        return InputError(f"{self.path}: {how}", "Make it again: prepare the avatar with --rebuild.")
