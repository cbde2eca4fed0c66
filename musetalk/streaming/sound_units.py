"""Arriving sound, cut into pieces of one video frame, each with its audio window where somebody speaks."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np

from musetalk.audio.windows import SAMPLE_RATE

CONTEXT_FRAMES = 12
"""Frames of sound before speech begins that the audio encoder hears too."""
ONSET_FRAMES = 1
"""The mouth begins to move this many frames before the voice is heard. More would delay all frames."""
_PADDING_PATTERN = SAMPLE_RATE // 50  # samples whose repetition stands for sound that has not come


class Windows(Protocol):
    """What makes audio windows of arriving sound: `musetalk.audio.streaming.StreamingFeatures`."""

    @property
    def look_ahead_samples(self) -> int: ...

    def push(self, samples: np.ndarray) -> list[np.ndarray]: ...

    def reset(self) -> None: ...


class Activity(Protocol):
    """What tells for each frame whether somebody speaks: `musetalk.audio.voice_activity.VoiceActivity`."""

    @property
    def look_ahead_samples(self) -> int: ...

    def push(self, samples: np.ndarray) -> list[bool]: ...

    def reset(self) -> None: ...


@dataclass(eq=False)
class SoundUnit:
    """The sound of one video frame, and what becomes of it.

    Attributes:
        sound: (n,) float32, 16 kHz mono.
        window: (tokens, width) audio window; None where nobody speaks.
        sounded: Clock's time at which all of `sound` had come.
        arrived: Clock's time at which the sound that its window looks ahead to had come.
        heard: Clock's time at which the window was made.
        slot: Number of the video frame in which it is spoken; set by the engine.
        face: (s, s, 3) BGR uint8, once generated.
        generated: Clock's time at which the face was made.
        dropped: Whether its face is not generated any more, for want of time.
    """

    sound: np.ndarray
    window: np.ndarray | None
    sounded: float = 0.0
    arrived: float = 0.0
    heard: float = 0.0
    slot: int = -1
    face: np.ndarray | None = None
    generated: float = 0.0
    dropped: bool = False


class SoundUnits:
    """Takes sound in blocks of any size and gives units in order, as soon as they are known.

    While nobody speaks, the audio encoder does nothing; when somebody begins, it hears the last half second first. The
    units do not depend on how the sound is cut into blocks. Memory is bounded. Not thread-safe.

    Args:
        windows: Makes the audio windows.
        activity: Says where somebody speaks.
        fps: Frames a second.
    """

    def __init__(self, windows: Windows, activity: Activity, fps: Fraction) -> None:
        self._windows = windows
        self._activity = activity
        self._fps = fps
        ahead = max(windows.look_ahead_samples, activity.look_ahead_samples)
        # Frames of padding that make the last frame of the sound known.
        self._padding_frames = -(-ahead * fps.numerator // (SAMPLE_RATE * fps.denominator)) + 1 + ONSET_FRAMES
        self.reset()

    def silent_window(self) -> np.ndarray:
        """The window of the first frame of silence; what has come is forgotten."""
        self.reset()
        windows = self._windows.push(np.zeros(SAMPLE_RATE, np.float32))
        self.reset()
        return windows[0]

    def reset(self) -> None:
        """Forget everything: the next sample is the first of a new sound."""
        self._windows.reset()
        self._activity.reset()
        self._held = np.zeros(0, np.float32)  # sound from frame `_held_from` on
        self._held_from = 0
        self._received = 0
        self._next = 0  # frame of the next unit
        self._voiced: deque[bool] = deque()  # answers from frame `_next` on
        self._known: deque[np.ndarray] = deque()  # windows from frame `_next` on, while somebody speaks
        self._skip = 0  # windows to come that are before `_next`
        self._speaking = False
        self._padding: deque[tuple[int, int]] = deque()  # ranges of frames that are padding alone
        self._arrivals: deque[tuple[int, float]] = deque()  # samples received up to a time

    @property
    def pending(self) -> bool:
        """Whether there is sound that no unit has been made of."""
        last = self._padding[-1] if self._padding else None
        if last is not None and last[0] <= self._next and self._received <= self._begin(last[1]):
            return False
        return self._received > self._begin(self._next)

    @property
    def waiting(self) -> int:
        """Samples that no unit has been made of."""
        return self._received - self._begin(self._next) if self.pending else 0

    def push(self, samples: np.ndarray, now: float = 0.0) -> list[SoundUnit]:
        """Append (n,) float32 sound, 16 kHz mono in [-1, 1]; the units that became known.

        Args:
            samples: The sound.
            now: The clock's time at which it came.
        """
        return self._take(samples, samples, now)

    def flush(self, now: float = 0.0) -> list[SoundUnit]:
        """The remaining units of what has come so far: no more sound comes for now. More may come later.

        The last unit is filled up with silence.
        """
        if not self.pending:
            return []
        frame = self._frames_in(self._received)
        if self._begin(frame) < self._received:
            frame += 1
        end = frame + self._padding_frames
        self._padding.append((frame, end))
        padding = np.zeros(self._begin(end) - self._received, np.float32)
        # What goes on as it was neither begins nor ends speech, and leaves the noise floor as it is.
        recent = self._held[-_PADDING_PATTERN:]
        return self._take(padding, np.resize(recent, len(padding)).astype(np.float32), now)

    def _take(self, samples: np.ndarray, for_activity: np.ndarray, now: float) -> list[SoundUnit]:
        self._held = np.concatenate([self._held, samples])
        self._received += len(samples)
        self._arrivals.append((self._received, now))
        self._voiced.extend(self._activity.push(for_activity))
        if self._speaking:
            self._listen(samples)
        units = []
        while (unit := self._next_unit(now)) is not None:
            self._next += 1
            self._voiced.popleft()
            if not self._is_padding(self._next - 1):
                units.append(unit)
        self._forget()
        return units

    def _next_unit(self, now: float) -> SoundUnit | None:
        """The unit of frame `_next`, or None while it is not known."""
        if len(self._voiced) <= ONSET_FRAMES:
            return None
        window = None
        if any(self._voiced[k] for k in range(ONSET_FRAMES + 1)):
            if not self._speaking:
                self._begin_speaking()
            if not self._known:
                return None
            window = self._known.popleft()
        elif self._speaking:
            self._speaking = False
            self._known.clear()
        begin, end = self._begin(self._next), self._begin(self._next + 1)
        offset = self._begin(self._held_from)
        sound = self._held[begin - offset : end - offset].copy()
        return SoundUnit(sound, window, self._came(end), now, now)

    def _begin_speaking(self) -> None:
        self._speaking = True
        self._windows.reset()
        first = max(self._next - CONTEXT_FRAMES, self._held_from)
        self._skip = self._next - first
        self._known.clear()
        self._listen(self._held[self._begin(first) - self._begin(self._held_from) :])

    def _listen(self, samples: np.ndarray) -> None:
        for window in self._windows.push(samples):
            if self._skip:
                self._skip -= 1
            else:
                self._known.append(window)

    def _forget(self) -> None:
        """Keep the sound from the context on, and nothing of what is over."""
        first = max(self._next - CONTEXT_FRAMES, self._held_from)
        self._held = self._held[self._begin(first) - self._begin(self._held_from) :]
        self._held_from = first
        while len(self._padding) > 1 and self._padding[0][1] <= self._next:
            self._padding.popleft()
        needed = self._begin(self._next)
        while len(self._arrivals) > 1 and self._arrivals[0][0] <= needed:
            self._arrivals.popleft()

    def _is_padding(self, frame: int) -> bool:
        return any(first <= frame < end for first, end in self._padding)

    def _came(self, sample: int) -> float:
        return next(time for received, time in self._arrivals if received >= sample)

    def _begin(self, frame: int) -> int:
        """First sample of a frame."""
        return int(frame * SAMPLE_RATE / self._fps)

    def _frames_in(self, samples: int) -> int:
        """Whole frames in so many samples."""
        frames = int(samples * self._fps / SAMPLE_RATE)
        while self._begin(frames + 1) <= samples:  # a frame begins at a whole sample, somewhat before its time
            frames += 1
        return frames
