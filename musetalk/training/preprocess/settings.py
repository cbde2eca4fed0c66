"""The settings of preprocessing: configs/training/preprocess.yaml, and where everything is written."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from musetalk.errors import ConfigError
from musetalk.pipeline.backends import FINDERS
from musetalk.schema import setting
from musetalk.training.clip_meta import FPS
from musetalk.training.clip_store import MAX_SIDE, QUALITY, SUFFIX

VERSION = 1
"""Goes up when the same settings give other files."""
DETECT, TRUTH = "detect", "truth"


@dataclass(frozen=True)
class PreprocessConfig:
    """configs/training/preprocess.yaml. The first nine keys are the published ones.

    Attributes:
        video_root_raw: Folder of the videos, with any folders in it.
        video_root_25fps: Gets every video with 25 fps, and its sound.
        video_audio_clip_root: Gets the clips.
        meta_root: Gets a JSON for each clip, and what is needed to continue.
        video_file_list: Gets the names of all videos.
        video_clip_file_list_train, video_clip_file_list_val: Get the paths of the JSONs.
        clip_len_second: Length of a clip.
        val_list_hdtf: A clip whose name holds one of these texts is for validation.
        num_workers: Processes.
        face_finder: As in inference; auto: DWPose where its weights are under models_dir, else MediaPipe.
        models_dir, gpu_id: Folder of all weights, CUDA device (-1: the CPU).
        landmarks: detect: find them; truth: read `<video without suffix>.landmarks.npz` beside each video.
        min_clip_frames: Shorter clips are dropped.
        min_face_size: Pixels; clips whose median face is narrower are dropped.
        min_face_share: Clips with a face in a smaller share of their frames are dropped.
        max_several_faces: Clips with several faces in a larger share of their frames are dropped.
        region_max_side, region_quality: Of the stored face regions: longest side in pixels, JPEG quality.
        syncnet: Weights of a SyncNet that tells how well sound and mouth agree; null: that is not looked at.
        syncnet_config: Its configuration.
        sync_max_offset: Frames that sound and mouth may be apart.
        sync_min_confidence: Clips in which the SyncNet is less certain are dropped.
    """

    video_root_raw: Path = setting()
    video_root_25fps: Path = setting()
    video_audio_clip_root: Path = setting()
    meta_root: Path = setting()
    video_file_list: Path = setting()
    video_clip_file_list_train: Path = setting()
    video_clip_file_list_val: Path = setting()
    clip_len_second: int = setting(30, at_least=1)
    val_list_hdtf: list[str] | None = None
    num_workers: int = setting(1, at_least=1)
    face_finder: str = setting("auto", choices=("auto", *FINDERS))
    models_dir: Path = Path("models")
    gpu_id: int = setting(0, at_least=-1)
    landmarks: str = setting(DETECT, choices=(DETECT, TRUTH))
    min_clip_frames: int = setting(50, at_least=1)
    min_face_size: int = setting(100, at_least=0)
    min_face_share: float = setting(0.9, at_least=0, at_most=1)
    max_several_faces: float = setting(0.1, at_least=0, at_most=1)
    region_max_side: int = setting(MAX_SIDE, at_least=64)
    region_quality: int = setting(QUALITY, at_least=1, at_most=100)
    syncnet: Path | None = None
    syncnet_config: Path = Path("configs/training/syncnet.yaml")
    sync_max_offset: int = setting(3, at_least=0)
    sync_min_confidence: float = 0.0

    @property
    def clip_frames(self) -> int:
        """Frames of a whole clip."""
        return int(self.clip_len_second * FPS)


def check_paths(config: PreprocessConfig, where: Path) -> None:
    """Check that no folder or list is in another's place.

    Raises:
        ConfigError: Names all that are.
    """
    raw, folders, lists = _paths(config)
    problems = [
        f"{one} and {other} are the same folder"
        for one, other in combinations((raw, *folders), 2)
        if _real(config, one) == _real(config, other)
    ]
    problems += [
        f"{one} and {other} are the same file"
        for one, other in combinations(lists, 2)
        if _real(config, one) == _real(config, other)
    ]
    # What is written there would be taken for raw videos in the next run.
    problems += [f"{name} is inside {raw}" for name in folders if _real(config, raw) in _real(config, name).parents]
    if any(not entry.strip() for entry in config.val_list_hdtf or ()):
        problems.append("val_list_hdtf has an empty entry, which every name holds")
    if problems:
        raise ConfigError(f"{where}: {'; '.join(problems)}", "Give each key a place of its own.")


def _paths(config: PreprocessConfig) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    folders = ("video_root_25fps", "video_audio_clip_root", "meta_root")
    return "video_root_raw", folders, ("video_file_list", "video_clip_file_list_train", "video_clip_file_list_val")


def _real(config: PreprocessConfig, name: str) -> Path:
    return Path(os.path.realpath(getattr(config, name)))


@dataclass(frozen=True)
class Layout:
    """Where the files of a video or clip are. Names are paths without suffix, relative to the roots, with slashes."""

    videos: Path
    clips: Path
    meta_root: Path

    @classmethod
    def of(cls, config: PreprocessConfig) -> Layout:
        return cls(config.video_root_25fps, config.video_audio_clip_root, config.meta_root)

    def video(self, name: str) -> Path:
        return self.videos / f"{name}.mp4"

    def video_sound(self, name: str) -> Path:
        return self.videos / f"{name}.wav"

    def video_record(self, name: str) -> Path:
        return self.videos / f"{name}.json"

    def clip(self, name: str) -> Path:
        return self.clips / f"{name}.mp4"

    def clip_sound(self, name: str) -> Path:
        return self.clips / f"{name}.wav"

    def regions(self, name: str) -> Path:
        return self.clips / f"{name}{SUFFIX}"

    def meta(self, name: str) -> Path:
        return self.meta_root / f"{name}.json"

    def record(self, name: str) -> Path:
        """What is known of a window that is done."""
        return self.meta_root / ".work" / f"{name}.json"

    def track(self, name: str) -> Path:
        """Faces found in a window."""
        return self.meta_root / ".work" / f"{name}.npz"

    @property
    def lock(self) -> Path:
        return self.meta_root / ".work" / "lock"

    @property
    def summary(self) -> Path:
        return self.meta_root / "summary.json"


def fingerprint(*parts: Any) -> str:
    """16 hexadecimal digits that tell these values, numbers, texts and lists, from others."""
    text = json.dumps([VERSION, *parts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def signature(path: Path) -> list[Any]:
    """What tells a file from a changed one: its size and when it was last written."""
    facts = path.stat()
    return [facts.st_size, facts.st_mtime_ns]


def sizes(paths: Iterable[Path]) -> list[int]:
    """Bytes of each file; -1 where there is none."""
    return [path.stat().st_size if path.is_file() else -1 for path in paths]
