"""What is to be done on each video and window, what it depends on, and the record of what was done."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from musetalk.training.files import remove, write_whole
from musetalk.training.preprocess.normalise import VideoRecord
from musetalk.training.preprocess.plan import RawVideo, Window
from musetalk.training.preprocess.settings import DETECT, Layout, PreprocessConfig, fingerprint, signature, sizes
from musetalk.training.preprocess.sync import SyncCheckFactory


@dataclass(frozen=True)
class MakerSettings:
    """What a process needs to know.

    Attributes:
        config: As read.
        finder: Name of the face finder.
        ffmpeg: The binary.
        sync_check: Makes the sync check, or None.
    """

    config: PreprocessConfig
    finder: str
    ffmpeg: str
    sync_check: SyncCheckFactory | None = None


@dataclass(frozen=True)
class VideoTask:
    """A raw video to be brought to 25 fps."""

    video: RawVideo
    settings: str

    @property
    def name(self) -> str:
        return self.video.name


@dataclass(frozen=True)
class WindowTask:
    """A window to be made a clip.

    Attributes:
        video: Where it comes from.
        record: Of the 25 fps video.
        window: Name and frames.
        twins: JSON of each clip of each twin video, with its frames in that video.
    """

    video: RawVideo
    record: VideoRecord
    window: Window
    twins: tuple[tuple[tuple[int, int], Path], ...] = ()

    @property
    def name(self) -> str:
        return self.window.name

    def track_settings(self, maker: MakerSettings) -> str:
        """Fingerprint of all that the found faces depend on."""
        source = [self.record.settings, self.window.start, self.window.stop]
        if maker.config.landmarks == DETECT:
            return fingerprint("track", *source, maker.finder)
        truth = self.video.truth
        return fingerprint("truth", *source, signature(truth) if truth.is_file() else None)

    def settings(self, maker: MakerSettings) -> str:
        """Fingerprint of all that the window's clips depend on."""
        config = maker.config
        judged = [config.min_clip_frames, config.min_face_size, config.min_face_share, config.max_several_faces]
        sync: list[Any] = []
        if config.syncnet is not None:
            networks = [(file, signature(file)) for file in (config.syncnet, config.syncnet_config) if file.is_file()]
            sync = [config.sync_max_offset, config.sync_min_confidence, networks]
        twins = [[*frames, path] for frames, path in self.twins]
        return fingerprint("clip, twins", self.regions_settings(maker), judged, sync, twins)

    def regions_settings(self, maker: MakerSettings) -> str:
        """Fingerprint of all that stored face regions depend on, besides the clip's frames."""
        config = maker.config
        return fingerprint("regions", self.track_settings(maker), config.region_max_side, config.region_quality)


@dataclass(frozen=True)
class ClipOutcome:
    """What became of a part of a window.

    Attributes:
        name: The clip's.
        start: Its first frame in the 25 fps video.
        stop: The frame after its last.
        reason: Why it is dropped; None: it is a clip.
        video: Fingerprint of the 25 fps video that it was cut from.
        regions: Fingerprint of its regions.
        bytes: Sizes of its picture, sound and regions.
    """

    name: str
    start: int
    stop: int
    reason: str | None
    video: str = ""
    regions: str = ""
    bytes: tuple[int, ...] = ()


@dataclass(frozen=True)
class WindowRecord:
    """What is known of a window that is done; written last."""

    settings: str
    clips: tuple[ClipOutcome, ...]


def media_files(layout: Layout, name: str) -> list[Path]:
    """Picture, sound and regions of a clip."""
    return [layout.clip(name), layout.clip_sound(name), layout.regions(name)]


def read_window_record(path: Path) -> WindowRecord | None:
    """The record of a window; None where there is none, or it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        clips = [ClipOutcome(**{**clip, "bytes": tuple(clip["bytes"])}) for clip in content["clips"]]
        return WindowRecord(str(content["settings"]), tuple(clips))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_window_record(path: Path, record: WindowRecord) -> None:
    """Write what `read_window_record` reads."""
    write_whole(path, json.dumps(asdict(record)).encode())


def is_whole(layout: Layout, clip: ClipOutcome) -> bool:
    """Whether all files of a clip are there as they were written."""
    if not layout.meta(clip.name).is_file():
        return False
    return clip.reason is not None or sizes(media_files(layout, clip.name)) == list(clip.bytes)


def finished(layout: Layout, task: WindowTask, maker: MakerSettings) -> WindowRecord | None:
    """The record of a window that needs no more work; None where it does."""
    record = read_window_record(layout.record(task.name))
    if record is None or record.settings != task.settings(maker):
        return None
    return record if all(is_whole(layout, clip) for clip in record.clips) else None


def remove_clip(layout: Layout, name: str) -> None:
    """Remove all files of a clip."""
    for path in (*media_files(layout, name), layout.meta(name)):
        remove(path)
