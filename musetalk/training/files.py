"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from musetalk.errors import OutputError

PARTIAL = ".partial"
"""In the name of every file that is being written, here and in `musetalk.media.writer`."""


def partial_name(path: Path) -> Path:
    """A hidden name beside `path`, with its suffix, that no other process takes."""
    return path.parent / f".musetalk-{uuid.uuid4().hex}{PARTIAL}{path.suffix}"


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when the block ends, and leaves nothing when it fails.

    Its folder is made.

    Raises:
        OutputError: It cannot be written; an older file of that name is then as it was.
    """
    partial = partial_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("xb") as file:
            yield file
        os.replace(partial, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        remove(partial)


def save_tensors(value: Any, file: BinaryIO) -> None:
    """`torch.save`, whose zip writer hides the error of the file behind one of its own.

    Raises:
        OSError: The file's own.
    """
    import torch

    try:
        torch.save(value, file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def write_whole(path: Path, data: bytes) -> None:
    """Write a file through `replacing`."""
    with replacing(path) as file:
        file.write(data)


def remove(path: Path) -> None:
    """Remove a file, if it is there and can be removed."""
    try:
        path.unlink(missing_ok=True)
    except OSError:  # its folder is gone, or not ours
        return


def cannot_write(path: Path, error: OSError) -> OutputError:
    """The error for a file that cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(f"{path}: the disk is full", "Free some space, or choose folders on another disk.")
    return OutputError(f"{path}: cannot be written: {error.strerror or error}", "Choose folders that you may write to.")
