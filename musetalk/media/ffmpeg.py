"""Finding the ffmpeg binary, and opening media files safely whatever they are called."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import av
from av.container import InputContainer

from musetalk.errors import DeviceError, InputError

# A media file may be a playlist that names other files or URLs: libav opens nothing but the file it was given.
_READ_OPTIONS = {"protocol_whitelist": "file"}

_PROBE_SECONDS = 20


def file_url(path: str | Path) -> str:
    """Return `path` as ffmpeg's `file:` URL: absolute, so that no name is read as an option, protocol or pattern."""
    return "file:" + os.path.abspath(path)


def _binary_in(place: str | Path) -> Path:
    """Return the binary that `place` means: itself, or the ffmpeg in that folder (also in its bin/)."""
    place = Path(place).expanduser()
    if not place.is_dir():
        return place
    name = "ffmpeg.exe" if os.name == "nt" else "ffmpeg"
    inside = [folder / name for folder in (place, place / "bin")]
    return next((candidate for candidate in inside if candidate.is_file()), inside[0])


@functools.lru_cache(maxsize=16)
def _runs(binary: str) -> bool:
    """Return whether `binary` is an ffmpeg that starts."""
    try:
        done = subprocess.run(
            [binary, "-hide_banner", "-version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.startswith(b"ffmpeg")


def find_ffmpeg(ffmpeg_path: str | None = None) -> str:
    """Return the path of a usable ffmpeg.

    Order: `ffmpeg_path`, the variable FFMPEG_PATH, PATH, the binary of the package imageio-ffmpeg.

    Args:
        ffmpeg_path: A binary, or a folder that holds one.

    Raises:
        DeviceError: The named one (argument or variable) does not run, or there is none at all.
    """
    for source, named in (("--ffmpeg_path", ffmpeg_path), ("FFMPEG_PATH", os.environ.get("FFMPEG_PATH"))):
        if not named:
            continue
        binary = str(_binary_in(named).absolute())
        if not _runs(binary):
            raise DeviceError(
                f"{source} is {named}, but no ffmpeg runs there",
                f"Give {source} a folder with an ffmpeg binary or the binary itself, or leave it out.",
            )
        return binary
    on_path = shutil.which("ffmpeg")
    if on_path is not None and _runs(os.path.abspath(on_path)):
        return os.path.abspath(on_path)
    try:
        import imageio_ffmpeg

        bundled = imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        bundled = ""
    if bundled and _runs(bundled):
        return bundled
    raise DeviceError(
        "no ffmpeg was found on PATH or in the package imageio-ffmpeg",
        "Run `pip install imageio-ffmpeg`, or name an ffmpeg with --ffmpeg_path.",
    )


@functools.lru_cache(maxsize=16)
def _encoders(ffmpeg: str) -> frozenset[str]:
    done = subprocess.run(
        [ffmpeg, "-hide_banner", "-encoders"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_PROBE_SECONDS,
        check=False,
    )
    lines = (line.split() for line in done.stdout.decode("utf-8", "replace").splitlines())
    return frozenset(words[1] for words in lines if len(words) > 1)


def require_encoders(ffmpeg: str, *names: str) -> None:
    """Check that `ffmpeg` has the encoders.

    Raises:
        DeviceError: It cannot be run, or lacks one.
    """
    try:
        have = _encoders(ffmpeg)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise DeviceError(
            f"{ffmpeg} cannot be run: {error}", "Name a working ffmpeg with --ffmpeg_path or $FFMPEG_PATH."
        ) from error
    missing = [name for name in names if name not in have]
    if missing:
        raise DeviceError(
            f"{ffmpeg} was built without the encoder {', '.join(missing)}",
            "Use an ffmpeg with H.264 and AAC: `pip install imageio-ffmpeg`, then name its binary with --ffmpeg_path.",
        )


def require_file(path: Path, kind: str) -> None:
    """Check that `path` is a file with something in it; `kind` says in the error what it should have been.

    Raises:
        InputError: It is missing, not a file, not readable or empty.
    """
    try:
        if not path.exists():
            raise InputError(f"{path}: no such file", f"Check the path of the {kind}.")
        if not path.is_file():
            raise InputError(f"{path}: not a file", f"Give the path of a {kind}.")
        with path.open("rb") as stream:
            empty = not stream.read(1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be opened: {reason}", f"Check the path and rights of the {kind}.") from error
    if empty:
        raise InputError(f"{path}: the file is empty (0 bytes)", f"Give a {kind} with content; copy or download again.")


def reason_of(error: av.FFmpegError) -> str:
    """Return libav's reason in words, without the file name that PyAV adds."""
    return str(error.strerror or "unknown error")


def open_media(path: Path, kind: str) -> InputContainer:
    """Open a media file with libav; nothing but that file is read. The caller closes it.

    Raises:
        InputError: The file is missing, empty, or no container that libav knows.
    """
    require_file(path, kind)
    try:
        # Metadata is not used here, and old files hold it in any encoding.
        return av.open(file_url(path), options=dict(_READ_OPTIONS), metadata_errors="replace")
    except av.FFmpegError as error:
        raise InputError(
            f"{path}: cannot be read as a {kind}: {reason_of(error)}",
            "The file is damaged, cut short or something else; play it in a player, copy it again or convert it.",
        ) from error


def packets(container: InputContainer, stream: av.stream.Stream, path: Path) -> Iterator[av.Packet]:
    """Yield a stream's packets, the empty one that flushes the decoder last.

    Raises:
        InputError: The container cannot be read on.
    """
    try:
        for packet in container.demux(stream):
            # An empty packet with a time is a "repeat the last frame" of AVI; to the decoder it would mean the end.
            if packet.size == 0 and (packet.dts is not None or packet.pts is not None):
                continue
            yield packet
    except av.FFmpegError as error:
        raise InputError(
            f"{path}: reading fails part of the way through: {reason_of(error)}",
            "The file is damaged or cut short; copy it again or repair it by converting it with ffmpeg.",
        ) from error
