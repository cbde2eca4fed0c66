"""The folder of an avatar: it appears when it is whole, and takes the place of an older one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from musetalk.avatar import manifest, prepared
from musetalk.errors import OutputError
from musetalk.training.files import cannot_write, partial_name

CLIPS = "vid_output"
"""Folder in that of the avatar where its clips go (published)."""

_OURS = frozenset((manifest.NAME, prepared.FRAMES, prepared.IDLE_FACES, prepared.STATES))


def check_folder(folder: Path) -> None:
    """Check that an avatar can be prepared there.

    Raises:
        OutputError: It cannot be written to, or holds things that are none of an avatar.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        probe = partial_name(folder)
        probe.mkdir()
        probe.rmdir()
        foreign = folder.exists() and not (folder.is_dir() and ((folder / manifest.NAME).exists() or _is_free(folder)))
    except OSError as error:
        raise cannot_write(folder, error) from error
    if foreign:
        raise OutputError(
            f"{folder}: holds other things than an avatar", "Give the avatar another name, or move what is there."
        )


def _is_free(folder: Path) -> bool:
    return all(entry.name == CLIPS for entry in folder.iterdir())


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of `folder` when the block ends and is removed when it fails.

    What an older avatar there has beside its own files, such as clips, is kept.

    Raises:
        OutputError: See `check_folder`.
    """
    check_folder(folder)
    partial, old = partial_name(folder), partial_name(folder)
    try:
        partial.mkdir()
        yield partial
        if folder.exists():
            os.rename(folder, old)
        os.rename(partial, folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    finally:
        if old.exists():
            _give_back(old, folder)
        shutil.rmtree(partial, ignore_errors=True)


def _give_back(old: Path, folder: Path) -> None:
    """Put an older avatar back where no new one has come; else hand on what it had beside its own files."""
    if not folder.exists():
        os.rename(old, folder)
        return
    for entry in list(old.iterdir()):
        if entry.name not in _OURS:
            os.rename(entry, folder / entry.name)
    shutil.rmtree(old, ignore_errors=True)
