"""Writing the result: frames piped to one ffmpeg, or PNG files. Nothing half-made is left behind."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import threading
import uuid
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from musetalk.errors import OutputError
from musetalk.media.audio_file import TRACK_RATE, track_channels, write_track
from musetalk.media.color import ColorTags
from musetalk.media.ffmpeg import file_url, require_encoders

# Fast enough that two cores keep up with generation; crf 18 looks like the source.
DEFAULT_PRESET = "veryfast"
DEFAULT_CRF = 18
AUDIO_BITRATE = "192k"

# Matrix tag -> the name that ffmpeg's scale filter has for it.
_SCALE_MATRIX = {
    "bt709": "bt709",
    "fcc": "fcc",
    "bt470bg": "bt601",
    "smpte170m": "bt601",
    "smpte240m": "smpte240m",
    "bt2020nc": "bt2020",
}

_SCALE_FLAGS = "bicubic+accurate_rnd+full_chroma_int"

_CONSEQUENCE = re.compile(
    r"Conversion failed|Nothing was written|Error (?:while|closing|writing trailer|submitting)|Terminating"
)

_CLOSE_SECONDS = 10


def encode_command(
    ffmpeg: str,
    target: Path,
    width: int,
    height: int,
    fps: Fraction,
    *,
    frame_count: int,
    track: Path | None = None,
    channels: int = 2,
    color: ColorTags | None = None,
    sample_aspect: Fraction = Fraction(1),
    crf: int = DEFAULT_CRF,
    preset: str = DEFAULT_PRESET,
    key_frames_every: int | None = None,
) -> list[str]:
    """Return the ffmpeg arguments that encode raw BGR frames from standard input to an H.264/AAC mp4.

    The YUV matrix is the source's if it has one, else BT.709; range is limited; all colour tags are written. The sound
    is cut, or filled with silence, to frame_count / fps, so that both tracks end together.

    Args:
        ffmpeg: The binary.
        target: File to write.
        width: Pixels across of the piped frames, even.
        height: Pixels down, even.
        fps: Frame rate, passed as a ratio.
        frame_count: Frames that will be piped; the length of the sound.
        track: Raw samples of `write_track`; None makes a video without a sound track.
        channels: Channels of the track.
        color: Tags of the source.
        sample_aspect: Width of a pixel over its height.
        crf: x264's constant rate factor.
        preset: x264's preset.
        key_frames_every: Frames from one key frame to the next, all of them where a video can be cut; None: as x264
            likes.
    """
    import ffmpeg as ffmpeg_python

    color = color or ColorTags()
    matrix = color.matrix if color.matrix in _SCALE_MATRIX else "bt709"
    frames = ffmpeg_python.input(
        "pipe:0",
        format="rawvideo",
        pix_fmt="bgr24",
        video_size=(width, height),
        framerate=f"{fps.numerator}/{fps.denominator}",
    )
    video = (
        frames.video.filter("scale", out_color_matrix=_SCALE_MATRIX[matrix], out_range="tv", flags=_SCALE_FLAGS)
        .filter("format", "yuv420p")
        .filter("setsar", f"{sample_aspect.numerator}/{sample_aspect.denominator}")
        .filter(
            "setparams",
            range="tv",
            colorspace=matrix,
            color_primaries=color.primaries or "bt709",
            color_trc=color.transfer or "bt709",
        )
    )
    streams = [video]
    options: dict[str, str | int] = {
        "vcodec": "libx264",
        "preset": preset,
        "crf": crf,
        "pix_fmt": "yuv420p",
        "r": f"{fps.numerator}/{fps.denominator}",
        "color_range": "tv",
        "colorspace": matrix,
        "color_primaries": color.primaries or "bt709",
        "color_trc": color.transfer or "bt709",
        "movflags": "+faststart",
        "format": "mp4",
    }
    if key_frames_every is not None:
        options |= {"g": key_frames_every, "sc_threshold": 0}
    if track is not None:
        sound = ffmpeg_python.input(file_url(track), format="s16le", ar=TRACK_RATE, ac=channels).audio
        sound = sound.filter("apad").filter("atrim", end=_seconds(frame_count / fps))
        streams.append(sound)
        options |= {"acodec": "aac", "audio_bitrate": AUDIO_BITRATE}
    output = ffmpeg_python.output(*streams, file_url(target), **options)
    head = [ffmpeg, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "error"]
    return list(output.compile(cmd=head, overwrite_output=True))


def _seconds(value: Fraction) -> str:
    """Return seconds in ffmpeg's microseconds."""
    return f"{round(value * 1_000_000) / 1_000_000:.6f}"


def check_writable(path: Path) -> None:
    """Check that a result can be written to `path`, making its folder if need be.

    Raises:
        OutputError: `path` is a folder, or its folder cannot be made or written to.
    """
    if path.is_dir():
        raise OutputError(f"{path}: is a folder", "Give the name of a file for the result.")
    probe = _temporary(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with probe.open("xb"):
            pass
    except (OSError, ValueError) as error:
        raise cannot_write(path, error) from error
    finally:
        _remove(probe)


def _temporary(path: Path) -> Path:
    return path.parent.absolute() / f".musetalk-{uuid.uuid4().hex}.partial.mp4"


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except (OSError, ValueError):  # its folder is gone, or never was one
        return


def cannot_write(path: Path, error: Exception) -> OutputError:
    """Return the error for a file or folder that the system refuses to write."""
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return _disk_full(path)
    reason = getattr(error, "strerror", None) or error
    return OutputError(f"{path}: cannot be written: {reason}", "Choose a result folder that you may write to.")


def _disk_full(path: Path) -> OutputError:
    return OutputError(f"{path}: the disk is full", "Free some space, or choose a result folder on another disk.")


def cause_in(lines: Iterable[str]) -> str:
    """Return the line of ffmpeg's messages that says why it failed; later messages only follow from it."""
    told = [re.sub(r"^\[[^\]]* @ (?:0x)?[0-9a-fA-F]+\] ", "", line).strip() for line in lines]
    # A full disk may show only when ffmpeg closes the file.
    disk = [line for line in told if re.search(r"No space left|Disk quota", line)]
    causes = [line for line in told if line and not _CONSEQUENCE.match(line)]
    return (disk or causes or ["no message"])[-1]


class VideoWriter:
    """Encodes frames to one H.264/AAC mp4 as they come.

    A context manager. The sound is decoded into a hidden file beside the result, and ffmpeg writes another, which takes
    the result's name when all is done. On any exception, KeyboardInterrupt included, ffmpeg is ended and both hidden
    files are removed. Odd sizes get a repeated column or row, since the pixel format needs even ones.
    """

    def __init__(
        self,
        path: Path,
        width: int,
        height: int,
        fps: Fraction,
        *,
        audio: Path | None,
        frame_count: int,
        ffmpeg: str,
        color: ColorTags | None = None,
        sample_aspect: Fraction = Fraction(1),
        crf: int = DEFAULT_CRF,
        preset: str = DEFAULT_PRESET,
        key_frames_every: int | None = None,
    ) -> None:
        """Check everything that can be checked; ffmpeg starts on entering the context.

        Args:
            path: The result; its folder is made, an existing file is replaced at the end.
            width: Pixels across of the frames.
            height: Pixels down of the frames.
            fps: Exact frame rate.
            audio: File whose first audio stream becomes the sound, or None for no sound track.
            frame_count: Exactly how many frames will be written.
            ffmpeg: The binary, from `find_ffmpeg`.
            color: Tags of the source, from `SourceInfo.color`.
            sample_aspect: From `SourceInfo.sample_aspect`.
            crf: x264's constant rate factor.
            preset: x264's preset.
            key_frames_every: See `encode_command`.

        Raises:
            OutputError: The result cannot be written there, or there are no frames to write.
            InputError: The audio file has no sound.
            DeviceError: ffmpeg lacks an encoder.
        """
        if frame_count < 1:
            raise OutputError(f"{path}: no frames to write", "Give a sound of at least one frame's length.")
        require_encoders(ffmpeg, "libx264", *(["aac"] if audio is not None else []))
        check_writable(path)
        self._path = path
        self._shape = (height, width, 3)
        self._frame_count = frame_count
        self._temporary = _temporary(path)
        self._track = self._temporary.with_suffix(".pcm")
        self._audio = audio
        self._seconds = frame_count / fps
        self._command = encode_command(
            ffmpeg,
            self._temporary,
            width + width % 2,
            height + height % 2,
            fps,
            frame_count=frame_count,
            track=self._track if audio is not None else None,
            channels=track_channels(audio) if audio is not None else 2,
            color=color,
            sample_aspect=sample_aspect,
            crf=crf,
            preset=preset,
            key_frames_every=key_frames_every,
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._messages: deque[str] = deque(maxlen=50)
        self._listener: threading.Thread | None = None
        self.frames_written = 0

    def __enter__(self) -> VideoWriter:
        try:
            self._start()
        except OSError as error:
            self._abort()
            raise cannot_write(self._path, error) from error
        except BaseException:
            self._abort()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._abort()
            return
        try:
            self._finish()
        except BaseException:
            self._abort()
            raise

    def _start(self) -> None:
        if self._audio is not None:
            write_track(self._audio, self._track, self._seconds)
        # A session of its own: Ctrl-C goes to this program alone, which then ends ffmpeg.
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._listener = threading.Thread(target=self._listen, args=(self._process,), daemon=True)
        self._listener.start()

    def write(self, frame: np.ndarray) -> None:
        """Append a frame.

        Args:
            frame: (height, width, 3) uint8 BGR.

        Raises:
            OutputError: ffmpeg has failed (disk full ...), or the frame is of another shape or one too many.
        """
        process = self._process
        if process is None or process.stdin is None:
            raise RuntimeError("VideoWriter.write outside of its context")
        if frame.shape != self._shape or frame.dtype != np.uint8:
            raise OutputError(
                f"{self._path}: a frame is {frame.shape} {frame.dtype}, not {self._shape} uint8",
                "Report this as a bug, with the command that was run.",
            )
        if self.frames_written >= self._frame_count:
            raise OutputError(
                f"{self._path}: more than the announced {self._frame_count} frames",
                "Report this as a bug, with the command that was run.",
            )
        height, width = self._shape[:2]
        if height % 2 or width % 2:
            frame = cv2.copyMakeBorder(frame, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        if process.poll() is not None:
            raise self._failure()
        try:
            process.stdin.write(np.ascontiguousarray(frame).data)
        except OSError as error:
            raise self._failure() from error
        self.frames_written += 1

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        """Collect ffmpeg's messages as they come: a full pipe would stop it."""
        assert process.stderr is not None
        for line in process.stderr:
            self._messages.append(line.decode("utf-8", "replace").rstrip())

    def _failure(self) -> OutputError:
        """Return why ffmpeg failed, once it has ended."""
        process = self._process
        assert process is not None
        try:
            process.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._listener is not None:
            self._listener.join(_CLOSE_SECONDS)
        cause = cause_in(tuple(self._messages))
        if re.search(r"No space left|Disk quota", cause):
            return _disk_full(self._path)
        how = f"killed by signal {-process.returncode}" if (process.returncode or 0) < 0 else cause
        return OutputError(
            f"{self._path}: ffmpeg failed: {how}", "Check the result folder and the disk, or try another ffmpeg."
        )

    def _finish(self) -> None:
        process = self._process
        assert process is not None and process.stdin is not None
        if self.frames_written != self._frame_count:
            raise OutputError(
                f"{self._path}: {self.frames_written} of {self._frame_count} frames were written",
                "Run it again; if it happens again, report it with the command that was run.",
            )
        try:
            process.stdin.close()
        except OSError as error:
            raise self._failure() from error
        process.wait()
        if process.returncode != 0:
            raise self._failure()
        if self._listener is not None:
            self._listener.join()
        if process.stderr is not None:
            process.stderr.close()
        try:
            os.replace(self._temporary, self._path)
        except OSError as error:
            raise cannot_write(self._path, error) from error
        _remove(self._track)

    def _abort(self) -> None:
        process = self._process
        if process is not None:
            if process.poll() is None:
                process.kill()
            try:
                if process.stdin is not None:
                    process.stdin.close()
            except OSError:
                pass  # what was buffered for a dead ffmpeg
            process.wait()
            if self._listener is not None:
                self._listener.join(_CLOSE_SECONDS)
            if process.stderr is not None:
                process.stderr.close()
        _remove(self._temporary)
        _remove(self._track)


class PngFolder:
    """Writes frames losslessly as 00000000.png, 00000001.png ... (published names).

    A context manager. The frames wait in a hidden folder inside the one given until all of them are there, and then
    take the place of all numbered frames of an earlier run: those of a longer one would be taken for this one's. On
    an exception the folder stays as it was.
    """

    def __init__(self, folder: Path) -> None:
        """Make the folder.

        Raises:
            OutputError: It cannot be made or written to.
        """
        self._folder = folder
        self._made = not folder.exists()
        check_writable(folder / "00000000.png")
        self._waiting = folder.absolute() / f".musetalk-{uuid.uuid4().hex}.partial"
        self.frames_written = 0

    def __enter__(self) -> PngFolder:
        try:
            self._waiting.mkdir()
        except OSError as error:
            raise cannot_write(self._folder, error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._replace_earlier()
        except OSError as cause:
            raise cannot_write(self._folder, cause) from cause
        finally:
            shutil.rmtree(self._waiting, ignore_errors=True)
            if kind is not None and self._made:
                with suppress(OSError):  # somebody else put files there
                    self._folder.rmdir()

    def _replace_earlier(self) -> None:
        for entry in list(self._folder.iterdir()):
            if re.fullmatch(r"[0-9]{8}\.png", entry.name):
                entry.unlink()
        for frame in sorted(self._waiting.iterdir()):
            os.replace(frame, self._folder / frame.name)

    def write(self, frame: np.ndarray) -> None:
        """Append a frame, (H, W, 3) uint8 BGR.

        Raises:
            OutputError: The file cannot be written.
        """
        _, data = cv2.imencode(".png", frame, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        name = f"{self.frames_written:08d}.png"
        try:
            (self._waiting / name).write_bytes(data.tobytes())
        except OSError as error:
            raise cannot_write(self._folder / name, error) from error
        self.frames_written += 1
