"""Frames of an image file or of a folder of numbered images."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from musetalk.errors import InputError
from musetalk.media.ffmpeg import require_file
from musetalk.media.frame_source import IMAGE_FPS, SourceInfo
from musetalk.media.orientation import Orientation
from musetalk.media.ping_pong import PING_PONG_BYTES, PingPong

_IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM")
_IMAGE_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm"))
_EXIF_ORIENTATION = 0x0112


def image_header(path: Path) -> tuple[int, int, Orientation] | None:
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
    header = image_header(path)
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


class ImageFile(PingPong):
    """A single image: one frame."""

    def __init__(self, path: Path, fps: Fraction | None = None) -> None:
        super().__init__()
        self._image = read_image(path)
        height, width = self._image.shape[:2]
        self.info = SourceInfo(path, width, height, fps or IMAGE_FPS, 1, is_image=True)

    def frames(self) -> Iterator[np.ndarray]:
        """Yield the image once."""
        yield self._image.copy()

    def _range(self, start: int, stop: int) -> list[np.ndarray]:
        return [self._image.copy() for _ in range(start, stop)]


def _natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Return a sort key that orders numbers in names by value: 2.png before 10.png."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part.casefold()) for part in parts], name


class ImageFolder(PingPong):
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
            self._check_size(image, image_header(image), width, height)
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
