"""Face regions of a clip: what a training sample needs of a frame, so that no video is decoded in training.

One file for each clip. For every frame with a face it holds a rectangle around the face as a JPEG, wide enough for any
crop that is made in training: the union of detection, landmarks and inference's box, and a border around it.

Layout, little-endian: a header of 32 bytes (magic, version, number of frames, frame height and width, CRC-32 of the
index), the index (one entry of 44 bytes for each frame), the JPEGs. The index is of fixed size, so that a file is
known to be whole before anything in it is decoded. Nothing in a file is executed.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from musetalk.errors import InputError, OutputError
from musetalk.face.boxes import face_box
from musetalk.face.landmarks import Box, Face
from musetalk.training.files import replacing

SUFFIX = ".regions"
BORDER = 0.3
"""What a region is wider and higher at each side, over the size of the face."""
LOWEST_MARGIN = 40
"""Pixels of the frame that a region has at least below the face: crops are lowered by drawn margins (published: up to
20), and by inference's extra_margin (published: 10)."""
MAX_SIDE = 512
QUALITY = 95

_MAGIC = b"MuseFace"
_VERSION = 1
_HEADER = struct.Struct("<8sIIIII4x")  # magic, version, frames, height, width, CRC-32 of the index
_ENTRY = np.dtype(
    [("offset", "<u8"), ("length", "<u4"), ("crc", "<u4"), ("box", "<i4", 4), ("scale", "<f8"), ("spare", "<u4")]
)
_FIX = "Run scripts.preprocess again: it makes what is damaged anew once the file is removed."


@dataclass(frozen=True)
class Region:
    """A part of a frame.

    A box in frame pixels lies at (box - origin) * scale in `image`.

    Attributes:
        image: BGR uint8 (h, w, 3).
        origin: (x, y) of the part's upper left corner, in pixels of the frame.
        scale: Pixels of `image` for one of the frame, at most 1.
    """

    image: np.ndarray
    origin: tuple[int, int]
    scale: float


def region_box(face: Face, frame_shape: Sequence[int]) -> Box | None:
    """The rectangle that is stored of a frame.

    Args:
        face: In pixels of the frame.
        frame_shape: (height, width, …) of the frame.

    Returns:
        x1, y1, x2, y2, inside the frame; None where no part of the face is in the frame, or it has no detection.
    """
    if face.detection is None:
        return None
    corners = [face.detection, (*face.landmarks.min(axis=0), *face.landmarks.max(axis=0))]
    generated = face_box(face, frame_shape)
    if generated is not None:
        corners.append(generated)
    edges = np.array(corners, np.float64)
    (x1, y1), (x2, y2) = edges[:, :2].min(axis=0), edges[:, 2:].max(axis=0)
    across, down = BORDER * (x2 - x1), BORDER * (y2 - y1)
    height, width = frame_shape[:2]
    left, top = max(0, int(np.floor(x1 - across))), max(0, int(np.floor(y1 - down)))
    right = min(width, int(np.ceil(x2 + across)))
    bottom = min(height, int(np.ceil(y2 + max(down, LOWEST_MARGIN))))
    return (left, top, right, bottom) if left < right and top < bottom else None


class RegionWriter:
    """Writes the regions of a clip, frame by frame. A context manager: the file appears when all frames are written.

    On an exception nothing is left.
    """

    def __init__(
        self, path: Path, frames: int, frame_size: Sequence[int], max_side: int = MAX_SIDE, quality: int = QUALITY
    ) -> None:
        """
        Args:
            path: The file.
            frames: How many frames will be written.
            frame_size: (height, width) of the frames.
            max_side: Longest side of a stored region; larger ones are scaled down to it.
            quality: Of the JPEGs, which keep colour at full resolution (4:4:4).
        """
        self._path = path
        self._size = int(frame_size[0]), int(frame_size[1])
        self._max_side = max_side
        self._quality = quality
        self._index = np.zeros(frames, _ENTRY)
        self._next = 0
        self._end = _HEADER.size + self._index.nbytes
        self._opened = replacing(path)

    def __enter__(self) -> RegionWriter:
        self._file = self._opened.__enter__()
        try:
            self._file.write(bytes(self._end))
        except BaseException as error:
            self._opened.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            try:
                self._write_head()
            except BaseException as failure:
                self._opened.__exit__(type(failure), failure, failure.__traceback__)
                raise
        self._opened.__exit__(kind, error, trace)

    def write(self, frame: np.ndarray, box: Box | None) -> None:
        """Append the region of a frame.

        Args:
            frame: BGR uint8 (H, W, 3).
            box: x1, y1, x2, y2 inside the frame, from `region_box`; None for a frame without a face.

        Raises:
            OutputError: The disk is full, or it is one frame too many.
        """
        if self._next >= len(self._index):
            raise self._wrong_count(self._next + 1)
        if box is not None:
            x1, y1, x2, y2 = box
            image = frame[y1:y2, x1:x2]
            scale = min(1.0, self._max_side / max(image.shape[:2]))
            if scale < 1:
                # With factors in place of a size the scale is exact: pixel edges map to multiples of it.
                image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            data = _encoded(image, self._quality)
            self._file.write(data)
            self._index[self._next] = (self._end, len(data), zlib.crc32(data), box, scale, 0)
            self._end += len(data)
        self._next += 1

    def _write_head(self) -> None:
        if self._next != len(self._index):
            raise self._wrong_count(self._next)
        index = self._index.tobytes()
        self._file.seek(0)
        self._file.write(_HEADER.pack(_MAGIC, _VERSION, len(self._index), *self._size, zlib.crc32(index)))
        self._file.write(index)

    def _wrong_count(self, count: int) -> OutputError:
        return OutputError(
            f"{self._path}: {count} of {len(self._index)} frames were written",
            "Run it again; if it happens again, report it with the command that was run.",
        )


def _encoded(image: np.ndarray, quality: int) -> bytes:
    options = [
        *(cv2.IMWRITE_JPEG_QUALITY, quality),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    ]
    _, data = cv2.imencode(".jpg", image, options)
    return data.tobytes()


class RegionFile:
    """The regions of one clip, for reading any frame.

    Holds the index alone (44 bytes a frame) and opens the file for each read, so that it can be copied to other
    processes and thousands of clips can be held.
    """

    def __init__(self, path: str | Path) -> None:
        """Read and check the index.

        Raises:
            InputError: The file is missing, cut short, damaged or something else.
        """
        self.path = Path(path)
        try:
            size = self.path.stat().st_size
            with self.path.open("rb") as file:
                head = file.read(_HEADER.size)
                if len(head) < _HEADER.size or not head.startswith(_MAGIC):
                    raise self._damaged("holds no face regions")
                _, version, count, height, width, crc = _HEADER.unpack(head)
                if version != _VERSION:
                    raise self._damaged(f"is of version {version}, not {_VERSION}")
                if size < _HEADER.size + count * _ENTRY.itemsize:
                    raise self._damaged("is cut short")
                index = file.read(count * _ENTRY.itemsize)
        except OSError as error:
            raise self._damaged(f"cannot be read: {error.strerror or error}") from None
        if zlib.crc32(index) != crc:
            raise self._damaged("has a damaged index")
        self._index = np.frombuffer(index, _ENTRY)
        if size < int((self._index["offset"] + self._index["length"]).max(initial=0)):
            raise self._damaged("is cut short")
        self.frame_size = height, width
        """(height, width) of the clip's frames."""

    def __len__(self) -> int:
        """Frames of the clip."""
        return len(self._index)

    def has(self, index: int) -> bool:
        """Whether a frame has a face."""
        return bool(self._index["length"][index])

    def box(self, index: int) -> Box:
        """The region's rectangle in its frame, x1, y1, x2, y2; (0, 0, 0, 0) where there is none."""
        x1, y1, x2, y2 = (int(edge) for edge in self._index["box"][index])
        return x1, y1, x2, y2

    def read(self, index: int) -> Region:
        """The region of a frame.

        Raises:
            InputError: The frame has none, or the file has become unreadable or damaged.
            IndexError: There is no such frame.
        """
        entry = self._index[index]
        if not entry["length"]:
            raise InputError(f"{self.path}: frame {index} has no face", "Report this as a bug, with the command.")
        try:
            with self.path.open("rb") as file:
                file.seek(int(entry["offset"]))
                data = file.read(int(entry["length"]))
        except OSError as error:
            raise self._damaged(f"cannot be read: {error.strerror or error}") from None
        if len(data) < entry["length"] or zlib.crc32(data) != entry["crc"]:
            raise self._damaged(f"is damaged at frame {index}")
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if image is None:
            raise self._damaged(f"is damaged at frame {index}")
        x, y = int(entry["box"][0]), int(entry["box"][1])
        return Region(image, (x, y), float(entry["scale"]))

    def _damaged(self, how: str) -> InputError:
        return InputError(f"{self.path}: {how}", _FIX)
