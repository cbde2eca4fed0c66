"""Frame states found while the video is read: faces, boxes, masks and latents of an unprepared source."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from musetalk.errors import InputError
from musetalk.face.blending import blend_mask
from musetalk.face.boxes import ShiftRange, face_box, lower_chin, smooth_faces
from musetalk.face.landmarks import Box, Face, FaceFinder
from musetalk.face.masks import crop_box, cut_crop
from musetalk.face.parsing import FaceParser
from musetalk.media.frame_source import FrameSource, SourceInfo
from musetalk.pipeline.frame_state import ByteCache, FacePlacement, LocatedFrame
from musetalk.pipeline.generator import Generator, cut_face
from musetalk.pipeline.settings import FaceSettings
from musetalk.pipeline.template import template_face

T = TypeVar("T")

CACHE_BYTES = 24 * 1024 * 1024


@dataclass(frozen=True)
class _Found:
    """A source frame with its face and box; the box is before extra_margin."""

    index: int
    frame: np.ndarray
    face: Face | None
    box: Box | None


class LiveStates:
    """A `StateSource` that finds faces on the fly.

    The first forward pass finds a box for each source frame, once; the passes after it reuse the boxes. One object
    serves one `locate`.

    Args:
        source: The frames.
        finder: Finds faces; None when `boxes` are given and the parser needs no landmarks.
        parser: Makes the masks.
        generator: Encodes the faces.
        settings: Geometry.
        boxes: Boxes of an earlier run, one per source frame, used as they are.
        batch_size: Frames in one call of finder and parser.
        whole_source: Go on through the rest of the first pass after the frames asked for, so that `boxes` is complete.
    """

    def __init__(
        self,
        source: FrameSource,
        finder: FaceFinder | None,
        parser: FaceParser,
        generator: Generator,
        settings: FaceSettings,
        *,
        boxes: Sequence[Box | None] | None = None,
        batch_size: int = 8,
        cache_bytes: int = CACHE_BYTES,
        whole_source: bool = False,
    ) -> None:
        if finder is None and boxes is None:
            raise ValueError("LiveStates needs a face finder or boxes")
        self.source = source
        self.settings = settings
        self.shift_range = ShiftRange()
        self.boxes: list[Box | None] = []  # of the source frames seen so far, before extra_margin
        self._finder = finder
        self._parser = parser
        self._generator = generator
        self._given = boxes
        self._batch_size = batch_size
        self._whole_source = whole_source
        self._faces: list[Face | None] = []
        self._turn: tuple[int, np.ndarray] | None = None  # the frame that showed that the first pass had ended
        self._placements: ByteCache[FacePlacement] = ByteCache(cache_bytes)
        self._latents: ByteCache[torch.Tensor] = ByteCache(cache_bytes)

    @property
    def info(self) -> SourceInfo:
        """Size, rate and colours of the frames."""
        return self.source.info

    def frames(self) -> Iterator[tuple[int, np.ndarray]]:
        """(index, frame), forward and backward without end."""
        return self.source.ping_pong()

    def locate(self, frames: Iterator[tuple[int, np.ndarray]], count: int | None = None) -> Iterator[LocatedFrame]:
        """The first `count` of `frames`, each with its placement.

        Args:
            frames: From `frames`, or a single pass.
            count: Frames to yield; None: all of them.

        Raises:
            InputError: No frame has a face, or the given boxes are not one per source frame.
        """
        first_pass = self._first_pass(frames)
        found = islice(chain(first_pass, self._later_passes(frames)), count)
        any_face = False
        looked_at = 0
        for batch in batched(found, self._batch_size):
            placements = self._place(batch)
            any_face = any_face or any(placement is not None for placement in placements)
            looked_at += len(batch)
            for item, placement in zip(batch, placements, strict=True):
                yield LocatedFrame(item.index, item.frame, placement, item.face)
        if not any_face:
            raise self._no_face(looked_at)
        if self._whole_source:
            for _ in first_pass:
                pass

    @torch.inference_mode()
    def latents(self, batch: Sequence[LocatedFrame]) -> torch.Tensor:
        """UNet inputs (n, 2·c, h, w) float32 of frames that have a placement."""
        known: dict[int, torch.Tensor] = {}
        new: dict[int, np.ndarray] = {}
        for item in batch:
            if item.placement is None:
                raise ValueError(f"frame {item.index} has no face to encode")
            if item.index in known or item.index in new:
                continue
            kept = self._latents.get(item.index)
            if kept is not None:
                known[item.index] = kept
            else:
                new[item.index] = cut_face(item.frame, item.placement.box, self._generator.face_size)
        if new:
            for index, encoded in zip(new, self._generator.encode_faces(list(new.values())), strict=True):
                known[index] = encoded
                # A copy of its own: a view would keep the whole batch alive.
                self._latents.put(index, encoded.clone(), encoded.nbytes)
        return torch.stack([known[item.index] for item in batch])

    def _first_pass(self, frames: Iterator[tuple[int, np.ndarray]]) -> Iterator[_Found]:
        """Each source frame once, with its box; notes the boxes (and faces, for the parser) for later passes."""
        waiting: deque[tuple[int, np.ndarray]] = deque()

        def faces() -> Iterator[Face | None]:
            for batch in batched(self._until_turn(frames), self._batch_size):
                found = self._find(batch)
                for item, face in zip(batch, found, strict=True):
                    self.shift_range.add(face)
                    waiting.append(item)
                    yield face

        for face in smooth_faces(faces(), self.settings.smoothing):
            index, frame = waiting.popleft()
            if self._given is None:
                box = face_box(face, frame.shape, self.settings.bbox_shift) if face is not None else None
            else:
                box = self._given_box(index)
            self.boxes.append(box)
            self._faces.append(_compact(face) if self._needs_landmarks else None)
            yield _Found(index, frame, face, box)
        if self._given is not None and len(self._given) != len(self.boxes):
            raise self._wrong_count(str(len(self.boxes)))

    def _until_turn(self, frames: Iterator[tuple[int, np.ndarray]]) -> Iterator[tuple[int, np.ndarray]]:
        for expected, (index, frame) in enumerate(frames):
            if index != expected:
                self._turn = (index, frame)
                return
            yield index, frame

    def _later_passes(self, frames: Iterator[tuple[int, np.ndarray]]) -> Iterator[_Found]:
        if not any(self.boxes):
            raise self._no_face(len(self.boxes))
        turn = [self._turn] if self._turn is not None else []
        self._turn = None
        for index, frame in chain(turn, frames):
            yield _Found(index, frame, self._faces[index], self.boxes[index])

    @property
    def _needs_landmarks(self) -> bool:
        return self._parser.needs_landmarks

    def _find(self, batch: Sequence[tuple[int, np.ndarray]]) -> list[Face | None]:
        """Faces of a batch; where boxes are given, only of frames with a box, and only if the parser needs them."""
        wanted = [
            self._given is None or (self._needs_landmarks and self._given_box(index) is not None) for index, _ in batch
        ]
        frames = [frame for (_, frame), want in zip(batch, wanted, strict=True) if want]
        found = iter(self._finder.find(frames) if frames and self._finder is not None else [None] * len(frames))
        return [next(found) if want else None for want in wanted]

    def _given_box(self, index: int) -> Box | None:
        assert self._given is not None
        if index >= len(self._given):
            raise self._wrong_count(f"more than {index}")
        return self._given[index]

    def _place(self, batch: Sequence[_Found]) -> list[FacePlacement | None]:
        placements: dict[int, FacePlacement | None] = {}
        new: dict[int, tuple[_Found, Box, Box]] = {}
        for item in batch:
            kept = self._placements.get(item.index)
            box = self._final_box(item)
            if kept is not None:
                placements[item.index] = kept
            elif box is None:
                placements[item.index] = None
            elif item.index not in new:
                new[item.index] = (item, box, crop_box(box))
        if new:
            crops = [cut_crop(item.frame, crop) for item, _, crop in new.values()]
            faces = [
                _moved(item.face if item.face is not None else template_face(item.box or box), crop)
                for item, box, crop in new.values()
            ]
            masks = self._parser.masks(crops, faces)
            for (index, (item, box, crop)), mask in zip(new.items(), masks, strict=True):
                lowered = box[3] - (item.box or box)[3]  # by less than the margin at the frame's edge
                margin = max(lowered, 0) if self.settings.fade_inside else None
                alpha = blend_mask(mask, box, crop, blur=self.settings.blur, chin_margin=margin)
                placement = FacePlacement(box, crop, alpha)
                placements[index] = placement
                self._placements.put(index, placement, alpha.nbytes)
        return [placements[item.index] for item in batch]

    def _final_box(self, item: _Found) -> Box | None:
        """The box as it is cut out: lowered by the margin, inside the frame; None when too little is left of it."""
        if item.box is None:
            return None
        height, width = item.frame.shape[:2]
        x1, y1, x2, y2 = lower_chin(item.box, self.settings.extra_margin, height)
        x1, y1, x2, y2 = max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)
        # Two pixels are the least that a crop box can be drawn around.
        return (x1, y1, x2, y2) if x2 - x1 >= 2 and y2 - y1 >= 2 else None

    def _no_face(self, frames: int) -> InputError:
        path: Path = self.info.path
        of = f"the {frames} frames" if frames > 1 else "the one frame"
        return InputError(
            f"{path}: no face was found in any of {of} looked at",
            "Use a picture with a face that looks at the camera, try another --face_finder, or give boxes with "
            "--use_saved_coord.",
        )

    def _wrong_count(self, found: str) -> InputError:
        assert self._given is not None
        return InputError(
            f"{self.info.path}: the saved boxes are for {len(self._given)} frames, the source has {found}",
            "Run once with --saved_coord and the same --fps to save the boxes of this source again.",
        )


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of up to `size` consecutive items."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _moved(face: Face, crop: Box) -> Face:
    """The face in the coordinates of its crop."""
    x, y = crop[:2]
    detection = face.detection
    if detection is not None:
        detection = (detection[0] - x, detection[1] - y, detection[2] - x, detection[3] - y)
    return Face(face.landmarks - np.array([x, y], face.landmarks.dtype), detection)


def _compact(face: Face | None) -> Face | None:
    """The face as it is kept for later passes: float32 holds pixels to 1/1000."""
    return None if face is None else Face(face.landmarks.astype(np.float32), face.detection)
