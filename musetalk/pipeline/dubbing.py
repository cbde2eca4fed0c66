"""Offline dubbing: a video and a sound in, one mp4 out. The Python API of the project."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from numbers import Rational
from pathlib import Path

from musetalk.audio.windows import DEFAULT_PADDING, SAMPLE_RATE, frame_count
from musetalk.errors import InputError, UsageError
from musetalk.face.boxes import SMOOTHING_RADIUS, read_boxes, write_boxes
from musetalk.face.landmarks import FaceFinder
from musetalk.face.masks import DEFAULT_CHEEK_WIDTH
from musetalk.face.parsing import FaceParser
from musetalk.media.audio_file import read_audio
from musetalk.media.ffmpeg import find_ffmpeg
from musetalk.media.frames import FrameSource, open_source
from musetalk.media.writer import PngFolder, VideoWriter
from musetalk.models.device import Placement as DevicePlacement
from musetalk.models.device import choose_placement
from musetalk.models.loading import load_networks
from musetalk.models.versions import NetworkPaths, VersionSpec, find_version, network_paths
from musetalk.pipeline.backends import BackendChoice, build_finder, build_parser, choose_backends
from musetalk.pipeline.generator import Generator
from musetalk.pipeline.live import FaceSettings, LiveStates
from musetalk.pipeline.requirements import check_weights
from musetalk.pipeline.speaking import AUDIO, BLEND, DECODE, FACES, GENERATE, WRITE, speak
from musetalk.pipeline.stages import Stages, StageTime, channel_depth

STAGE_NAMES = (DECODE, FACES, AUDIO, GENERATE, BLEND, WRITE)
BARS = (FACES, GENERATE, WRITE)  # stages that get a progress bar


@dataclass(frozen=True)
class DubSettings:
    """Settings of one dubbing.

    Attributes:
        fps: Frame rate of the result, the source resampled by time; None: the source's own, 25 for images.
        bbox_shift: v1 only: pixels that the box's centre moves down; more opens the mouth further.
        extra_margin: v15 and mini: pixels that the box's lower edge moves down.
        smooth_boxes: Frames to each side that boxes are smoothed over; 0: exactly the published boxes.
        audio_padding_left: Sound before a frame that it sees, in 25 fps frames.
        audio_padding_right: Sound after a frame that it sees, in 25 fps frames.
        batch_size: Frames in one pass of the networks.
    """

    fps: Fraction | None = None
    bbox_shift: int = 0
    extra_margin: int = 10
    smooth_boxes: int = SMOOTHING_RADIUS
    audio_padding_left: int = DEFAULT_PADDING
    audio_padding_right: int = DEFAULT_PADDING
    batch_size: int = 8

    def __post_init__(self) -> None:
        """Check what types do not say.

        Raises:
            UsageError: A value out of range, or a rate that is not exact.
        """
        if self.fps is not None and not (isinstance(self.fps, Rational) and self.fps > 0):
            raise UsageError(f"fps is {self.fps!r}", "Give a Fraction above 0, such as Fraction(30000, 1001).")
        if self.batch_size < 1:
            raise UsageError(f"batch_size is {self.batch_size}", "Give 1 or more.")


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


def result_frames(samples: int, source: FrameSource, audio: Path) -> int:
    """Frames of the result: floor(seconds · fps).

    Raises:
        InputError: The sound is shorter than one frame.
    """
    count = frame_count(samples, source.info.fps)
    if count == 0:
        seconds = samples / SAMPLE_RATE
        raise InputError(
            f"{audio}: the sound lasts {seconds:.3f} s, one frame lasts {float(1 / source.info.fps):.3f} s",
            "Give a sound of at least one frame.",
        )
    return count


class Dubber:
    """Dubs videos with one loaded model; `Dubber.load` makes one.

    Args:
        spec: Model version.
        generator: The networks.
        finder: Finds faces.
        parser: Makes masks.
        ffmpeg: Path of the ffmpeg binary.
    """

    def __init__(
        self, spec: VersionSpec, generator: Generator, finder: FaceFinder, parser: FaceParser, ffmpeg: str
    ) -> None:
        self.spec = spec
        self.generator = generator
        self.finder = finder
        self.parser = parser
        self.ffmpeg = ffmpeg

    @classmethod
    def load(
        cls,
        version: str = "v15",
        models_dir: str | Path = "models",
        *,
        paths: NetworkPaths | None = None,
        placement: DevicePlacement | None = None,
        backends: BackendChoice | None = None,
        parsing_mode: str | None = None,
        left_cheek_width: int = DEFAULT_CHEEK_WIDTH,
        right_cheek_width: int = DEFAULT_CHEEK_WIDTH,
        ffmpeg_path: str | None = None,
    ) -> Dubber:
        """Load a model version.

        Args:
            version: v1, v15 or mini.
            models_dir: Folder of the weights.
            paths: Files of the networks, where they are not the version's own.
            placement: Device and dtype; None: the best there is.
            backends: Face finder and parser; None: the published ones where their weights exist.
            parsing_mode: Mask: raw, jaw or neck; None: the version's own.
            left_cheek_width: Of the jaw mask, in pixels of the 512×512 class map.
            right_cheek_width: Likewise.
            ffmpeg_path: Binary or folder; None: found by itself.

        Raises:
            UsageError: There is no such version.
            WeightsError: Files are missing (all are named) or unusable.
            DeviceError: There is no ffmpeg, or not the device asked for.
        """
        spec = find_version(version)
        paths = paths or network_paths(version, models_dir)
        placement = placement or choose_placement()
        backends = backends or choose_backends(spec, models_dir)
        ffmpeg = find_ffmpeg(ffmpeg_path)
        check_weights(spec, paths, backends, models_dir)
        return cls(
            spec,
            Generator(load_networks(paths, placement)),
            build_finder(backends.finder, models_dir, placement),
            build_parser(
                backends.parser,
                models_dir,
                placement,
                mode=parsing_mode or spec.parsing_mode,
                left_cheek_width=left_cheek_width,
                right_cheek_width=right_cheek_width,
            ),
            ffmpeg,
        )

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
        video, audio, output = Path(video), Path(audio), Path(output)
        source = open_source(video, settings.fps)
        samples = read_audio(audio)
        count = result_frames(len(samples), source, audio)
        if started is not None:
            started(count)
        states = self.live_states(source, settings, use_boxes)
        info = source.info
        depth = channel_depth(info.width * info.height * 3)
        windows = self.generator.audio.windows(
            samples, info.fps, settings.audio_padding_left, settings.audio_padding_right
        )
        with ExitStack() as stack:
            png = stack.enter_context(PngFolder(Path(frames_dir))) if frames_dir is not None else None
            writer = stack.enter_context(
                VideoWriter(
                    output,
                    info.width,
                    info.height,
                    info.fps,
                    audio=audio,
                    frame_count=count,
                    ffmpeg=self.ffmpeg,
                    color=info.color,
                    sample_aspect=info.sample_aspect,
                )
            )
            stages = stack.enter_context(Stages(advance))
            frames = stages.run(DECODE, states.frames(), depth)
            located = stages.run(
                FACES,
                # Saved boxes, and the range of bbox_shift, are those of every source frame (published).
                states.locate(frames, count, whole_source=save_boxes is not None or self.spec.shifts_box),
                max(depth, settings.batch_size),
            )
            for frame in speak(states, located, windows, self.generator, stages, settings.batch_size):
                with stages.spend(WRITE):
                    writer.write(frame)
                    if png is not None:
                        png.write(frame)
            if save_boxes is not None:
                write_boxes(save_boxes, states.boxes)
        return DubResult(
            output,
            count,
            info.fps,
            (sum(box is not None for box in states.boxes), len(states.boxes)),
            tuple(stages.times[name] for name in STAGE_NAMES if name in stages.times),
            time.perf_counter() - began,
            states.shift_range.line(settings.bbox_shift) if self.spec.shifts_box else None,
        )

    def live_states(
        self, source: FrameSource, settings: DubSettings, use_boxes: str | Path | None = None
    ) -> LiveStates:
        """The states of a source, found as it is read."""
        boxes = read_boxes(use_boxes) if use_boxes is not None else None
        return LiveStates(
            source,
            self.finder,
            self.parser,
            self.generator,
            self.face_settings(settings),
            boxes=boxes,
            batch_size=settings.batch_size,
        )

    def face_settings(self, settings: DubSettings) -> FaceSettings:
        """What of the settings applies to this version: bbox_shift to v1, extra_margin to the others (published)."""
        return FaceSettings(
            bbox_shift=settings.bbox_shift if self.spec.shifts_box else 0,
            extra_margin=settings.extra_margin if self.spec.lowers_chin else 0,
            smoothing=settings.smooth_boxes,
            fade_inside=self.spec.fades_inside_box,
        )
