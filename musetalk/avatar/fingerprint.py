"""Whether files are still those that something was made from: size and time first, the content where these differ."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musetalk.errors import InputError

_BLOCK = 1 << 20


@dataclass(frozen=True)
class FileStamp:
    """What a file was.

    Attributes:
        size: Bytes.
        modified: Nanoseconds since the epoch.
        sha256: Of the content, in hexadecimal.
    """

    size: int
    modified: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> FileStamp:
        """The stamp of a file, which is read for it.

        Raises:
            InputError: It cannot be read.
        """
        try:
            facts = path.stat()
            return cls(facts.st_size, facts.st_mtime_ns, _sha256(path))
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}", "Check the file.") from None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> FileStamp:
        return cls(int(content["size"]), int(content["modified"]), str(content["sha256"]))

    def fits(self, path: Path) -> bool:
        """Whether a file has this content. It is read only where its time differs and its size does not."""
        try:
            facts = path.stat()
            if facts.st_size != self.size:
                return False
            return facts.st_mtime_ns == self.modified or _sha256(path) == self.sha256
        except OSError:
            return False


Stamps = dict[str, FileStamp]
"""Stamps of files by their names; of a folder, of the files in it."""


def stamps_of(paths: Iterable[Path]) -> Stamps:
    """Stamps of files, and of the files in folders.

    Raises:
        InputError: One cannot be read.
    """
    return {name: FileStamp.of(path) for name, path in _named(paths).items()}


def all_fit(stamps: Stamps, paths: Iterable[Path]) -> bool:
    """Whether the files are those of the stamps: the same names with the same content."""
    named = _named(paths)
    return named.keys() == stamps.keys() and all(stamp.fits(named[name]) for name, stamp in stamps.items())


def _named(paths: Iterable[Path]) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for path in paths:
        inside = sorted(entry for entry in path.iterdir() if entry.is_file()) if path.is_dir() else [path]
        named.update({entry.name: entry for entry in inside if not entry.name.startswith(".")})
    return named


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
