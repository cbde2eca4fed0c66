"""From the entries of realtime.yaml to avatars and clips: everything decided and checked before any work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from musetalk.audio.windows import SAMPLE_RATE
from musetalk.avatar.avatar import clip_path, not_as_prepared
from musetalk.avatar.folder import check_folder
from musetalk.avatar.manifest import Manifest, Recipe
from musetalk.config import AvatarTask
from musetalk.errors import InputError
from musetalk.media.audio_file import probe_audio
from musetalk.media.frame_source import SourceInfo
from musetalk.media.frames import open_source
from musetalk.media.writer import check_writable
from musetalk.pipeline.jobs import box_files, check_boxes
from musetalk.pipeline.model import ModelChoice
from musetalk.pipeline.rendering import result_frames
from musetalk.pipeline.settings import DubSettings

AVATARS = "avatars"
"""Folder of all avatars in that of the version."""


@dataclass(frozen=True)
class AvatarJob:
    """One avatar with everything decided.

    Attributes:
        name: The avatar's.
        source: As given.
        folder: Where the avatar lies.
        settings: With the avatar's own bbox_shift.
        preparation: Whether it may be prepared.
        clips: Sound by name of the clip.
        use_boxes: Box file to take boxes from, or None.
        save_boxes: Box file to write, or None.
    """

    name: str
    source: Path
    folder: Path
    settings: DubSettings
    preparation: bool
    clips: dict[str, Path]
    use_boxes: Path | None = None
    save_boxes: Path | None = None

    def clip(self, name: str) -> Path:
        """Where a clip goes."""
        return clip_path(self.folder, name)


@dataclass(frozen=True)
class Decision:
    """Whether an avatar is prepared now, and for which reason, in words."""

    prepare: bool
    why: str = ""


def avatar_folder(result_dir: Path, version: str, name: str) -> Path:
    """Where an avatar lies."""
    return result_dir / version / AVATARS / name


def plan_avatars(
    tasks: Sequence[AvatarTask],
    settings: DubSettings,
    result_dir: Path,
    version: str,
    *,
    use_saved_coord: bool = False,
    saved_coord: bool = False,
) -> list[AvatarJob]:
    """Decide folder, settings and box files of every avatar; each stands for itself."""
    return [
        AvatarJob(
            task.name,
            task.video_path,
            avatar_folder(result_dir, version, task.name),
            settings if task.bbox_shift is None else replace(settings, bbox_shift=task.bbox_shift),
            task.preparation,
            task.audio_clips,
            *box_files(result_dir, task.video_path, use_saved_coord, saved_coord),
        )
        for task in tasks
    ]


def decide(job: AvatarJob, choice: ModelChoice, rebuild: bool) -> Decision:
    """Whether to prepare an avatar: if it is asked for, or allowed and the one that is there does not fit.

    Raises:
        InputError: It does not fit, or is not there, and may not be prepared.
    """
    if rebuild:
        return Decision(True, "--rebuild")
    try:
        manifest = Manifest.read(job.folder)
        differences = manifest.differences(Recipe.of(choice, job.source, job.settings, job.use_boxes))
        manifest.check_files(job.folder)
    except InputError as error:
        if not job.preparation:
            raise
        return Decision(True, error.what)
    if not differences:
        return Decision(False)
    if not job.preparation:
        raise not_as_prepared(job.folder, differences)
    return Decision(True, f"changed: {'; '.join(differences)}")


def check_avatar(job: AvatarJob, decision: Decision, writes_clips: bool) -> SourceInfo:
    """Check, without loading a network, that an avatar can be prepared or opened and its clips be made.

    Returns:
        Size and rate of its frames.

    Raises:
        InputError: A file is missing or unusable, or a sound too short.
        OutputError: Something cannot be written.
    """
    if decision.prepare:
        source = open_source(job.source, job.settings.fps)
        info = source.info
        check_folder(job.folder)
        if job.use_boxes is not None:
            check_boxes(job.use_boxes, source)
        if job.save_boxes is not None:
            check_writable(job.save_boxes)
    else:
        info = Manifest.read(job.folder).info
        for name in job.clips if writes_clips else ():
            check_writable(job.clip(name))
    for audio in job.clips.values():
        result_frames(int(probe_audio(audio).duration * SAMPLE_RATE), info, audio)
    return info
