"""What is known of a source frame before it speaks: where its face is, how it is blended, and its latents."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch

from musetalk.face.landmarks import Box, Face
from musetalk.media.frame_source import SourceInfo

T = TypeVar("T")


@dataclass(frozen=True)
class FacePlacement:
    """Where a generated face goes in its frame.

    Attributes:
        box: Face box in frame pixels; the generated face is scaled to it.
        crop_box: Where `alpha` lies in the frame; may leave it.
        alpha: (crop height, crop width) uint8 weights of the generated face.
    """

    box: Box
    crop_box: Box
    alpha: np.ndarray

    @property
    def visible_from(self) -> float:
        """Share of the face's height, 0…1, above which nothing of it is shown."""
        rows = np.flatnonzero(self.alpha.any(axis=1))
        top = self.crop_box[1] + int(rows[0]) - self.box[1] if len(rows) else self.box[3] - self.box[1]
        return min(max(top / max(self.box[3] - self.box[1], 1), 0.0), 1.0)


@dataclass(frozen=True)
class LocatedFrame:
    """A source frame in its place in time.

    Attributes:
        index: Number of the frame in its source.
        frame: (H, W, 3) uint8 BGR.
        placement: None: the frame has no face and passes through unchanged.
        face: Its landmarks, where they were looked for.
    """

    index: int
    frame: np.ndarray
    placement: FacePlacement | None
    face: Face | None = None


@dataclass(frozen=True)
class FrameState:
    """All that has to be kept of a frame, beside its pixels, to let it speak: what a prepared avatar stores.

    Attributes:
        placement: Where the face goes.
        latents: (2·c, h, w) float32, masked then reference, as from `Generator.encode_faces`.
    """

    placement: FacePlacement
    latents: np.ndarray


class StateSource(Protocol):
    """Feeds the pipeline with located frames and their latents: live from a video, or from a prepared avatar.

    `frames` and `locate` run in threads of their own, ahead of `latents`, which runs beside the UNet.
    """

    @property
    def info(self) -> SourceInfo:
        """Size, rate and colours of the frames."""
        ...

    def frames(self) -> Iterator[tuple[int, np.ndarray]]:
        """(index, frame), forward and backward without end."""
        ...

    def locate(self, frames: Iterator[tuple[int, np.ndarray]], count: int | None = None) -> Iterator[LocatedFrame]:
        """The first `count` of `frames` (None: all), each with its placement: one out for one in."""
        ...

    def latents(self, batch: Sequence[LocatedFrame]) -> torch.Tensor:
        """UNet inputs (n, 2·c, h, w) of frames that have a placement."""
        ...


class ByteCache(Generic[T]):
    """Keeps the most recently used values up to a size: what an image or a short loop needs again and again.

    Args:
        capacity: Bytes at most.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0
        self._values: OrderedDict[int, tuple[T, int]] = OrderedDict()

    def get(self, key: int) -> T | None:
        """The value, or None when it is not kept (any more)."""
        entry = self._values.get(key)
        if entry is None:
            return None
        self._values.move_to_end(key)
        return entry[0]

    def put(self, key: int, value: T, size: int) -> None:
        """Keep a value of `size` bytes; the longest unused ones make room. A value beyond the capacity is not kept."""
        old = self._values.pop(key, None)
        if old is not None:
            self.size -= old[1]
        if size > self.capacity:
            return
        self._values[key] = value, size
        self.size += size
        while self.size > self.capacity:
            _, (_, freed) = self._values.popitem(last=False)
            self.size -= freed
