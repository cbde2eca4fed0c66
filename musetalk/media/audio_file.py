"""Reading the sound of any audio or video file, in step with the sound that the writer puts beside the picture."""

from __future__ import annotations

import math
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

# Samples a second of the result's sound.
TRACK_RATE = 48000

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
    """Consecutive samples, (channels, n) float32 at `rate`, from a source with `stored_channels`."""

    samples: np.ndarray
    rate: int
    stored_channels: int


def probe_audio(path: str | Path) -> AudioInfo:
    """Return what the first audio stream of a file holds.

    Raises:
        InputError: The file is missing or unreadable, has no sound, or not one sample.
    """
    path = Path(path)
    duration = Fraction(0)
    rate = channels = 0
    for block in _blocks(path):
        duration += Fraction(block.samples.shape[1], block.rate)
        rate, channels = block.rate, block.stored_channels
    return AudioInfo(path, duration, rate, channels)


def read_audio(path: str | Path, sample_rate: int = 16000) -> np.ndarray:
    """Return the first audio stream of a file as mono samples.

    Channels are averaged. A stream that starts after its file does begins with silence, and gaps in it are silent, as
    in the sound track that `VideoWriter` makes of the same file: both are decoded here.

    Returns:
        (n,) float32 in [-1, 1], n = floor(duration * sample_rate) but at least 1.

    Raises:
        InputError: The file is missing or unreadable, has no sound, or not one sample.
    """
    samples = bytearray()  # grows in place: an hour of sound is not held twice
    for part in stream_audio(path, sample_rate):
        samples += part.tobytes()
    return np.frombuffer(samples, np.float32)


def stream_audio(path: str | Path, sample_rate: int = 16000) -> Iterator[np.ndarray]:
    """Yield what `read_audio` returns in pieces (n,) float32, so that long sound is never held whole.

    Raises:
        InputError: As `read_audio`, when the first piece is asked for or where reading fails.
    """
    for part in _resampled(_averaged(_blocks(Path(path))), sample_rate):
        yield part[:, 0]


def track_channels(path: str | Path) -> int:
    """Return the channels, 1 or 2, of the track that `write_track` makes of a file.

    Raises:
        InputError: The file is missing or unreadable, has no sound, or not one sample.
    """
    return 1 if next(_blocks(Path(path))).stored_channels == 1 else 2


def write_track(path: str | Path, target: Path, seconds: Fraction) -> None:
    """Write the first audio stream of a file as raw 16-bit samples: TRACK_RATE, `track_channels` interleaved.

    The sound is decoded here rather than by the ffmpeg that encodes it: versions of ffmpeg disagree about the priming
    that codecs add, which moves the sound (measured: 15 ms for AAC in mkv, between 4.2 or 7.0 and 9.0).

    Args:
        path: Any file with sound.
        target: Raw file to write.
        seconds: Length at which the sound is cut; a shorter one stays shorter.

    Raises:
        InputError: The file is missing or unreadable, has no sound, or not one sample.
        OSError: The target cannot be written.
    """
    layout = "mono" if track_channels(path) == 1 else "stereo"
    left = math.ceil(seconds * TRACK_RATE)
    with target.open("xb") as output:
        for part in _resampled(_blocks(Path(path), layout), TRACK_RATE):
            output.write((part[:left] * 32767).round().astype("<i2").tobytes())
            left -= len(part)
            if left <= 0:
                return


def _averaged(blocks: Iterator[_Block]) -> Iterator[_Block]:
    for block in blocks:
        mono = block.samples.mean(axis=0, keepdims=True, dtype=np.float32)
        yield _Block(mono, block.rate, block.stored_channels)


def _resampled(blocks: Iterator[_Block], rate: int) -> Iterator[np.ndarray]:
    """Yield (n, channels) float32 in [-1, 1] at `rate`; floor(duration * rate) samples in all, at least 1."""
    import soxr

    duration = Fraction(0)
    made = 0
    resampler: soxr.ResampleStream | None = None
    now = 0
    channels = 1

    def take(part: np.ndarray, last: bool) -> np.ndarray:
        nonlocal made
        out = part if resampler is None else resampler.resample_chunk(part, last=last)
        out = np.clip(out, -1.0, 1.0)[: max(1, int(duration * rate)) - made]
        made += len(out)
        return out

    for block in blocks:
        part = np.ascontiguousarray(block.samples.T)
        channels = part.shape[1]
        if block.rate != now:
            if resampler is not None:
                yield take(part[:0], True)
            now = block.rate
            resampler = None
            if now != rate:
                resampler = soxr.ResampleStream(now, rate, channels, dtype="float32", quality="HQ")
        duration += Fraction(len(part), now)
        yield take(part, False)
    if resampler is not None:
        yield take(np.zeros((0, channels), np.float32), True)
    missing = max(1, int(duration * rate)) - made
    if missing > 0:
        yield np.zeros((missing, channels), np.float32)


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


def _with_length(frames: Iterator[av.AudioFrame], container: InputContainer) -> Iterator[tuple[av.AudioFrame, int]]:
    """Yield (frame, how many of its samples count).

    An mp4 states in the last packet's duration where the sound ends; the coded frame is padded beyond it. Other
    containers mark the padding so that libav drops it, and their durations are rounded.
    """
    held: av.AudioFrame | None = None
    for frame in frames:
        if held is not None:
            yield held, held.samples
        held = frame
    if held is None:
        return
    length = held.samples
    if "mp4" in container.format.name.split(",") and held.duration and held.time_base:
        length = min(length, round(held.duration * held.time_base * held.sample_rate))
    yield held, length


def _start(frame: av.AudioFrame, container: InputContainer) -> Fraction:
    """Return the seconds from the start of the file to the first audio frame."""
    if frame.pts is None or frame.time_base is None or container.start_time is None:
        return Fraction(0)
    return max(Fraction(0), frame.pts * frame.time_base - Fraction(container.start_time, av.time_base))


def _blocks(path: Path, layout: str | None = None) -> Iterator[_Block]:
    """Yield the sound in order, without gaps, from the start of the file.

    Args:
        path: Any file with sound.
        layout: "mono" or "stereo" to mix down to; None keeps the channels (silence then has one).

    Raises:
        InputError: The file is missing or unreadable, has no sound, or not one sample.
    """
    silent_channels = 2 if layout == "stereo" else 1
    with open_media(path, "sound") as container:
        stream = _audio_stream(container, path)
        converter: AudioResampler | None = None
        coded: tuple[str, str, int] | None = None
        position = origin = Fraction(0)  # seconds handed out; time stamp that position 0 has
        for frame, length in _with_length(_decode(container, stream, path), container):
            rate, channels = frame.sample_rate, len(frame.layout.channels)
            if coded is None:
                lead = _start(frame, container)
                origin = _stamp(frame, lead) - lead
            due = _stamp(frame, origin + position) - origin
            missing = round((due - position) * rate)
            # The start is filled to the sample, later gaps only beyond the tolerance.
            if missing > 0 and (coded is None or due - position > _STAMP_TOLERANCE):
                for size in _pieces(missing):
                    yield _Block(np.zeros((silent_channels, size), np.float32), rate, channels)
                position += Fraction(missing, rate)
            overlap = -missing if position - due > _STAMP_TOLERANCE else 0
            if (frame.format.name, frame.layout.name, rate) != coded:
                coded = frame.format.name, frame.layout.name, rate
                converter = AudioResampler(format="fltp", layout=layout)
            assert converter is not None
            for part in converter.resample(frame):
                samples = np.nan_to_num(part.to_ndarray())[:, overlap:length]
                if samples.shape[1]:
                    yield _Block(samples, rate, channels)
                    position += Fraction(samples.shape[1], rate)
        if not position:
            raise _no_samples(path)


def _stamp(frame: av.AudioFrame, otherwise: Fraction) -> Fraction:
    if frame.pts is None or frame.time_base is None:
        return otherwise
    return frame.pts * frame.time_base


def _pieces(count: int) -> Iterator[int]:
    for start in range(0, count, _SILENCE_BLOCK):
        yield min(_SILENCE_BLOCK, count - start)
