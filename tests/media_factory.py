"""Media that tests make for themselves, frames with their number in the pixels, and the facts of a written file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

WIDTH, HEIGHT = 160, 96

_BITS = 10


def numbered_frame(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Return a (height, width, 3) uint8 BGR frame: its number as black and white columns above, a moving ramp below."""
    frame = np.zeros((height, width, 3), np.uint8)
    cell = width // _BITS
    for bit in range(_BITS):
        frame[: height // 2, bit * cell : (bit + 1) * cell] = 235 if number >> bit & 1 else 20
    across = (np.arange(width) * 3 + number * 7) % 200 + 20
    frame[height // 2 :] = np.stack([across, 220 - across, np.full(width, 40 + number * 5 % 150)], axis=-1)
    return frame


def read_number(frame: np.ndarray) -> int:
    """Return the number in a frame made by `numbered_frame`, also after lossy coding."""
    height, width = frame.shape[:2]
    cell = width // _BITS
    row = frame[height // 8 : height * 3 // 8, :, 1].mean(axis=0)
    return sum(
        1 << bit for bit in range(_BITS) if row[bit * cell + cell // 4 : bit * cell + cell * 3 // 4].mean() > 128
    )


def tone(seconds: float, rate: int = 48000, frequency: float = 440.0, channels: int = 1) -> np.ndarray:
    """Return a (channels, n) float32 sine of amplitude 0.5."""
    time = np.arange(round(seconds * rate)) / rate
    return np.repeat((0.5 * np.sin(2 * np.pi * frequency * time)).astype(np.float32)[None], channels, axis=0)


def write_video(
    path: Path,
    frames: Iterable[np.ndarray],
    rate: Fraction | int = 25,
    codec: str = "libx264",
    *,
    pix_fmt: str = "yuv420p",
    b_frames: int = 0,
    gop: int = 12,
    stamps: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    rotation: int = 0,
    sample_aspect: Fraction | None = None,
    sound: np.ndarray | None = None,
    sound_codec: str = "aac",
    sound_rate: int = 48000,
    sound_start: Fraction = Fraction(0),
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    format: str | None = None,
) -> Path:
    """Encode BGR frames, and (channels, n) float sound, into any container.

    Args:
        stamps: Presentation times in `time_base`, for uneven frames; None spaces them evenly.
        rotation: Degrees counter-clockwise that a player turns the picture by.
        sound_start: Seconds by which the sound starts later than the picture.
    """
    frames = list(frames)
    rate = Fraction(rate)
    base = time_base or 1 / rate
    with av.open("file:" + str(path.absolute()), "w", format=format, options=container_options or {}) as output:
        video: Any = output.add_stream(codec, rate=rate, options=options or {})
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt = pix_fmt
        video.codec_context.time_base = base
        video.codec_context.gop_size = gop
        video.codec_context.max_b_frames = b_frames
        if sample_aspect is not None:
            video.codec_context.sample_aspect_ratio = sample_aspect
        if rotation:
            video.set_display_rotation(rotation)
        audio: Any = None
        if sound is not None:
            layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(sound)]
            audio = output.add_stream(sound_codec, rate=sound_rate, layout=layout)
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
            frame.pts = index if stamps is None else stamps[index]
            frame.time_base = base
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        if audio is not None and sound is not None:
            _encode_sound(output, audio, sound, sound_rate, round(sound_start * sound_rate))
    return path


def cut_off(path: Path, share: float) -> None:
    """Leave this share of a file's bytes, from its beginning."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def write_sound(
    path: Path, sound: np.ndarray, rate: int = 48000, codec: str = "pcm_s16le", format: str | None = None
) -> Path:
    """Encode (channels, n) float sound into an audio file."""
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(sound)]
    with av.open("file:" + str(path.absolute()), "w", format=format) as output:
        stream: Any = output.add_stream(codec, rate=rate, layout=layout)
        if not codec.startswith("pcm"):
            stream.bit_rate = 192_000  # AAC's default is too low for comparing samples
        _encode_sound(output, stream, sound, rate, 0)
    return path


def _encode_sound(output: Any, stream: Any, sound: np.ndarray, rate: int, start: int) -> None:
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(sound)]
    for offset in range(0, sound.shape[1], 1024):
        part = np.ascontiguousarray(sound[:, offset : offset + 1024], dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
        frame.sample_rate = rate
        frame.pts = start + offset
        frame.time_base = Fraction(1, rate)
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))


@dataclass(frozen=True)
class MediaFacts:
    """What a file holds, as decoded; durations in seconds, colour tags as ITU-T H.273 numbers."""

    frame_count: int
    fps: Fraction | None
    size: tuple[int, int]
    video_codec: str
    video_seconds: Fraction
    audio_codec: str | None
    audio_seconds: Fraction
    audio_channels: int
    color: tuple[int, int, int, int]  # range, primaries, transfer, matrix
    moov_first: bool


def media_facts(path: Path) -> MediaFacts:
    """Decode a file whole and return what it holds."""
    url = "file:" + str(path.absolute())
    with av.open(url) as container:
        video = container.streams.video[0]
        fps, codec = video.average_rate, video.codec_context.name
        frames = list(container.decode(video))
    first, last = frames[0], frames[-1]
    last_end = Fraction(last.pts + last.duration) * last.time_base
    audio_codec, audio_end, channels = None, Fraction(0), 0
    with av.open(url) as container:
        if container.streams.audio:
            audio = container.streams.audio[0]
            audio_codec = audio.codec_context.name
            for sound in container.decode(audio):
                audio_end = sound.pts * sound.time_base + Fraction(sound.samples, sound.sample_rate)
                channels = len(sound.layout.channels)
    head = path.read_bytes()
    return MediaFacts(
        frame_count=len(frames),
        fps=fps,
        size=(first.width, first.height),
        video_codec=codec,
        video_seconds=last_end - first.pts * first.time_base,
        audio_codec=audio_codec,
        audio_seconds=audio_end,
        audio_channels=channels,
        color=(int(first.color_range), int(first.color_primaries), int(first.color_trc), int(first.colorspace)),
        moov_first=b"moov" in head and head.find(b"moov") < head.find(b"mdat"),
    )
