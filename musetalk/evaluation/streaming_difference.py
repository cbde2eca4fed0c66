"""How far windows of arriving sound are from those of the whole sound, in numbers and in generated mouths."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch

from musetalk.audio.features import AudioFeatures
from musetalk.audio.streaming import StreamingContext, StreamingFeatures
from musetalk.audio.streaming_encoder import StreamingEncoder
from musetalk.audio.windows import SAMPLE_RATE
from musetalk.models.audio_encoder import AudioEncoder
from musetalk.pipeline.generator import Generator

FPS = Fraction(25)
SHIFT_SECONDS = 3
_BLOCK = SAMPLE_RATE // 25
_BATCH = 8
_GREY = np.array([0.114, 0.587, 0.299], np.float32)  # of BGR


@dataclass(frozen=True)
class Streamed:
    """The windows of a sound that came in blocks of 40 ms.

    Attributes:
        windows: (frames, tokens, D) float32.
        milliseconds: (frames,) of each block's work.
    """

    windows: np.ndarray
    milliseconds: np.ndarray


def offline_windows(encoder: AudioEncoder, samples: np.ndarray) -> np.ndarray:
    """Windows (frames, tokens, D) of a whole sound."""
    return np.stack(list(AudioFeatures(encoder).windows(samples, FPS)))


def later_windows(encoder: AudioEncoder, samples: np.ndarray) -> np.ndarray:
    """The same for the sound after SHIFT_SECONDS of silence: how much offline features depend on where a sound begins.

    It is the scale for `relative_difference` and `mouth_difference`: what is below it cannot matter.
    """
    silence = np.zeros(SHIFT_SECONDS * SAMPLE_RATE, np.float32)
    return offline_windows(encoder, np.concatenate([silence, samples]))[SHIFT_SECONDS * int(FPS) :]


def streamed_windows(encoder: StreamingEncoder, samples: np.ndarray, context: StreamingContext) -> Streamed:
    """Windows of a sound that comes in blocks of one frame, and the time that each block took."""
    features = StreamingFeatures(encoder, FPS, context=context)
    windows, seconds = [], []
    for start in range(0, len(samples), _BLOCK):
        began = time.perf_counter()
        windows += features.push(samples[start : start + _BLOCK])
        seconds.append(time.perf_counter() - began)
    windows += features.finish()
    return Streamed(np.stack(windows), 1000 * np.array(seconds))


def relative_difference(ours: np.ndarray, other: np.ndarray, states: int) -> np.ndarray:
    """Relative L2 difference (states,) of windows (frames, tokens, D), for each hidden state of the encoder."""
    first, second = (windows.reshape(-1, states, windows.shape[-1]) for windows in (ours, other))
    return np.linalg.norm(first - second, axis=(0, 2)) / np.linalg.norm(second, axis=(0, 2))


def speak(generator: Generator, face: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """The lower halves, grey (frames, size / 2, size) float32 in [0, 255], of one face that speaks windows.

    Args:
        generator: The networks.
        face: (size, size, 3) BGR uint8.
        windows: (frames, tokens, D).
    """
    latents = generator.encode_faces([face])
    halves = []
    for start in range(0, len(windows), _BATCH):
        part = torch.from_numpy(windows[start : start + _BATCH])
        faces = generator.generate(latents.expand(len(part), -1, -1, -1), part)
        halves.append(faces[:, generator.face_size // 2 :].astype(np.float32) @ _GREY)
    return np.concatenate(halves)


def mouth_difference(ours: np.ndarray, other: np.ndarray) -> float:
    """Mean absolute difference of two results of `speak`, in grey levels."""
    return float(np.abs(ours - other).mean())


def mouth_movement(mouths: np.ndarray) -> float:
    """Mean absolute change of a result of `speak` from frame to frame, in grey levels."""
    return float(np.abs(np.diff(mouths, axis=0)).mean())


def contexts_of(left: Sequence[int], right: Sequence[int], silence: Sequence[int]) -> list[StreamingContext]:
    """All combinations, in steps."""
    return [StreamingContext(a, b, c) for a in left for b in right for c in silence]
