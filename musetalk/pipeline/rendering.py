"""From frame states and a sound file to a video file: what dubbing and the clips of an avatar share."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from musetalk.audio.windows import SAMPLE_RATE, frame_count
from musetalk.errors import InputError
from musetalk.media.audio_file import read_audio
from musetalk.media.frame_source import SourceInfo
from musetalk.media.writer import PngFolder, VideoWriter
from musetalk.pipeline.frame_state import StateSource
from musetalk.pipeline.model import Model
from musetalk.pipeline.settings import DubSettings
from musetalk.pipeline.speaking import AUDIO, BLEND, DECODE, FACES, GENERATE, WRITE, speak
from musetalk.pipeline.stages import Stages, StageTime, channel_depth

STAGE_NAMES = (DECODE, FACES, AUDIO, GENERATE, BLEND, WRITE)


def result_frames(samples: int, info: SourceInfo, audio: Path) -> int:
    """Frames of the result: floor(seconds · fps).

    Raises:
        InputError: The sound is shorter than one frame.
    """
    count = frame_count(samples, info.fps)
    if count == 0:
        seconds = samples / SAMPLE_RATE
        raise InputError(
            f"{audio}: the sound lasts {seconds:.3f} s, one frame lasts {float(1 / info.fps):.3f} s",
            "Give a sound of at least one frame.",
        )
    return count


@dataclass(frozen=True)
class Rendering:
    """What was rendered.

    Attributes:
        frames: How many frames.
        fps: Their rate.
        stages: What each stage did; they overlap.
        seconds: Wall-clock time in all.
    """

    frames: int
    fps: Fraction
    stages: tuple[StageTime, ...]
    seconds: float


def render(
    states: StateSource,
    audio: Path,
    output: Path | None,
    model: Model,
    settings: DubSettings,
    *,
    frames_dir: Path | None = None,
    started: Callable[[int], None] | None = None,
    advance: Callable[[str], None] | None = None,
    before_end: Callable[[], None] | None = None,
) -> Rendering:
    """Let the frames of a source speak a sound.

    Args:
        states: The frames.
        audio: The sound, or a video with sound.
        output: The mp4 to write; appears when it is whole. None: all is done but encoding and writing.
        model: The networks, and ffmpeg.
        settings: Paddings of the sound and batch size.
        frames_dir: Folder to write the composited frames to as PNG, too, in place of those of an earlier run.
        started: Called with the number of frames once it is known.
        advance: Called with the name of a stage for each frame that leaves it, from any thread.
        before_end: Called when all frames are written; if it fails, no result appears.

    Raises:
        UsageError: The model does not take these paddings.
        InputError: The sound or the source cannot be used.
        OutputError: The result cannot be written.
    """
    generator = model.generator
    generator.check_padding(settings.audio_padding_left, settings.audio_padding_right)
    began = time.perf_counter()
    info = states.info
    samples = read_audio(audio)
    count = result_frames(len(samples), info, audio)
    if started is not None:
        started(count)
    depth = channel_depth(info.width * info.height * 3)
    windows = generator.audio.windows(samples, info.fps, settings.audio_padding_left, settings.audio_padding_right)
    with ExitStack() as stack:
        takers: list[Callable[[np.ndarray], None]] = []
        if frames_dir is not None:
            takers.append(stack.enter_context(PngFolder(frames_dir)).write)
        if output is not None:
            writer = VideoWriter(
                output,
                info.width,
                info.height,
                info.fps,
                audio=audio,
                frame_count=count,
                ffmpeg=model.ffmpeg,
                color=info.color,
                sample_aspect=info.sample_aspect,
            )
            takers.append(stack.enter_context(writer).write)
        stages = stack.enter_context(Stages(advance))
        frames = stages.run(DECODE, states.frames(), depth)
        located = stages.run(FACES, states.locate(frames, count), max(depth, settings.batch_size))
        for frame in speak(states, located, windows, generator, model.compositor, stages, settings.batch_size):
            with stages.spend(WRITE):
                for take in takers:
                    take(frame)
        if before_end is not None:
            before_end()
    return Rendering(
        count,
        info.fps,
        tuple(stages.times[name] for name in STAGE_NAMES if name in stages.times),
        time.perf_counter() - began,
    )
