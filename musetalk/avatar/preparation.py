"""Making an avatar: everything that does not depend on what it will say, done once and stored."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from musetalk.avatar import prepared
from musetalk.avatar.folder import new_folder
from musetalk.avatar.idle import IdleFace, References, idle_faces, silent_window
from musetalk.avatar.manifest import Manifest, Recipe, face_settings
from musetalk.avatar.tensor_file import TensorFile, TensorFileWriter
from musetalk.face.boxes import read_boxes, write_boxes
from musetalk.media.frame_source import SourceInfo
from musetalk.media.frames import open_source
from musetalk.media.image_sequence import ImageSequence, ImageSequenceWriter
from musetalk.pipeline.frame_state import FacePlacement, LocatedFrame, StateSource
from musetalk.pipeline.live import LiveStates, batched
from musetalk.pipeline.model import Model
from musetalk.pipeline.settings import DubSettings
from musetalk.pipeline.speaking import DECODE, FACES
from musetalk.pipeline.stages import Stages, StageTime, channel_depth

ENCODE, IDLE, STORE = "encode", "idle", "store"
STAGE_NAMES = (DECODE, FACES, ENCODE, STORE, IDLE)
BARS = (FACES, STORE, IDLE)  # stages that get a progress bar


@dataclass(frozen=True)
class Preparation:
    """What a preparation did.

    Attributes:
        frames: Source frames.
        faces: How many of them have a face; the others pass through unchanged.
        stages: What each stage did; they overlap.
        seconds: Wall-clock time in all.
        shift_range: v1: the line that tells the range of bbox_shift; None otherwise.
    """

    frames: int
    faces: int
    stages: tuple[StageTime, ...]
    seconds: float
    shift_range: str | None


@dataclass(frozen=True)
class _State:
    """A frame on its way to the files; `latents` is None where it has no face."""

    located: LocatedFrame
    latents: np.ndarray | None


def prepare(
    model: Model,
    source: str | Path,
    folder: str | Path,
    settings: DubSettings | None = None,
    *,
    use_boxes: str | Path | None = None,
    save_boxes: str | Path | None = None,
    started: Callable[[int], None] | None = None,
    advance: Callable[[str], None] | None = None,
) -> Preparation:
    """Prepare an avatar. Its folder appears when it is whole; an older avatar there stays in use until then.

    Memory does not grow with the length of the source.

    Args:
        model: The model that will speak.
        source: A video, an image or a folder of numbered images.
        folder: The avatar's folder.
        settings: Geometry, rate and batch size; what they say of sound is for the idle faces.
        use_boxes: Box file to take the boxes from, one per source frame.
        save_boxes: Box file to write.
        started: Called with the estimated number of frames.
        advance: Called with the name of a stage for each frame that leaves it, from any thread.

    Raises:
        UsageError: The model does not take these paddings.
        InputError: The source cannot be used, or no frame has a face.
        OutputError: The folder cannot be written, or is none of an avatar.
    """
    began = time.perf_counter()
    settings = settings or DubSettings()
    model.generator.check_padding(settings.audio_padding_left, settings.audio_padding_right)
    source, folder = Path(source), Path(folder)
    frames = open_source(source, settings.fps)
    if started is not None:
        started(frames.info.frame_estimate or 0)
    states = LiveStates(
        frames,
        model.finder,
        model.parser,
        model.generator,
        face_settings(model.choice, settings),
        boxes=read_boxes(use_boxes) if use_boxes is not None else None,
        batch_size=settings.batch_size,
    )
    depth = channel_depth(frames.info.width * frames.info.height * 3)
    with new_folder(folder) as partial:
        with Stages(advance) as stages:
            images = stages.run(DECODE, enumerate(frames.frames()), depth)
            located = stages.run(FACES, states.locate(images), depth)
            with _Files(partial, frames.info) as files:
                for state in stages.run(ENCODE, _encoded(located, states, settings.batch_size), depth):
                    with stages.spend(STORE):
                        files.write(state)
            _write_idle_faces(partial, files.faces, model, frames.info.fps, settings, stages)
        recipe = Recipe.of(model.choice, source, settings, Path(use_boxes) if use_boxes is not None else None)
        Manifest.of(recipe, frames.info, files.frames, len(files.faces), partial).write(partial)
        if save_boxes is not None:
            write_boxes(save_boxes, states.boxes)
    return Preparation(
        files.frames,
        len(files.faces),
        tuple(stages.times[name] for name in STAGE_NAMES if name in stages.times),
        time.perf_counter() - began,
        states.shift_range.line(settings.bbox_shift) if model.spec.shifts_box else None,
    )


def _encoded(located: Iterator[LocatedFrame], states: StateSource, batch_size: int) -> Iterator[_State]:
    for batch in batched(located, batch_size):
        with_face = [item for item in batch if item.placement is not None]
        latents = iter(states.latents(with_face).cpu().numpy() if with_face else ())
        for item in batch:
            yield _State(item, None if item.placement is None else next(latents))


def _write_idle_faces(
    folder: Path, faces: Sequence[IdleFace], model: Model, fps: Fraction, settings: DubSettings, stages: Stages
) -> None:
    """Make the idle faces from the frames and states that are in the folder."""
    generator, size = model.generator, model.generator.face_size
    images = ImageSequence(folder / prepared.FRAMES)
    tensors = TensorFile(folder / prepared.STATES, (prepared.LATENTS,))
    made = idle_faces(
        References(faces, images.read, size),
        lambda start, stop: tensors.rows(prepared.LATENTS, start, stop),
        len(faces),
        silent_window(generator.audio, fps, settings),
        generator,
        settings.batch_size,
    )
    with ImageSequenceWriter(folder / prepared.IDLE_FACES, size, size) as writer:
        for face in stages.run(IDLE, made, settings.batch_size):
            writer.write(face)
    images.close()
    tensors.close()


class _Files:
    """Frames and states of an avatar under way; a context manager.

    Attributes:
        frames: Frames written.
        faces: Those that have a face.
    """

    def __init__(self, folder: Path, info: SourceInfo) -> None:
        self._images = ImageSequenceWriter(folder / prepared.FRAMES, info.width, info.height)
        self._tensors = TensorFileWriter(folder / prepared.STATES)
        self._opened = ExitStack()
        self._mask_end = 0
        self.frames = 0
        self.faces: list[IdleFace] = []

    def __enter__(self) -> _Files:
        with ExitStack() as opened:
            opened.enter_context(self._images)
            opened.enter_context(self._tensors)
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.__exit__(*error)  # type: ignore[arg-type]

    def write(self, state: _State) -> None:
        self._images.write(state.located.frame)
        placement = state.located.placement
        box, mask_box, weights = (0, 0, 0, 0), (0, 0, 0, 0), np.zeros((0, 0), np.uint8)
        row = -1
        if placement is not None and state.latents is not None:
            box, (mask_box, weights), row = placement.box, _used_part(placement), len(self.faces)
            self._append(prepared.LATENTS, state.latents, np.float32)
            self.faces.append(IdleFace(self.frames, box, state.located.face))
        self._mask_end += weights.size
        self._tensors.append(prepared.MASKS, weights.ravel())
        self._append(prepared.BOXES, box, np.int32)
        self._append(prepared.MASK_BOXES, mask_box, np.int32)
        self._append(prepared.MASK_ENDS, self._mask_end, np.int64)
        self._append(prepared.FACE_ROWS, row, np.int32)
        self.frames += 1

    def _append(self, name: str, row: np.ndarray | Sequence[int] | int, dtype: type) -> None:
        self._tensors.append(name, np.asarray(row, dtype)[None])


def _used_part(placement: FacePlacement) -> tuple[tuple[int, int, int, int], np.ndarray]:
    """(box, weights) of the part of a mask that changes pixels: a frame blended with it is the same."""
    x, y, width, height = cv2.boundingRect(placement.alpha)
    left, top = placement.crop_box[0] + x, placement.crop_box[1] + y
    return (left, top, left + width, top + height), placement.alpha[y : y + height, x : x + width]
