"""Cutting clips out of a 25 fps video without encoding a frame: its packets are copied, from key frame to key frame."""

from __future__ import annotations

import os
import wave
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream

from musetalk.audio.windows import SAMPLE_RATE
from musetalk.errors import InputError, OutputError
from musetalk.media.ffmpeg import file_url, open_media, packets, reason_of
from musetalk.training.clip_meta import FPS
from musetalk.training.files import cannot_write, partial_name, remove, replacing
from musetalk.training.preprocess.normalise import SAMPLES_PER_FRAME, wav_writer

_REMAKE = "Remove it and run again: it is made anew."
_AAC_BLOCK = 1024


def cut_sound(source: Path, start: int, stop: int, target: Path) -> np.ndarray:
    """Write the sound of the frames start … stop - 1 as a WAV of (stop - start) · 640 samples.

    Args:
        source: WAV, 16 kHz mono 16 bit, that begins with frame 0.
        start: First frame.
        stop: Frame after the last.
        target: 16 kHz mono 16 bit.

    Returns:
        (n,) int16, the samples.
    """
    wanted = (stop - start) * SAMPLES_PER_FRAME
    try:
        with wave.open(str(source), "rb") as reader:
            if (reader.getframerate(), reader.getnchannels(), reader.getsampwidth()) != (SAMPLE_RATE, 1, 2):
                raise InputError(f"{source}: not 16 kHz mono sound of 16 bit", _REMAKE)
            reader.setpos(min(start * SAMPLES_PER_FRAME, reader.getnframes()))
            data = reader.readframes(wanted)
    except (OSError, EOFError, wave.Error) as error:
        raise InputError(f"{source}: cannot be read: {error}", _REMAKE) from None
    if len(data) != 2 * wanted:
        raise InputError(f"{source}: the sound of frames {start} to {stop - 1} is missing", _REMAKE)
    with replacing(target) as file, wav_writer(file) as output:
        output.writeframes(data)
    return np.frombuffer(data, "<i2")


def cut_picture(source: Path, start: int, stop: int, samples: np.ndarray, target: Path) -> None:
    """Write the frames start … stop - 1 of a video that `normalise` made, bit for bit, with sound.

    Args:
        source: 25 fps, a key frame at `start` and, unless it is the video's end, at `stop`.
        start: First frame.
        stop: Frame after the last.
        samples: (n,) int16 at 16 kHz: the sound of these frames.
        target: mp4.

    Raises:
        InputError: The source is damaged or has no key frame there.
        OutputError: The target cannot be written.
    """
    partial = partial_name(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open_media(source, "video") as container:
            stream = container.streams.video[0]
            with av.open(file_url(partial), "w", format="mp4", options={"movflags": "+faststart"}) as output:
                copy: Any = output.add_stream_from_template(stream)
                sound: Any = output.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
                for packet in _packets(container, stream, source, start, stop):
                    packet.stream = copy
                    output.mux(packet)
                _encode_sound(output, sound, samples)
        os.replace(partial, target)
    except av.FFmpegError as error:  # reading raises InputError
        raise OutputError(
            f"{target}: cannot be written: {reason_of(error)}", "Check the folder's rights and the disk's free space."
        ) from error
    except OSError as error:
        raise cannot_write(target, error) from error
    finally:
        remove(partial)


def _packets(
    container: av.container.InputContainer, stream: VideoStream, path: Path, start: int, stop: int
) -> Iterator[av.Packet]:
    """Yield the packets of the frames start … stop - 1, with times that begin at 0."""
    unit = 1 / (FPS * (stream.time_base or Fraction(1)))
    first = start * unit
    if unit.denominator != 1:
        raise InputError(f"{path}: not a video that preprocessing made", _REMAKE)
    try:
        container.seek(int(first), stream=stream)
    except av.FFmpegError as error:
        raise InputError(f"{path}: frame {start} cannot be reached: {reason_of(error)}", _REMAKE) from error
    count = 0
    for packet in packets(container, stream, path):
        if packet.pts is None or packet.dts is None:
            continue
        if count == 0 and not (packet.is_keyframe and packet.pts == first):
            raise InputError(f"{path}: frame {start} is no key frame", _REMAKE)
        if count == stop - start:
            if not packet.is_keyframe:  # what was copied might need frames that were not
                raise InputError(f"{path}: frame {stop} is no key frame", _REMAKE)
            break
        packet.pts -= int(first)
        packet.dts -= int(first)
        count += 1
        yield packet
    if count < stop - start:
        raise InputError(f"{path}: only {count} of the frames {start} to {stop - 1} are there", _REMAKE)


def _encode_sound(output: OutputContainer, stream: Any, samples: np.ndarray) -> None:
    scaled = (samples / 32768).astype(np.float32)[None]
    for offset in range(0, scaled.shape[1], _AAC_BLOCK):
        part = np.ascontiguousarray(scaled[:, offset : offset + _AAC_BLOCK])
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        frame.pts = offset
        frame.time_base = Fraction(1, SAMPLE_RATE)
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))
