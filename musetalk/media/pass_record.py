"""What a forward pass over a video notes, so that any part of it can be found again."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass
class PassRecord:
    """What a forward pass notes so that any part of it can be found again.

    Attributes:
        shown: For each frame handed out, which decoded frame it was.
        keys: For each key frame, in order, (place among the decoded frames, stamp).
        checksums: For each decoded frame that was handed out, a checksum of its pixels.
    """

    shown: list[int] = field(default_factory=list)
    keys: list[tuple[int, int | None]] = field(default_factory=list)
    checksums: dict[int, int] = field(default_factory=dict)


def checksum(image: np.ndarray) -> int:
    """Return a checksum of every eighth row of an (H, W, 3) uint8 image."""
    return zlib.crc32(np.ascontiguousarray(image[::8]).data)


def entries(keys: Sequence[tuple[int, int | None]], place: int) -> Iterator[int | None]:
    """Yield stamps to seek to for reaching `place`: the key frame before it, some earlier ones, the beginning."""
    before = [stamp for key, stamp in keys if key <= place and stamp is not None]
    for back in (1, 2, 4, 8):
        if len(before) >= back:
            yield before[-back]
    yield None
