"""Raw sound: bytes to samples, and the header of a WAV that comes through a pipe. No files here."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from musetalk.errors import InputError

LOWEST_RATE, HIGHEST_RATE = 1000, 384_000
MOST_CHANNELS = 64
_MOST_HEADER = 1 << 16


def _integers(kind: str, scale: float) -> Callable[[bytes], np.ndarray]:
    return lambda data: np.frombuffer(data, kind).astype(np.float32) / np.float32(scale)


def _unsigned_8(data: bytes) -> np.ndarray:
    return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128


def _signed_24(data: bytes) -> np.ndarray:
    parts = np.frombuffer(data, np.uint8).reshape(-1, 3).astype(np.int32)
    return ((parts[:, 0] << 8 | parts[:, 1] << 16 | parts[:, 2] << 24) >> 8).astype(np.float32) / (1 << 23)


def _mu_law(data: bytes) -> np.ndarray:
    """ITU-T G.711: sign, 3 bits of exponent and 4 of mantissa, all inverted; 14 bits of range."""
    code = ~np.frombuffer(data, np.uint8)
    magnitude = (((code & 15).astype(np.int32) << 3) + 132 << (code >> 4 & 7).astype(np.int32)) - 132
    return np.where(code & 128, -magnitude, magnitude).astype(np.float32) / 32768


def _a_law(data: bytes) -> np.ndarray:
    """ITU-T G.711: as mu-law, but linear in the lowest segment, and with every other bit inverted; 13 bits of range."""
    code = np.frombuffer(data, np.uint8) ^ 0x55
    segment = (code >> 4 & 7).astype(np.int32)
    low = ((code & 15).astype(np.int32) << 4) + 8
    magnitude = np.where(segment > 0, low + 256 << np.maximum(segment - 1, 0), low)
    return np.where(code & 128, magnitude, -magnitude).astype(np.float32) / 32768


# Name, as ffmpeg has it -> (bytes of a sample, bytes to float32 samples with full scale 1).
ENCODINGS: dict[str, tuple[int, Callable[[bytes], np.ndarray]]] = {
    "s16le": (2, _integers("<i2", 1 << 15)),
    "s24le": (3, _signed_24),
    "s32le": (4, _integers("<i4", 1 << 31)),
    "f32le": (4, _integers("<f4", 1)),
    "u8": (1, _unsigned_8),
    "mulaw": (1, _mu_law),
    "alaw": (1, _a_law),
}

# (format tag, bits) of a WAV header -> encoding.
_WAV_ENCODINGS = {
    (1, 8): "u8",
    (1, 16): "s16le",
    (1, 24): "s24le",
    (1, 32): "s32le",
    (3, 32): "f32le",
    (6, 8): "alaw",
    (7, 8): "mulaw",
}
_WAV_EXTENSIBLE = 0xFFFE


@dataclass(frozen=True)
class PcmFormat:
    """How raw sound is stored.

    Attributes:
        rate: Samples a second.
        encoding: A key of ENCODINGS.
        channels: Interleaved channels.

    Raises:
        InputError: Values that no sound has.
    """

    rate: int = 16_000
    encoding: str = "s16le"
    channels: int = 1

    def __post_init__(self) -> None:
        if self.encoding not in ENCODINGS:
            raise InputError(f"raw sound: unknown format {self.encoding!r}", f"Use {', '.join(ENCODINGS)}.")
        if not LOWEST_RATE <= self.rate <= HIGHEST_RATE:
            raise InputError(
                f"raw sound: {self.rate} samples a second", f"Give a rate from {LOWEST_RATE} to {HIGHEST_RATE}."
            )
        if not 1 <= self.channels <= MOST_CHANNELS:
            raise InputError(f"raw sound: {self.channels} channels", f"Give 1 to {MOST_CHANNELS} channels.")

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return ENCODINGS[self.encoding][0] * self.channels


class PcmDecoder:
    """Bytes in pieces of any size to mono samples.

    Args:
        format: How the bytes are stored.
    """

    def __init__(self, format: PcmFormat) -> None:
        self.format = format
        self._rest = b""

    def push(self, data: bytes) -> np.ndarray:
        """Append bytes; the samples (n,) float32 in [-1, 1] that they complete. What is no number becomes 0."""
        data = self._rest + data
        whole = len(data) // self.format.frame_bytes * self.format.frame_bytes
        self._rest = data[whole:]
        samples = ENCODINGS[self.format.encoding][1](data[:whole])
        return to_mono(samples.reshape(-1, self.format.channels))


def to_mono(samples: np.ndarray) -> np.ndarray:
    """Samples (n, channels), floating, to (n,) float32 in [-1, 1]: cut off beyond, NaN and infinite 0, averaged."""
    samples = np.clip(np.nan_to_num(samples, posinf=0.0, neginf=0.0), -1.0, 1.0)
    return samples.mean(axis=1, dtype=np.float32)


@dataclass(frozen=True)
class WavStart:
    """The beginning of a WAV.

    Attributes:
        format: How its samples are stored.
        header: Bytes before the first sample.
        size: Bytes of samples; None when the header leaves it open, as of a program that writes into a pipe.
    """

    format: PcmFormat
    header: int
    size: int | None


def may_be_wav(head: bytes) -> bool:
    """Whether a stream that begins like this can be a WAV."""
    return b"RIFF".startswith(head[:4]) and b"WAVE".startswith(head[8:12])


def wav_start(head: bytes) -> WavStart | None:
    """Read the header of a WAV; None when more bytes are needed.

    Args:
        head: The first bytes of something that `may_be_wav`.

    Raises:
        InputError: A WAV that does not hold plain samples.
    """
    place, format = 12, None
    while len(head) >= place + 8:
        name, size = struct.unpack_from("<4sI", head, place)
        place += 8
        if name == b"data":
            if format is None:
                raise _bad_wav("samples come before their format")
            return WavStart(format, place, size if 0 < size < 0x7FFF_0000 else None)
        if name == b"fmt ":
            if len(head) < place + size:
                return None
            format = _wav_format(head[place : place + size])
        place += size + size % 2
        if place > _MOST_HEADER:
            raise _bad_wav("no samples near its beginning")
    return None


def _wav_format(chunk: bytes) -> PcmFormat:
    if len(chunk) < 16:
        raise _bad_wav("its format is cut short")
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == _WAV_EXTENSIBLE and len(chunk) >= 26:
        (tag,) = struct.unpack_from("<H", chunk, 24)
    if (tag, bits) not in _WAV_ENCODINGS:
        raise _bad_wav(f"its samples (format {tag}, {bits} bits) are not plain ones")
    return PcmFormat(rate, _WAV_ENCODINGS[tag, bits], channels)


def _bad_wav(reason: str) -> InputError:
    return InputError(f"WAV from a pipe: {reason}", "Write raw samples into the pipe, such as ffmpeg's -f s16le.")
