"""Which sound belongs to which video frame: pure functions over time, without networks or files.

The audio encoder gives `STEPS_PER_SECOND` steps of hidden states a second. Frame i of the video sees a window of steps
around its own time; everything here follows from three numbers: the sample rate, the step rate and the frame rate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

import numpy as np

SAMPLE_RATE = 16_000  # samples a second that the audio encoder takes
STEPS_PER_SECOND = 50  # hidden states a second that it gives
STEPS_PER_PAD = 2  # published: one unit of audio_padding_length is one 25 fps frame, i.e. two steps
DEFAULT_PADDING = 2  # published: audio_padding_length_left and _right


def frame_count(num_samples: int, fps: Fraction) -> int:
    """Number of video frames for a sound: floor(seconds · fps), exactly.

    Args:
        num_samples: Samples at SAMPLE_RATE.
        fps: Frames a second.
    """
    return int(Fraction(num_samples, SAMPLE_RATE) * fps)


def step_count(num_samples: int) -> int:
    """Number of audio steps that count for a sound: floor(seconds · 50). Steps beyond are padding and read as zeros."""
    return num_samples * STEPS_PER_SECOND // SAMPLE_RATE


def window_length(padding_left: int = DEFAULT_PADDING, padding_right: int = DEFAULT_PADDING) -> int:
    """Steps in the window of one frame. Published default: 10."""
    return STEPS_PER_PAD * (padding_left + padding_right + 1)


def window_start(frame: int, fps: Fraction, padding_left: int = DEFAULT_PADDING) -> int:
    """First step of the window of a frame; negative before the sound begins (zeros are read there).

    floor(frame · 50 / fps) − 2 · padding_left. The rate is a Fraction: 29.97 fps is 30000/1001 and does not drift.
    """
    return int(frame * STEPS_PER_SECOND / Fraction(fps)) - STEPS_PER_PAD * padding_left


def sliding_windows(
    chunks: Iterable[np.ndarray],
    steps: int,
    frames: int,
    fps: Fraction,
    padding_left: int = DEFAULT_PADDING,
    padding_right: int = DEFAULT_PADDING,
) -> Iterator[np.ndarray]:
    """Yield the audio window of every frame in turn, reading the hidden states only as far as needed.

    Args:
        chunks: Consecutive pieces of the hidden states, each (t, S, D) with t ≥ 0, any lengths.
        steps: How many steps count; later ones read as zeros, as do those before the first.
        frames: How many windows to yield.
        fps: Frames a second of the video.
        padding_left: Window before the frame in 25 fps frames.
        padding_right: Window after the frame in 25 fps frames.

    Yields:
        (window_length · S, D) arrays of the chunks' dtype, steps first: token = step · S + state.
    """
    length = window_length(padding_left, padding_right)
    source = iter(chunks)
    held: np.ndarray | None = None
    held_from = 0  # step number of held[0]
    for frame in range(frames):
        start = window_start(frame, fps, padding_left)
        needed = min(start + length, steps)
        while held is None or held_from + len(held) < needed:
            chunk = next(source, None)
            if chunk is None:
                break
            if held is None:
                held = chunk
            else:
                drop = min(max(start - held_from, 0), len(held))
                held = np.concatenate([held[drop:], chunk])
                held_from += drop
        if held is None:
            raise ValueError("sliding_windows needs at least one chunk, to know the shape of a step")
        window = np.zeros((length, *held.shape[1:]), held.dtype)
        first = max(start, held_from)
        last = min(needed, held_from + len(held))
        if last > first:
            window[first - start : last - start] = held[first - held_from : last - held_from]
        yield window.reshape(-1, held.shape[-1])


def audio_windows(
    hidden: np.ndarray,
    num_samples: int,
    fps: Fraction,
    padding_left: int = DEFAULT_PADDING,
    padding_right: int = DEFAULT_PADDING,
) -> np.ndarray:
    """All windows of a short sound at once.

    Args:
        hidden: (T, S, D) hidden states; T may exceed the sound (the encoder pads to whole segments).
        num_samples: Length of the sound at SAMPLE_RATE.
        fps: Frames a second of the video.

    Returns:
        (frame_count, window_length · S, D), dtype of hidden.
    """
    frames = frame_count(num_samples, fps)
    length = window_length(padding_left, padding_right)
    if frames == 0:
        return np.zeros((0, length * hidden.shape[1], hidden.shape[2]), hidden.dtype)
    steps = step_count(num_samples)
    return np.stack(list(sliding_windows([hidden], steps, frames, fps, padding_left, padding_right)))
