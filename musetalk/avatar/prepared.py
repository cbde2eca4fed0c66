"""A prepared avatar's frames and what is known of each, read from its files when they are asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from itertools import count, islice
from pathlib import Path

import numpy as np
import torch

from musetalk.avatar.manifest import Manifest
from musetalk.avatar.tensor_file import TensorFile
from musetalk.errors import InputError
from musetalk.face.landmarks import Box
from musetalk.media.frame_source import SourceInfo
from musetalk.media.image_sequence import ImageSequence
from musetalk.pipeline.frame_state import ByteCache, FacePlacement, LocatedFrame

FRAMES = "frames.images"
IDLE_FACES = "idle.images"
STATES = "states.safetensors"

BOXES = "boxes"  # (n, 4) int32; zeros for a frame without a face
MASK_BOXES = "mask_boxes"  # (n, 4) int32: where the mask lies in its frame
MASK_ENDS = "mask_ends"  # (n,) int64: one past the mask's last weight in MASKS
MASKS = "masks"  # uint8: the weights of all masks, row by row, one mask after the other
FACE_ROWS = "face_rows"  # (n,) int32: row of the frame's latents and idle face, -1 for a frame without a face
LATENTS = "latents"  # (faces, 2·c, h, w) float32
TENSORS = (BOXES, MASK_BOXES, MASK_ENDS, MASKS, FACE_ROWS, LATENTS)

CACHE_BYTES = 128 * 1024 * 1024
"""Decoded frames that an avatar keeps: short clips stay decoded, of long ones what is played next after the turn."""


def ping_pong_index(position: int, frames: int) -> int:
    """Which frame is shown at a position when frames play forward, backward, forward ... (published)."""
    place = position % (2 * frames)
    return place if place < frames else 2 * frames - 1 - place


class PreparedFrames:
    """Any frame of an avatar with its face, in any order, by any thread.

    Args:
        folder: The avatar.
        manifest: Its manifest.
        cache_bytes: Decoded frames that are kept.

    Raises:
        InputError: A file is missing, cut short, damaged, or does not fit the others.
    """

    def __init__(self, folder: Path, manifest: Manifest, cache_bytes: int = CACHE_BYTES) -> None:
        self.info: SourceInfo = manifest.info
        self._images = ImageSequence(folder / FRAMES)
        self._idle = ImageSequence(folder / IDLE_FACES)
        self._tensors = TensorFile(folder / STATES, TENSORS)
        self._boxes, self._mask_boxes, self._face_rows = (
            self._tensors.whole(name) for name in (BOXES, MASK_BOXES, FACE_ROWS)
        )
        self._mask_ends = self._tensors.whole(MASK_ENDS)
        self._cache: ByteCache[np.ndarray] = ByteCache(cache_bytes)
        self._lock = threading.Lock()
        self._check(folder, manifest)

    def _check(self, folder: Path, manifest: Manifest) -> None:
        tables = (self._images, self._boxes, self._mask_boxes, self._mask_ends, self._face_rows)
        faces = self._tensors.shape(LATENTS)[0]
        size = self._images.width, self._images.height
        if (
            {len(table) for table in tables} != {manifest.frames}
            or {faces, len(self._idle), int((self._face_rows >= 0).sum())} != {manifest.faces}
            or size != (self.info.width, self.info.height)
        ):
            raise InputError(f"{folder}: its files do not fit each other", "Prepare the avatar again with --rebuild.")

    def __len__(self) -> int:
        """Number of source frames."""
        return len(self._images)

    @property
    def face_size(self) -> int:
        """Side of the idle faces in pixels."""
        return self._idle.width

    def image(self, index: int) -> np.ndarray:
        """A source frame, (H, W, 3) uint8 BGR, read-only."""
        with self._lock:
            kept = self._cache.get(index)
        if kept is not None:
            return kept
        image = self._images.read(index)
        image.flags.writeable = False
        with self._lock:
            self._cache.put(index, image, image.nbytes)
        return image

    def has_face(self, index: int) -> bool:
        """Whether a frame has a face; those without pass through unchanged."""
        return bool(self._face_rows[index] >= 0)

    def placement(self, index: int) -> FacePlacement | None:
        """Where the frame's face goes, or None when it has none."""
        if not self.has_face(index):
            return None
        box, mask_box = _box(self._boxes[index]), _box(self._mask_boxes[index])
        start = int(self._mask_ends[index - 1]) if index else 0
        weights = self._tensors.rows(MASKS, start, int(self._mask_ends[index]))
        alpha = weights.reshape(mask_box[3] - mask_box[1], mask_box[2] - mask_box[0])
        return FacePlacement(box, mask_box, alpha)

    def located(self, index: int) -> LocatedFrame:
        """A source frame with its placement."""
        return LocatedFrame(index, self.image(index), self.placement(index))

    @property
    def visible_from(self) -> float:
        """Share of the faces' height above which nothing of them is shown, in no frame."""
        placements = (self.placement(index) for index in range(len(self)))
        return min((one.visible_from for one in placements if one is not None), default=1.0)

    def latents(self, indices: Sequence[int]) -> torch.Tensor:
        """UNet inputs (n, 2·c, h, w) float32 of frames that have a face."""
        rows = [int(self._face_rows[index]) for index in indices]
        return torch.from_numpy(np.concatenate([self._tensors.rows(LATENTS, row, row + 1) for row in rows]))

    def idle_face(self, index: int) -> np.ndarray | None:
        """The face of a frame in silence, (s, s, 3) uint8 BGR; None for a frame without a face."""
        row = int(self._face_rows[index])
        return None if row < 0 else self._idle.read(row)

    def close(self) -> None:
        """Let go of the files."""
        self._images.close()
        self._idle.close()
        self._tensors.close()


class PreparedStates:
    """A `StateSource` that looks up what was prepared.

    Args:
        frames: The avatar's frames.
    """

    def __init__(self, frames: PreparedFrames) -> None:
        self._frames = frames

    @property
    def info(self) -> SourceInfo:
        """Size, rate and colours of the frames."""
        return self._frames.info

    def frames(self) -> Iterator[tuple[int, np.ndarray]]:
        """(index, frame), forward and backward without end."""
        for position in count():
            index = ping_pong_index(position, len(self._frames))
            yield index, self._frames.image(index)

    def locate(self, frames: Iterator[tuple[int, np.ndarray]], count: int | None = None) -> Iterator[LocatedFrame]:
        """The first `count` of `frames` (None: all), each with its placement."""
        for index, image in islice(frames, count):
            yield LocatedFrame(index, image, self._frames.placement(index))

    def latents(self, batch: Sequence[LocatedFrame]) -> torch.Tensor:
        """UNet inputs (n, 2·c, h, w) float32 of frames that have a placement."""
        return self._frames.latents([item.index for item in batch])


def _box(edges: np.ndarray) -> Box:
    x1, y1, x2, y2 = (int(edge) for edge in edges)
    return x1, y1, x2, y2
