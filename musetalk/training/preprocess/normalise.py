"""From a raw video to 25 fps and 16 kHz mono sound that begin at the same moment.

Also a video of 25 fps is encoded: what follows counts on a key frame every second, on frames that are exactly 1/25 s
apart and upright, and on H.264. After this encoding no frame is ever encoded as video again.
"""

from __future__ import annotations

import json
import math
import wave
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np

from musetalk.audio.windows import SAMPLE_RATE
from musetalk.errors import InputError
from musetalk.media.audio_file import stream_audio
from musetalk.media.ffmpeg import open_media
from musetalk.media.frame_source import FrameSource
from musetalk.media.frames import open_source
from musetalk.media.writer import VideoWriter
from musetalk.training.clip_meta import FPS
from musetalk.training.files import replacing, write_whole
from musetalk.training.preprocess.judge import CUT_UNIT, NO_SOUND
from musetalk.training.preprocess.plan import RawVideo
from musetalk.training.preprocess.settings import Layout, fingerprint, signature, sizes

CRF = 15
"""Published."""
SAMPLES_PER_FRAME = int(SAMPLE_RATE / FPS)
MISSING_FRAMES = 5
"""Frames at the end of a video whose sound may be missing, and is then silent: codecs cut the two tracks differently.
Where the sound ends earlier, so do the clips."""


@dataclass(frozen=True)
class VideoRecord:
    """What is known of a video with 25 fps; stands beside it as JSON, and is written last.

    Attributes:
        settings: Fingerprint of what it was made from.
        frames: How many frames it has.
        sounding: How many of them, from the first on, have sound; where the sound ends earlier, a place to cut.
        frame_size: [height, width].
        bytes: Sizes of picture and sound.
        dropped: Why nothing is made of the video.
        speaks: Whether the sound is its own; a twin without one has silence in its place.
    """

    settings: str
    frames: int = 0
    sounding: int = 0
    frame_size: tuple[int, int] = (0, 0)
    bytes: tuple[int, ...] = ()
    dropped: str | None = None
    speaks: bool = True


def settings_of(video: RawVideo) -> str:
    """The fingerprint of all that the 25 fps video depends on.

    Raises:
        InputError: The file is gone.
    """
    try:
        return fingerprint("video", video.name, video.twin_of, signature(video.path), CRF, CUT_UNIT)
    except OSError as error:
        raise InputError(f"{video.path}: cannot be read: {error.strerror or error}", "Check the file.") from None


def read_record(layout: Layout, name: str, settings: str) -> VideoRecord | None:
    """The record of a video whose files are whole and made from the same; None where they have to be made."""
    try:
        content = json.loads(layout.video_record(name).read_text(encoding="utf-8"))
        height, width = content["frame_size"]
        record = VideoRecord(**{**content, "frame_size": (height, width), "bytes": tuple(content["bytes"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if record.settings != settings:
        return None
    files = [layout.video(name), layout.video_sound(name)]
    return record if record.dropped or sizes(files) == list(record.bytes) else None


def normalise(video: RawVideo, settings: str, layout: Layout, ffmpeg: str) -> VideoRecord:
    """Make the 25 fps video, its sound and its record.

    Raises:
        InputError: The video cannot be read.
        OutputError: The result cannot be written.
    """
    record = _normalise(video, settings, layout, ffmpeg)
    write_whole(layout.video_record(video.name), json.dumps(asdict(record)).encode())
    return record


def _normalise(video: RawVideo, settings: str, layout: Layout, ffmpeg: str) -> VideoRecord:
    source = open_source(video.path, FPS)
    is_twin = video.twin_of is not None  # which is there for its picture
    has_sound = _has_sound(video.path)
    if not has_sound and not is_twin:
        return VideoRecord(settings, dropped=NO_SOUND)
    picture, sound = layout.video(video.name), layout.video_sound(video.name)
    expected = source.info.frame_estimate or 1
    heard = stream_audio(video.path, SAMPLE_RATE) if has_sound else ()
    sounding = _write_sound(heard, sound, math.floor(source.info.start * SAMPLE_RATE), expected, fill=is_twin)
    if not sounding:
        return VideoRecord(settings, dropped=NO_SOUND)
    frames = _encode(source, picture, sound, expected, ffmpeg)
    info = source.info
    return VideoRecord(
        settings,
        frames,
        frames if sounding >= frames else sounding // CUT_UNIT * CUT_UNIT,
        (info.height + info.height % 2, info.width + info.width % 2),  # as the writer makes them
        tuple(sizes([picture, sound])),
        speaks=has_sound,
    )


def _has_sound(path: Path) -> bool:
    with open_media(path, "video") as container:
        return bool(container.streams.audio)


def wav_writer(file: BinaryIO) -> wave.Wave_write:
    """A WAV of 16 kHz, mono, 16 bit, in an open file."""
    writer = wave.open(file, "wb")  # noqa: SIM115 - the caller's with block closes it
    writer.setnchannels(1)
    writer.setsampwidth(2)
    writer.setframerate(SAMPLE_RATE)
    return writer


def _write_sound(sound: Iterable[np.ndarray], target: Path, skip: int, frames: int, fill: bool) -> int:
    """Write the sound of `frames` frames as a 16-bit WAV.

    Args:
        sound: (n,) float32 pieces, 16 kHz mono.
        target: The WAV.
        skip: Samples by which the sound begins before the picture.
        frames: How many frames the picture has.
        fill: Whether silence takes the place of any sound that is missing.

    Returns:
        For how many frames there is sound.
    """
    wanted = frames * SAMPLES_PER_FRAME
    written = 0
    with replacing(target) as file, wav_writer(file) as output:
        for part in sound:
            dropped = min(skip, len(part))
            skip -= dropped
            part = part[dropped : dropped + wanted - written]
            output.writeframes(np.round(part * 32767).astype("<i2").tobytes())
            written += len(part)
            if written == wanted:
                return frames
        if fill or (written and wanted - written <= MISSING_FRAMES * SAMPLES_PER_FRAME):
            output.writeframes(bytes(2 * (wanted - written)))
            return frames
        return written // SAMPLES_PER_FRAME


class _FewerFrames(Exception):
    """A damaged video holds fewer frames than its packets promise."""


def _encode(source: FrameSource, target: Path, sound: Path, frames: int, ffmpeg: str) -> int:
    """Encode up to `frames` frames; how many they were."""
    info = source.info
    while True:
        written = 0
        try:
            with VideoWriter(
                target,
                info.width,
                info.height,
                FPS,
                audio=sound,
                frame_count=frames,
                ffmpeg=ffmpeg,
                color=info.color,
                sample_aspect=info.sample_aspect,
                crf=CRF,
                key_frames_every=CUT_UNIT,
            ) as output:
                for frame in islice(source.frames(), frames):
                    output.write(frame)
                    written += 1
                if written < frames:
                    raise _FewerFrames
        except _FewerFrames:
            frames = written
            continue
        return frames
