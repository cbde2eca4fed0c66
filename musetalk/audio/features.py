"""From sound to the audio windows of the UNet, segment by segment.

The Whisper encoder takes segments of fixed length (30 s for whisper-tiny). The published system encodes independent
segments, so the features jump at every seam. Here segments overlap by a third; inside the overlap one fades into the
other, away from the ends of both. A sound that fits one segment gives exactly the published numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from musetalk.audio.windows import (
    DEFAULT_PADDING,
    SAMPLE_RATE,
    STEPS_PER_SECOND,
    frame_count,
    sliding_windows,
    step_count,
)
from musetalk.models.audio_encoder import AudioEncoder

SAMPLES_PER_STEP = SAMPLE_RATE // STEPS_PER_SECOND


@dataclass(frozen=True)
class SegmentPlan:
    """How a sound is cut into overlapping segments; all numbers in steps (1/50 s).

    Attributes:
        length: Steps of one segment.
        hop: Distance of the beginnings of neighbouring segments: two thirds of a segment.
        fade_start: Where, counted from the beginning of the overlap, the next segment begins to fade in.
        fade: Steps of the fade: the middle 40 % of the overlap, so that both sides keep context beyond it.
    """

    length: int
    hop: int
    fade_start: int
    fade: int

    @classmethod
    def of(cls, length: int) -> SegmentPlan:
        overlap = length // 3
        fade = max(2 * overlap // 5, 1)
        return cls(length, length - overlap, (overlap - fade) // 2, fade)

    def count(self, steps: int) -> int:
        """Segments needed for a sound of this many steps (at least one)."""
        return 1 + max(0, -(-(steps - self.length) // self.hop))


class AudioFeatures:
    """Hidden states and windows of a sound.

    Args:
        encoder: The Whisper encoder with its feature extractor.
    """

    def __init__(self, encoder: AudioEncoder) -> None:
        self.encoder = encoder
        self.plan = SegmentPlan.of(encoder.segment_steps)

    def hidden_chunks(self, samples: np.ndarray) -> Iterator[np.ndarray]:
        """Yield consecutive pieces (t, S, D), float32, of the hidden states of a sound.

        Never more than two segments are held. The last piece runs to the end of its segment, beyond the sound.

        Args:
            samples: (n,) float32 mono at 16 kHz in [-1, 1].
        """
        plan = self.plan
        segments = plan.count(step_count(len(samples)))
        tail: np.ndarray | None = None  # what the segment before holds of the overlap
        for index in range(segments):
            first = index * plan.hop * SAMPLES_PER_STEP
            hidden = self.encoder(samples[first : first + plan.length * SAMPLES_PER_STEP])
            if tail is not None:
                hidden[: len(tail)] = cross_fade(tail, hidden[: len(tail)], plan.fade_start, plan.fade)
            if index == segments - 1:
                yield hidden
            else:
                yield hidden[: plan.hop]
                tail = hidden[plan.hop :].copy()

    def windows(
        self,
        samples: np.ndarray,
        fps: Fraction,
        padding_left: int = DEFAULT_PADDING,
        padding_right: int = DEFAULT_PADDING,
    ) -> Iterator[np.ndarray]:
        """Yield the audio window (window_length · S, D), float32, of every video frame of a sound, lazily.

        Args:
            samples: (n,) float32 mono at 16 kHz in [-1, 1].
            fps: Frames a second of the video.
            padding_left: Window before the frame, in 25 fps frames (published: 2).
            padding_right: Window after the frame, in 25 fps frames (published: 2).
        """
        yield from sliding_windows(
            self.hidden_chunks(samples),
            step_count(len(samples)),
            frame_count(len(samples), fps),
            fps,
            padding_left,
            padding_right,
        )


def cross_fade(before: np.ndarray, after: np.ndarray, start: int, length: int) -> np.ndarray:
    """Fade linearly between two (t, S, D) arrays of the same time: `before` up to `start`, then over `length` steps."""
    weight = np.clip((np.arange(len(before)) - start + 1) / (length + 1), 0.0, 1.0).astype(before.dtype)
    weight = weight.reshape(-1, *([1] * (before.ndim - 1)))
    return before * (1 - weight) + after * weight
