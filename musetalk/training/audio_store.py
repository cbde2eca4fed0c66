"""The audio encoder's hidden states of the clips' sound, computed once and mapped into memory when samples are made.

One file for each sound and encoder. They come from `AudioFeatures`, so that training hears what inference hears,
whatever the length of the clip.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from musetalk.audio.features import AudioFeatures
from musetalk.audio.windows import SAMPLE_RATE, step_count, window_length, window_start
from musetalk.errors import InputError
from musetalk.media.audio_file import read_audio
from musetalk.models.audio_encoder import AudioEncoder
from musetalk.report import ProgressBars
from musetalk.training.clip_meta import FPS
from musetalk.training.files import replacing

_DTYPE = np.dtype("<f2")
_CHUNK = struct.Struct("<4sI")  # of a RIFF file
_FORMAT = struct.Struct("<HHIIHH")
_PCM = _FORMAT.pack(1, 1, SAMPLE_RATE, 2 * SAMPLE_RATE, 2, 16)


def encoder_fingerprint(encoder: AudioEncoder) -> str:
    """Names an encoder by its weights and its front end: equal ones give equal hidden states."""
    front = json.dumps(encoder.extractor.to_dict(), sort_keys=True, default=str)
    return network_fingerprint(encoder.network, front)


def network_fingerprint(network: Any, more: str = "") -> str:
    """Names a network by its weights, and by what else shapes its results."""
    digest = hashlib.sha256(more.encode())
    for key, value in sorted(network.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


class AudioStore:
    """Hidden states of sounds in a folder.

    Args:
        folder: Each encoder has a folder of its own in it.
        fingerprint: The encoder's, from `encoder_fingerprint`.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder / fingerprint

    def prepare(self, wavs: Iterable[Path], encoder: AudioEncoder) -> dict[Path, str]:
        """Compute what is missing. A stopped run goes on where it was; a sound that has changed is computed again.

        Args:
            wavs: Files with sound.
            encoder: The one of the fingerprint.

        Returns:
            For each sound that cannot be used, why.

        Raises:
            OutputError: The folder cannot be written to.
        """
        failures: dict[Path, str] = {}
        missing = []
        for wav in dict.fromkeys(wavs):
            try:
                path = self.path(wav)
            except InputError as error:
                failures[wav] = error.what
                continue
            if not path.is_file():
                missing.append((wav, path))
        features = AudioFeatures(encoder)
        with ProgressBars(["sound"], unit="clip") as bar:
            bar.start(len(missing))
            for wav, path in missing:
                try:
                    _write(path, read_audio(wav), features)
                except InputError as error:
                    failures[wav] = error.what
                bar.advance("sound")
        return failures

    def path(self, wav: Path) -> Path:
        """Where the hidden states of a sound are kept.

        Raises:
            InputError: There is no such sound.
        """
        try:
            status = wav.stat()
        except OSError as error:
            raise InputError(f"{wav}: cannot be read: {error.strerror or error}", "Make the clip again.") from None
        key = f"{wav.absolute()}\n{status.st_size}\n{status.st_mtime_ns}"
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npy"

    def open(self, wav: Path) -> np.ndarray:
        """The hidden states of a sound, (T, S, D) float16, T = `step_count`, mapped from the file.

        Raises:
            InputError: There is no such sound, or it was not prepared, or its file is damaged.
        """
        path = self.path(wav)
        try:
            hidden = np.load(path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            raise InputError(f"{wav}: its hidden states were not computed", "Prepare the sounds before use.") from None
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: damaged: {error}", "Remove the file: it is computed again.") from None
        if hidden.ndim != 3 or hidden.dtype != _DTYPE:
            raise InputError(f"{path}: does not hold hidden states", "Remove the file: it is computed again.")
        return hidden

    def windows(self, wav: Path, frames: Sequence[int], padding_left: int, padding_right: int) -> np.ndarray:
        """`frame_windows` of a sound.

        Raises:
            InputError: See `open`.
        """
        return frame_windows(self.open(wav), frames, padding_left, padding_right)


def frame_windows(
    hidden: np.ndarray, frames: Sequence[int], padding_left: int, padding_right: int, fps: Fraction = FPS
) -> np.ndarray:
    """The audio windows of any frames, as `musetalk.audio.windows` gives them for all frames in turn.

    Args:
        hidden: (T, S, D), all steps of the sound; beyond them a window is zero.
        frames: Numbers of frames.
        padding_left: Window before the frame in 25 fps frames.
        padding_right: Window after the frame in 25 fps frames.
        fps: Frames a second of the video.

    Returns:
        (len(frames), window_length · S, D), dtype of hidden.
    """
    length = window_length(padding_left, padding_right)
    windows = np.zeros((len(frames), length, *hidden.shape[1:]), hidden.dtype)
    for window, frame in zip(windows, frames, strict=True):
        start = window_start(int(frame), fps, padding_left)
        first, last = max(start, 0), min(start + length, len(hidden))
        if first < last:
            window[first - start : last - start] = hidden[first:last]
    return windows.reshape(len(frames), -1, hidden.shape[-1])


def _write(path: Path, samples: np.ndarray, features: AudioFeatures) -> None:
    steps = step_count(len(samples))
    shape = (steps, features.encoder.states, features.encoder.width)
    with replacing(path) as file:
        header = {"descr": npy.dtype_to_descr(_DTYPE), "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(file, header)
        left = steps
        for chunk in features.hidden_chunks(samples):
            file.write(np.ascontiguousarray(chunk[:left], _DTYPE).tobytes())
            left -= min(left, len(chunk))


def open_samples(wav: Path) -> np.ndarray:
    """All samples of a clip's sound, 16 kHz mono: int16, mapped from the file where it is stored as such (as
    preprocessing does), else decoded to float32 in [-1, 1].

    Raises:
        InputError: The file is missing or unreadable, has no sound, or not one sample.
    """
    place = _pcm_place(wav)
    if place is None:
        return read_audio(wav, SAMPLE_RATE)
    offset, count = place
    return np.memmap(wav, "<i2", mode="r", offset=offset, shape=(count,))


def _pcm_place(wav: Path) -> tuple[int, int] | None:
    """(offset of the first sample, samples) of a 16 kHz mono 16-bit WAV file; None for any other file."""
    try:
        size = wav.stat().st_size
        with wav.open("rb") as file:
            riff = file.read(12)
            if riff[:4] != b"RIFF" or riff[8:] != b"WAVE":
                return None
            fits = False
            while len(head := file.read(_CHUNK.size)) == _CHUNK.size:
                name, length = _CHUNK.unpack(head)
                if name == b"data":
                    count = min(length, size - file.tell()) // 2
                    return (file.tell(), count) if fits and count else None
                body = file.read(length + length % 2)
                fits = fits or (name == b"fmt " and body[: _FORMAT.size] == _PCM)
    except OSError as error:
        raise InputError(f"{wav}: cannot be read: {error.strerror or error}", "Make the clip again.") from None
    return None
