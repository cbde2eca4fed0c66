"""Audio windows of a sound that is still arriving: `AudioFeatures.windows`, frame by frame.

Every step goes through the encoder once. It keeps the absolute position that it has offline, in the same overlapping
segments with the same fades; what differs is that a step does not attend to speech that has not been heard yet, and
that the mel spectrogram is scaled by the maximum so far.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch

from musetalk.audio.features import SAMPLES_PER_STEP, SegmentPlan, cross_fade
from musetalk.audio.streaming_encoder import MEL_FRAMES_PER_STEP, SegmentCache, StreamingEncoder
from musetalk.audio.streaming_mel import StreamingMel, normalised
from musetalk.audio.windows import (
    DEFAULT_PADDING,
    STEPS_PER_SECOND,
    frame_count,
    step_count,
    window_length,
    window_start,
)
from musetalk.models.audio_encoder import AudioEncoder

DEFAULT_FPS = Fraction(25)


@dataclass(frozen=True)
class StreamingContext:
    """What a step attends to, in steps of 20 ms; the defaults are measured (`python -m scripts.measure_streaming`).

    With mini, the windows are then 0.02, 0.06, 0.06, 0.04 and 0.01 (relative L2 of the five states) from the offline
    ones, and the generated mouths 0.3 to 0.4 grey levels, most of it in the first seconds. Offline features of the same
    sound 3 s later in its segment differ by 0.8 grey levels. 100 ms of right context would save 0.02 to 0.05 of them.

    Attributes:
        left: Steps before it, at most. The whole segment costs hardly more than a part of it.
        right: Steps after it. Each delays the frames by 20 ms.
        silence: Silent steps behind the newest one: without them a step lacks what all steps attend to offline.
    """

    left: int = 1500
    right: int = 0
    silence: int = 100

    def __post_init__(self) -> None:
        if min(self.left, self.right, self.silence) < 0:
            raise ValueError(f"contexts cannot be negative: {self}")


class StreamingFeatures:
    """Takes sound in blocks of any size and gives the audio window of each video frame as soon as it is known.

    The windows do not depend on how the sound is cut into blocks. One object serves one stream; it is not
    thread-safe, but many of them may share one `StreamingEncoder`. Memory is bounded: one or two segments' caches.

    Args:
        encoder: The audio encoder, or, so that streams share its silent segment, one `StreamingEncoder` for all.
        fps: Frames a second of the video.
        padding_left: Window before the frame, in 25 fps frames (published: 2).
        padding_right: Window after the frame, in 25 fps frames (published: 2).
        context: How far a step sees.
    """

    def __init__(
        self,
        encoder: AudioEncoder | StreamingEncoder,
        fps: Fraction | int = DEFAULT_FPS,
        padding_left: int = DEFAULT_PADDING,
        padding_right: int = DEFAULT_PADDING,
        context: StreamingContext | None = None,
    ) -> None:
        self.encoder = encoder if isinstance(encoder, StreamingEncoder) else StreamingEncoder(encoder)
        self.fps = Fraction(fps)
        self.context = context or StreamingContext()
        self._padding_left = padding_left
        self._length = window_length(padding_left, padding_right)
        self._ahead = self._length - 2 * padding_left
        self._plan = SegmentPlan.of(self.encoder.encoder.segment_steps)
        self._mel = StreamingMel(self.encoder.encoder.extractor)
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next sample is the first of a new sound, the next window that of its frame 0."""
        self._mel.reset()
        self._columns = torch.zeros(0)  # the last log mel frames, which the next step needs too
        self._embedded: deque[torch.Tensor] = deque()  # steps whose states are not final
        self._segments: deque[tuple[int, SegmentCache]] = deque()  # (first step, cache), one or two
        self._next_segment = 0
        self._embedded_steps = 0
        self._steps = 0  # steps whose states are final
        self._states = np.zeros((0, self.encoder.encoder.states, self.encoder.encoder.width), np.float32)
        self._samples = 0
        self.frames = 0
        self._finished = False

    @property
    def look_ahead_samples(self) -> int:
        """Samples beyond the beginning of a frame, floor(i · 16000 / fps), that its window waits for.

        The window's own, 3 frames of 40 ms with the published padding; the right context; 12.5 ms of the mel window
        and the convolutions. 2120 (132.5 ms) by default: 92.5 ms beyond the end of a frame at 25 fps.
        """
        return (self._ahead + self.context.right) * SAMPLES_PER_STEP + self._samples_beyond_step

    @property
    def _samples_beyond_step(self) -> int:
        return self._mel.samples_for(MEL_FRAMES_PER_STEP + 1) - SAMPLES_PER_STEP

    def push(self, samples: np.ndarray) -> list[np.ndarray]:
        """Append sound; the windows that became complete, in the order of the frames.

        Args:
            samples: (n,) float32 mono at 16 kHz in [-1, 1], any n; what is beyond is cut off, what is no number is 0.

        Returns:
            (window_length · S, D) float32 arrays, as of `AudioFeatures.windows`.

        Raises:
            ValueError: The array has another shape, or the sound has been finished.
        """
        if self._finished:
            raise ValueError("the sound has been finished; reset() begins another")
        samples = np.asarray(samples)
        if samples.ndim != 1:
            raise ValueError(f"samples have the shape {samples.shape}, not (n,)")
        self._samples += len(samples)
        self._mel.push(np.clip(np.nan_to_num(samples.astype(np.float32), posinf=0.0, neginf=0.0), -1.0, 1.0))
        return self._windows(step_count(self._samples), complete=False)

    def finish(self) -> list[np.ndarray]:
        """The end of the sound: the remaining windows, so that there are frame_count(samples, fps) in all."""
        if self._finished:
            return []
        self._finished = True
        steps = step_count(self._samples)
        # Offline, the sound is followed by silence too.
        silence = self._needed(steps) - self._samples
        self._mel.push(np.zeros(max(silence, 0), np.float32))
        return self._windows(steps, complete=True)

    def _windows(self, steps: int, complete: bool) -> list[np.ndarray]:
        """Windows of the frames that all is known of, when `steps` steps of sound count."""
        found = []
        count = frame_count(self._samples, self.fps)
        while self.frames < count:
            start = window_start(self.frames, self.fps, self._padding_left)
            end = start + self._length
            if complete:
                end = min(end, steps)
            if self._mel.received < self._needed(end):
                break
            self._encode(end)
            found.append(self._window(start, end))
            self.frames += 1
        return found

    def _needed(self, end: int) -> int:
        """Samples needed before the states of the steps up to `end` are final."""
        if end <= 0:
            return 0
        return (end + self.context.right) * SAMPLES_PER_STEP + self._samples_beyond_step

    def _window(self, start: int, end: int) -> np.ndarray:
        window = np.zeros((self._length, *self._states.shape[1:]), np.float32)
        held_from = self._steps - len(self._states)
        first = max(start, held_from)
        if end > first:
            window[first - start : end - start] = self._states[first - held_from : end - held_from]
        return window.reshape(-1, self._states.shape[-1])

    def _encode(self, end: int) -> None:
        """Make the states of the steps up to `end` final, and forget those that no window needs any more."""
        if end <= self._steps:
            return
        self._embed(end + self.context.right)
        embedded = torch.stack(tuple(self._embedded))
        new = self._segment_states(embedded)[: end - self._steps]
        for _ in range(end - self._steps):
            self._embedded.popleft()
        self._steps = end
        self._retire_segments()
        self._states = np.concatenate([self._states, new])[-self._kept :]

    @property
    def _kept(self) -> int:
        """Steps that later windows may still need: a window, and what a frame advances."""
        return self._length + int(STEPS_PER_SECOND / self.fps) + 1

    def _embed(self, end: int) -> None:
        """Bring the convolutions up to the step `end`; the samples are there."""
        count = end - self._embedded_steps
        if count <= 0:
            return
        first = self._embedded_steps == 0
        new = self._mel.take(MEL_FRAMES_PER_STEP * end + 1)
        before = torch.full((len(new), 2), -torch.inf) if first else self._columns
        columns = torch.cat([before, new], dim=1)
        self._embedded.extend(self.encoder.embed(normalised(columns, self._mel.maximum), first))
        self._columns = columns[:, -3:]
        self._embedded_steps = end

    def _segment_states(self, embedded: torch.Tensor) -> np.ndarray:
        """States (n, S, D) of the n steps from the first not final one on, through the segments they lie in.

        A segment begins every `hop` steps; where two overlap, the older fades out, as in `AudioFeatures`.
        """
        plan, begin, end = self._plan, self._steps, self._steps + len(embedded)
        while self._next_segment < end:
            self._segments.append((self._next_segment, self.encoder.new_cache()))
            self._next_segment += plan.hop
        states = np.zeros((len(embedded), *self._states.shape[1:]), np.float32)
        for first, cache in self._segments:
            low, high = max(begin, first), min(end, first + plan.length)
            part = self.encoder.states(
                embedded[low - begin : high - begin], low - first, cache, self.context.left, self.context.silence
            ).numpy()
            there = states[low - begin : high - begin]
            if first > 0:
                part = cross_fade(there, part, plan.fade_start - (low - first), plan.fade)
            there[:] = part
        return states

    def _retire_segments(self) -> None:
        """Drop segments that have faded out."""
        while len(self._segments) > 1 and self._steps >= self._segments[1][0] + self._plan.fade_start + self._plan.fade:
            self._segments.popleft()
