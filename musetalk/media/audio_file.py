"""Reading the sound of any audio or video file, in step with the sound that the writer puts beside the picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer

from musetalk.errors import InputError
from musetalk.media.ffmpeg import open_media, packets

# Gaps and overlaps in the time stamps up to this are rounding; ffmpeg's aresample draws the line at the same length.
_STAMP_TOLERANCE = Fraction(1, 10)

_SILENCE_BLOCK = 1 << 16


@dataclass(frozen=True)
class AudioInfo:
    """What a sound holds.

    Attributes:
        path: The file.
        duration: Seconds: samples over sample rate, counted by decoding; silence before a late start included.
        sample_rate: Samples a second, as stored.
        channels: Channels, as stored.
    """

    path: Path
    duration: Fraction
    sample_rate: int
    channels: int


@dataclass(frozen=True)
class _Block:
    """Consecutive samples: (n,) float32 mono at `rate`, from a source of `channels`."""

    samples: np.ndarray
    rate: int
    channels: int


def probe_audio(path: str | Path) -> AudioInfo:
    """Return what the first audio stream of a file holds.

    Raises:
        InputError: The file is missing or unreadable, has no sound, or not one sample.
    """
    path = Path(path)
    duration = Fraction(0)
    rate = channels = 0
    for block in _mono_blocks(path):
        duration += Fraction(len(block.samples), block.rate)
        rate, channels = block.rate, block.channels
    return AudioInfo(path, duration, rate, channels)


def read_audio(path: str | Path, sample_rate: int = 16000) -> np.ndarray:
    """Return the first audio stream of a file as mono samples.

    Channels are averaged. A stream that starts after its file does begins with silence, and gaps in it are silent, as
    in the sound track that `VideoWriter` makes of the same file.

    Returns:
        (n,) float32 in [-1, 1], n = floor(duration * sample_rate) but at least 1.

    Raises:
        InputError: The file is missing or unreadable, has no sound, or not one sample.
    """
    import soxr

    path = Path(path)
    samples = bytearray()  # grows in place: an hour of sound is not held twice
    duration = Fraction(0)
    resampler: soxr.ResampleStream | None = None
    resampler_rate = 0

    def add(part: np.ndarray) -> None:
        nonlocal samples
        samples += np.clip(part, -1.0, 1.0).astype(np.float32, copy=False).tobytes()

    for block in _mono_blocks(path):
        duration += Fraction(len(block.samples), block.rate)
        if block.rate != resampler_rate:
            if resampler is not None:
                add(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
            resampler_rate = block.rate
            same = block.rate == sample_rate
            resampler = None if same else soxr.ResampleStream(block.rate, sample_rate, 1, dtype="float32", quality="HQ")
        add(block.samples if resampler is None else resampler.resample_chunk(block.samples))
    if resampler is not None:
        add(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    length = max(1, int(duration * sample_rate))
    samples += bytes(max(0, 4 * length - len(samples)))
    return np.frombuffer(samples, np.float32)[:length]


def leading_silence(path: str | Path) -> Fraction:
    """Return by how many seconds the first audio stream starts later than its file; 0 for a sound file.

    Raises:
        InputError: The file is missing or unreadable, has no sound, or not one sample.
    """
    path = Path(path)
    with open_media(path, "sound") as container:
        for frame in _decode(container, _audio_stream(container, path), path):
            return _start(frame, container)
    raise _no_samples(path)


def _audio_stream(container: InputContainer, path: Path) -> AudioStream:
    if not container.streams.audio:
        raise InputError(f"{path}: the file has no sound track", "Give a sound file, or a video with sound.")
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        raise InputError(f"{path}: no decoder for this sound", "Convert it to WAV, FLAC, MP3 or M4A.")
    return stream


def _no_samples(path: Path) -> InputError:
    return InputError(f"{path}: the sound holds no samples", "Give a sound that plays; record or convert it again.")


def _decode(container: InputContainer, stream: AudioStream, path: Path) -> Iterator[av.AudioFrame]:
    """Yield what can be decoded; the place of a broken packet becomes silence by the next one's time stamp."""
    for packet in packets(container, stream, path):
        try:
            decoded = packet.decode()
        except av.FFmpegError:
            continue
        for frame in decoded:
            if isinstance(frame, av.AudioFrame) and frame.samples > 0 and frame.sample_rate > 0:
                yield frame


def _start(frame: av.AudioFrame, container: InputContainer) -> Fraction:
    """Return the seconds from the start of the file to the first audio frame."""
    if frame.pts is None or frame.time_base is None or container.start_time is None:
        return Fraction(0)
    return max(Fraction(0), frame.pts * frame.time_base - Fraction(container.start_time, av.time_base))


def _mono_blocks(path: Path) -> Iterator[_Block]:
    """Yield the sound in order, without gaps, from the start of the file.

    Raises:
        InputError: The file is missing or unreadable, has no sound, or not one sample.
    """
    with open_media(path, "sound") as container:
        stream = _audio_stream(container, path)
        converter: AudioResampler | None = None
        layout: tuple[str, int, int] | None = None
        position = origin = Fraction(0)  # seconds handed out; time stamp that position 0 has
        for frame in _decode(container, stream, path):
            rate, channels = frame.sample_rate, len(frame.layout.channels)
            if layout is None:
                lead = _start(frame, container)
                origin = _stamp(frame, lead) - lead
            due = _stamp(frame, origin + position) - origin
            missing = round((due - position) * rate)
            # The start is filled to the sample, later gaps only beyond the tolerance.
            if missing > 0 and (layout is None or due - position > _STAMP_TOLERANCE):
                yield from _silence(missing, rate, channels)
                position += Fraction(missing, rate)
                missing = 0
            if (frame.format.name, channels, rate) != layout:
                layout = frame.format.name, channels, rate
                converter = AudioResampler(format="fltp")
            assert converter is not None
            for part in converter.resample(frame):
                mono = np.nan_to_num(part.to_ndarray().mean(axis=0, dtype=np.float32))
                if position - due > _STAMP_TOLERANCE:
                    mono = mono[min(len(mono), -missing) :]
                if len(mono):
                    yield _Block(mono, rate, channels)
                    position += Fraction(len(mono), rate)
        if not position:
            raise _no_samples(path)


def _stamp(frame: av.AudioFrame, otherwise: Fraction) -> Fraction:
    if frame.pts is None or frame.time_base is None:
        return otherwise
    return frame.pts * frame.time_base


def _silence(count: int, rate: int, channels: int) -> Iterator[_Block]:
    while count > 0:
        size = min(count, _SILENCE_BLOCK)
        yield _Block(np.zeros(size, np.float32), rate, channels)
        count -= size
