"""Offline dubbing: a video and a sound in, one mp4 out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from musetalk.face.boxes import read_boxes, write_boxes
from musetalk.media.frames import open_source
from musetalk.pipeline.live import LiveStates
from musetalk.pipeline.model import Model, ModelOptions
from musetalk.pipeline.rendering import render
from musetalk.pipeline.settings import DubSettings, FaceSettings
from musetalk.pipeline.speaking import FACES, GENERATE, WRITE
from musetalk.pipeline.stages import StageTime

if TYPE_CHECKING:
    from typing_extensions import Unpack  # in typing from Python 3.11 on

BARS = (FACES, GENERATE, WRITE)  # stages that get a progress bar


@dataclass(frozen=True)
class DubResult:
    """What a dubbing made.

    Attributes:
        path: The mp4.
        frames: Frames in it.
        fps: Its frame rate.
        faces: How many source frames that were looked at show a face, and out of how many.
        stages: What each stage did; they overlap.
        seconds: Wall-clock time in all.
        shift_range: v1: the line that tells the range of bbox_shift; None otherwise or without landmarks.
    """

    path: Path
    frames: int
    fps: Fraction
    faces: tuple[int, int]
    stages: tuple[StageTime, ...]
    seconds: float
    shift_range: str | None


class Dubber:
    """Dubs videos with one loaded model; `Dubber.load` makes one.

    Args:
        model: The model.
    """

    def __init__(self, model: Model) -> None:
        self.model = model

    @classmethod
    def load(cls, version: str = "v15", models_dir: str | Path = "models", **options: Unpack[ModelOptions]) -> Dubber:
        """Load a model version; arguments and errors are those of `Model.load`."""
        return cls(Model.load(version, models_dir, **options))

    def dub(
        self,
        video: str | Path,
        audio: str | Path,
        output: str | Path,
        settings: DubSettings | None = None,
        *,
        use_boxes: str | Path | None = None,
        save_boxes: str | Path | None = None,
        frames_dir: str | Path | None = None,
        started: Callable[[int], None] | None = None,
        advance: Callable[[str], None] | None = None,
    ) -> DubResult:
        """Let the face of a video speak a sound.

        Every frame in gives one frame out; frames without a face pass through. A sound longer than the video plays the
        frames forward and backward. Memory does not grow with the length.

        Args:
            video: A video, an image or a folder of numbered images.
            audio: A sound, or a video with sound.
            output: The mp4 to write; appears when it is whole.
            settings: Geometry, rate and batch size.
            use_boxes: Box file of an earlier run to take the boxes from, one per source frame.
            save_boxes: Box file to write; boxes of the whole source are found for it.
            frames_dir: Folder to write the composited frames to as PNG, too, in place of those of an earlier run.
            started: Called with the number of frames once it is known.
            advance: Called with the name of a stage for each frame that leaves it, from any thread.

        Raises:
            InputError: The video or sound cannot be used, or no frame has a face.
            OutputError: The result cannot be written.
        """
        began = time.perf_counter()
        settings = settings or DubSettings()
        spec = self.model.spec
        states = LiveStates(
            open_source(video, settings.fps),
            self.model.finder,
            self.model.parser,
            self.model.generator,
            FaceSettings.of(spec, settings),
            boxes=read_boxes(use_boxes) if use_boxes is not None else None,
            batch_size=settings.batch_size,
            # Saved boxes, and the range of bbox_shift, are those of every source frame (published).
            whole_source=save_boxes is not None or spec.shifts_box,
        )
        done = render(
            states,
            Path(audio),
            Path(output),
            self.model,
            settings,
            frames_dir=Path(frames_dir) if frames_dir is not None else None,
            started=started,
            advance=advance,
            before_end=None if save_boxes is None else lambda: write_boxes(save_boxes, states.boxes),
        )
        return DubResult(
            Path(output),
            done.frames,
            done.fps,
            (sum(box is not None for box in states.boxes), len(states.boxes)),
            done.stages,
            time.perf_counter() - began,
            states.shift_range.line(settings.bbox_shift) if spec.shifts_box else None,
        )
