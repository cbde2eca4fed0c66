"""Which videos there are, what they are called, and into which clips they are cut."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from musetalk.errors import InputError

SUFFIXES = frozenset(
    (
        *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".flv", ".wmv", ".mpg", ".mpeg"),
        *(".ts", ".mts", ".m2ts", ".3gp", ".ogv", ".vob", ".mxf"),
    )
)
"""Of videos; other files are passed over."""
TWIN = re.compile(r"\.twin[0-9]*$")
"""Ends the name of a video that shows the frames of another one with another mouth: .twin, .twin2, .twin3 …"""
TRUTH_SUFFIX = ".landmarks.npz"


@dataclass(frozen=True)
class RawVideo:
    """One video to be preprocessed.

    Attributes:
        name: Its path in the raw folder without suffix, with slashes; all that is made of it has this name.
        path: The file.
        twin_of: Name of the video that shows the same frames with another mouth, where this one is called
            `<that>.twin`, or `<that>.twin2` and so on. Without a sound such a video is there for its picture alone, and
            goes in no list.
    """

    name: str
    path: Path
    twin_of: str | None = None

    @property
    def truth(self) -> Path:
        """Where its true landmarks are, if it has any."""
        return self.path.with_name(self.path.stem + TRUTH_SUFFIX)


@dataclass(frozen=True)
class Window:
    """A stretch of a 25 fps video that becomes a clip: frames start … stop - 1."""

    name: str
    start: int
    stop: int


def find_videos(root: Path) -> list[RawVideo]:
    """All videos of a folder and the folders in it, by name. Hidden files are passed over.

    Raises:
        InputError: There is no such folder, or no video in it.
    """
    fix = "Set video_root_raw to the folder of your videos."
    if not root.is_dir():
        raise InputError(f"{root}: no such folder", fix)
    files = [path for path in _files(root) if path.suffix.lower() in SUFFIXES]
    if not files:
        raise InputError(f"{root}: no video in this folder or the folders in it", fix)
    return named(root, files)


def _files(root: Path) -> Iterator[Path]:
    visited: set[str] = set()
    for folder, inside, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in visited:  # a link to a folder above would never end
            inside.clear()
            continue
        visited.add(real)
        inside[:] = [name for name in inside if not name.startswith(".")]
        yield from (Path(folder) / name for name in names if not name.startswith("."))


def named(root: Path, files: Iterable[Path]) -> list[RawVideo]:
    """Videos in natural order of their names; those that differ in their suffix alone keep it in the name."""
    relative = {path: PurePosixPath(path.relative_to(root).as_posix()) for path in files}
    count = Counter(str(path.with_suffix("")).casefold() for path in relative.values())
    names = {
        path: str(short if count[str(short).casefold()] == 1 else inside)
        for path, inside in relative.items()
        for short in [inside.with_suffix("")]
    }
    known = set(names.values())
    videos = []
    for path, name in sorted(names.items(), key=lambda item: natural_key(item[1])):
        main = TWIN.sub("", name) if TWIN.search(name) else None
        videos.append(RawVideo(name, path, main if main in known else None))
    return videos


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Orders numbers in names by value: a2 before a10."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts]


def windows(name: str, frames: int, clip_frames: int) -> list[Window]:
    """The clips of a video, one after the other; the last is as long as what is left."""
    return [
        Window(f"{name}_clip{number:03d}", start, min(start + clip_frames, frames))
        for number, start in enumerate(range(0, frames, clip_frames))
    ]


def is_validation(name: str, entries: Iterable[str]) -> bool:
    """Whether a clip of that name is for validation: the name holds one of the entries (published)."""
    return any(entry in name for entry in entries)
