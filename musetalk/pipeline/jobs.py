"""From the tasks of a YAML file to results: naming, checking everything before any work, running, summing up."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from musetalk.audio.windows import SAMPLE_RATE
from musetalk.config import InferenceTask
from musetalk.errors import ConfigError, InputError, MuseTalkError
from musetalk.face.boxes import read_boxes
from musetalk.media.audio_file import probe_audio
from musetalk.media.frame_source import FrameSource
from musetalk.media.frames import open_source
from musetalk.media.writer import check_writable
from musetalk.pipeline.rendering import result_frames
from musetalk.pipeline.settings import DubSettings

_DAMAGED_FRAMES = 3


@dataclass(frozen=True)
class Job:
    """One task with everything decided.

    Attributes:
        name: The task's name.
        video: As given.
        audio: As given.
        output: The result.
        settings: With the task's own bbox_shift.
        use_boxes: Box file to take boxes from, or None.
        save_boxes: Box file to write, or None.
        frames_dir: Folder for PNG frames, or None.
    """

    name: str
    video: Path
    audio: Path
    output: Path
    settings: DubSettings
    use_boxes: Path | None = None
    save_boxes: Path | None = None
    frames_dir: Path | None = None


@dataclass(frozen=True)
class JobOptions:
    """What the command line says about results and boxes.

    Attributes:
        result_dir: --result_dir.
        version: --version, a folder in result_dir.
        output_vid_name: Name of the result where the task has none.
        use_saved_coord: Take boxes from the box file of the video.
        saved_coord: Write the box file of the video.
        frames_dir: PNG frames: this folder for a single task, one folder in it for each of several.
    """

    result_dir: Path
    version: str
    output_vid_name: str | None = None
    use_saved_coord: bool = False
    saved_coord: bool = False
    frames_dir: Path | None = None


def default_result_name(video: Path, audio: Path) -> str:
    """`<video>_<audio>.mp4`, by the names without their suffix; a folder keeps its whole name."""
    video_name = video.name if video.is_dir() else video.stem
    return f"{video_name}_{audio.stem}.mp4"


def box_file(result_dir: Path, video: Path) -> Path:
    """Where the boxes of a video are saved."""
    return result_dir / "coords" / f"{video.name}.json"


def box_files(result_dir: Path, video: Path, use: bool, save: bool) -> tuple[Path | None, Path | None]:
    """(box file to take boxes from, box file to write) for --use_saved_coord and --saved_coord.

    With both flags, a missing box file is made, and from the next run on used.
    """
    boxes = box_file(result_dir, video)
    use = use and (boxes.exists() or not save)
    return boxes if use else None, boxes if save and not use else None


def plan_jobs(tasks: Sequence[InferenceTask], settings: DubSettings, options: JobOptions) -> list[Job]:
    """Decide names, folders and settings of every task; each task stands for itself."""
    jobs = []
    for task in tasks:
        name = task.result_name or options.output_vid_name or default_result_name(task.video_path, task.audio_path)
        if not name.lower().endswith(".mp4"):
            name += ".mp4"
        use_boxes, save_boxes = box_files(
            options.result_dir, task.video_path, options.use_saved_coord, options.saved_coord
        )
        frames_dir = options.frames_dir
        if frames_dir is not None and len(tasks) > 1:
            frames_dir = frames_dir / task.name
        jobs.append(
            Job(
                task.name,
                task.video_path,
                task.audio_path,
                options.result_dir / options.version / name,
                settings if task.bbox_shift is None else replace(settings, bbox_shift=task.bbox_shift),
                use_boxes=use_boxes,
                save_boxes=save_boxes,
                frames_dir=frames_dir,
            )
        )
    return jobs


def colliding_jobs(jobs: Sequence[Job]) -> dict[str, ConfigError]:
    """Jobs that would write the file of another one, or over their own input, by name.

    Those that collide with each other share one error.
    """
    outputs: dict[str, list[Job]] = {}
    box_files: dict[str, list[Job]] = {}
    failed: dict[str, ConfigError] = {}

    def fail(colliding: Sequence[Job], what: str) -> None:
        error = ConfigError(what, "Give each task a result_name (and each video a name) of its own.")
        failed.update({job.name: error for job in colliding})

    for job in jobs:
        outputs.setdefault(_same_file_key(job.output), []).append(job)
        if job.save_boxes is not None:
            box_files.setdefault(_same_file_key(job.save_boxes), []).append(job)
        inputs = (_same_file_key(job.video), _same_file_key(job.audio))
        for written in (job.output, job.frames_dir):
            if written is not None and _same_file_key(written) in inputs:
                fail([job], f"{job.name} would write over its own input {written}")
    for users in box_files.values():
        if len({_same_file_key(job.video) for job in users}) > 1:
            fail(users, f"{_names(users)} save boxes of different videos to {users[0].save_boxes}")
    for writers in outputs.values():
        if len(writers) > 1:
            fail(writers, f"{_names(writers)} write {writers[0].output}")
    return failed


def _names(jobs: Sequence[Job]) -> str:
    return " and ".join(job.name for job in jobs) + (" both" if len(jobs) == 2 else " all")


def check_job(job: Job) -> None:
    """Check, without loading a network, that a job can be done.

    Raises:
        InputError: A file is missing or unusable, or the sound too short.
        OutputError: The result cannot be written.
    """
    check_writable(job.output)
    source = open_source(job.video, job.settings.fps)
    audio = probe_audio(job.audio)
    result_frames(int(audio.duration * SAMPLE_RATE), source.info, job.audio)
    if job.use_boxes is not None:
        check_boxes(job.use_boxes, source)
    if job.save_boxes is not None:
        check_writable(job.save_boxes)
    if job.frames_dir is not None:
        # Where the folder will be made; making it is left to the writer, which removes it again when it fails.
        folder = job.frames_dir.absolute()
        existing = next(place for place in (folder, *folder.parents) if place.exists())
        check_writable(existing / "00000000.png")


def check_boxes(path: Path, source: FrameSource) -> None:
    """Check that a box file can be for a source.

    Raises:
        InputError: It is no box file, holds no box, or is for another number of frames.
    """
    boxes = read_boxes(path)
    if not any(boxes):
        raise InputError(f"box file {path} holds no box, only null", "Run without --use_saved_coord, or give boxes.")
    expected = source.info.frame_estimate
    if expected is None:
        return
    # The estimate is off by a few for damaged videos; reading them tells the exact number.
    if abs(len(boxes) - expected) > max(_DAMAGED_FRAMES, expected // 50):
        raise InputError(
            f"box file {path} is for {len(boxes)} frames, {source.info.path} has {expected}",
            "Run once with --saved_coord and the same --fps to save the boxes of this source again.",
        )


def failing_checks(jobs: Sequence[Job], report: Callable[[Job, MuseTalkError], None]) -> dict[str, MuseTalkError]:
    """Check all jobs; those that cannot be done, by name, each reported as it is found."""
    failed: dict[str, MuseTalkError] = {}
    for job in jobs:
        try:
            check_job(job)
        except MuseTalkError as error:
            failed[job.name] = error
            report(job, error)
    return failed


def _same_file_key(path: Path) -> str:
    return os.path.normcase(os.path.realpath(path))
