"""What a source of frames is, and what is known of it before its frames are read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np

from musetalk.media.color import ColorTags

# Frame rate of images, published: --fps 25.
IMAGE_FPS = Fraction(25)


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

        The index is the frame's place in `frames()`. Memory is bounded by
        `ping_pong.PING_PONG_BYTES`, however long the source.
        """
        ...
