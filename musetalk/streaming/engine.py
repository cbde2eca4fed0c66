"""One stream of an avatar: which frame shows what, on one timeline of picture and sound. No threads, no waiting.

Frame k lies at k / fps. Sound that has come is spoken in consecutive frames; where there is none, the avatar rests: it
moves on through its source frames with the mouth that was prepared for silence, and the sound is silence. Four things
call the engine, each from a thread of its own if they like: whoever has sound (`push`), what listens (`listen`), what
makes faces (`generate`), and whoever takes frames (`frame`).
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

import cv2
import numpy as np

from musetalk.audio.windows import DEFAULT_PADDING, SAMPLE_RATE
from musetalk.avatar.prepared import PreparedFrames, ping_pong_index
from musetalk.errors import UsageError
from musetalk.media.pacing import Pacer
from musetalk.pipeline.batcher import FaceMaker
from musetalk.pipeline.speaking import compose
from musetalk.streaming.planning import PassTimes, plan_pass
from musetalk.streaming.sound_units import SoundUnit, SoundUnits

DEFAULT_DELAY = Fraction(18, 100)
_PRACTICE = 4  # faces in the larger of the passes that are done for practice
_MOST_BEHIND = 1.0
"""Seconds behind after which the schedule begins anew: the machine slept, or the other side took nothing."""


class Kind(Enum):
    """What a frame shows."""

    SPEECH = "speech"
    IDLE = "idle"
    REPEATED = "repeated"  # speech, with an earlier face: there was no time for its own


@dataclass(frozen=True)
class StreamSettings:
    """Settings of a stream.

    Attributes:
        delay: Seconds from when a frame's sound is known, its look-ahead included, to the frame: time for the
            networks, and room for sound that comes unevenly. Only in real time.
        blend_frames: Frames over which speech begins and ends; 0: at once.
        batch_size: Faces in one pass of the networks, at most.
        flush_after: Seconds without new sound after which what has come is spoken to its end. Only in real time.
        audio_padding_left: Sound before a frame that it sees, in 25 fps frames.
        audio_padding_right: Sound after a frame that it sees, in 25 fps frames.
    """

    delay: Fraction = DEFAULT_DELAY
    blend_frames: int = 3
    batch_size: int = 8
    flush_after: Fraction = Fraction(12, 100)
    audio_padding_left: int = DEFAULT_PADDING
    audio_padding_right: int = DEFAULT_PADDING

    def __post_init__(self) -> None:
        """Raises UsageError for a value out of range."""
        if self.batch_size < 1 or self.blend_frames < 0 or self.delay < 0 or self.flush_after < 0:
            raise UsageError(
                f"settings of a stream out of range: {self}", "Give batch_size 1 or more, the rest 0 or more."
            )


@dataclass(frozen=True)
class FrameTiming:
    """When things happened to a frame of speech, as the clock tells; 0 for what did not happen.

    Attributes:
        sounded: Its own sound had come.
        arrived: The sound that it looks ahead to had come, too.
        heard: The audio encoder was done.
        generated: Its face was made.
        taken: It was asked for.
        composed: It was ready.
    """

    sounded: float = 0.0
    arrived: float = 0.0
    heard: float = 0.0
    generated: float = 0.0
    taken: float = 0.0
    composed: float = 0.0


@dataclass(frozen=True)
class StreamFrame:
    """One frame of a stream.

    Attributes:
        index: Number of the frame.
        time: Its time in seconds, index / fps.
        image: (H, W, 3) uint8 BGR; may be read-only.
        sound: (n,) float32, 16 kHz mono: what is heard during the frame. Frame k's begins at sample
            floor(k · 16000 / fps).
        kind: What it shows.
        timing: Where its time went.
    """

    index: int
    time: Fraction
    image: np.ndarray
    sound: np.ndarray
    kind: Kind
    timing: FrameTiming


@dataclass
class StreamStatistics:
    """Counts of a stream so far.

    Attributes:
        frames: Frames given.
        speech: Those of speech, repeated ones included.
        repeated: Those of speech without a face of their own.
        behind: How often the schedule began anew.
    """

    frames: int = 0
    speech: int = 0
    repeated: int = 0
    behind: int = 0


class SpeechEngine:
    """See the module. Thread-safe, as long as one thread listens, one makes faces, and one takes frames.

    Args:
        frames: The avatar's frames.
        units: Makes units of arriving sound.
        faces: Makes faces.
        settings: Settings.
        clock: Seconds that never go back. Used for the timing; and for the schedule where `paced`.
        paced: Whether frames are due in real time. If not, a frame is given as soon as its sound is known, there are
            no frames without sound, and none is ever repeated.
    """

    def __init__(
        self,
        frames: PreparedFrames,
        units: SoundUnits,
        faces: FaceMaker,
        settings: StreamSettings,
        clock: Callable[[], float],
        paced: bool,
    ) -> None:
        self.frames = frames
        self.fps = frames.info.fps
        self.settings = settings
        self.statistics = StreamStatistics()
        self.changed = threading.Condition()
        """Notified when there may be something to work on, or a frame to take; `changes` has then grown."""
        self.changes = 0
        self._sound_units = units
        self._faces = faces
        self._clock = clock
        self._pacer = Pacer(self.fps, clock) if paced else None
        self._raw: deque[tuple[np.ndarray, float]] = deque()  # sound that no units were made of
        self._raw_samples = 0
        self._last_push = -math.inf
        self._flush = self._ended = self._restart = False
        self._listening = False
        self._epoch = 0  # grows with each interruption: what was under way then counts no more
        self._units: deque[SoundUnit] = deque()  # in consecutive slots
        self._next = 0  # slot of the next frame
        self._last_slot = -1  # of the last unit
        self._contiguous = False  # whether the next unit follows the last one
        self._left_over = np.zeros(0, np.float32)  # sound of units that were shown, but for a sample or two
        self._times = PassTimes()
        self._presence = 0.0  # 0 idle ... 1 speaking
        self._shown: tuple[int, np.ndarray] | None = None  # the latest slot that is due, and its face

    def _notify(self) -> None:
        self.changes += 1
        self.changed.notify_all()

    # Whoever has sound

    def push(self, samples: np.ndarray, *, interrupt: bool = False) -> None:
        """Append sound, (n,) 16 kHz mono in [-1, 1].

        Args:
            samples: Any number of samples.
            interrupt: Cut off what is being said: nothing of it is shown from the next frame on.

        Raises:
            ValueError: The array has another shape, or `end` was called.
        """
        samples = np.asarray(samples, np.float32)
        if samples.ndim != 1:
            raise ValueError(f"samples have the shape {samples.shape}, not (n,)")
        with self.changed:
            if self._ended:
                raise ValueError("the stream has been ended")
            if interrupt:
                self._interrupt()
            now = self._clock()
            self._raw.append((samples.copy(), now))
            self._raw_samples += len(samples)
            self._last_push = now
            self._flush = False
            self._notify()

    def interrupt(self) -> None:
        """Cut off what is being said: from the next frame on the avatar comes to rest."""
        with self.changed:
            self._interrupt()
            self._notify()

    def flush(self) -> None:
        """An utterance is complete: speak it to its end without waiting for the sound after it."""
        with self.changed:
            self._flush = True
            self._notify()

    def end(self) -> None:
        """No more sound will come. When all is spoken, the stream is over."""
        with self.changed:
            self._flush = self._ended = True
            self._notify()

    @property
    def buffered(self) -> float:
        """Seconds of sound that have come and are not shown yet."""
        with self.changed:
            return self._raw_samples / SAMPLE_RATE + float(len(self._units) / self.fps)

    @property
    def over(self) -> bool:
        """Whether the stream was ended and all of it has been given."""
        with self.changed:
            return self._over()

    def _over(self) -> bool:
        return self._ended and not (self._raw or self._flush or self._listening or self._units)

    def _interrupt(self) -> None:
        self._epoch += 1
        self._raw.clear()
        self._raw_samples = 0
        self._units.clear()
        self._left_over = self._left_over[:0]
        self._last_slot = self._next - 1
        self._contiguous = False
        self._restart = True
        self._flush = self._ended

    # Whoever lets the networks run

    def warm_up(self) -> None:
        """Make some faces, so that the first ones of speech take no longer than others, and their time is known."""
        index = next((index for index in range(len(self.frames)) if self.frames.has_face(index)), None)
        if index is None:
            return
        window = self._sound_units.silent_window()
        for count in (1, *sorted({1, min(_PRACTICE, self.settings.batch_size)})):
            latents = self.frames.latents([index] * count)
            began = self._clock()
            self._faces.generate(latents, np.stack([window] * count))
            seconds = self._clock() - began
            if count == 1:
                self._times = PassTimes()  # the first pass of all is slower than those that come
            self._times.add(count, seconds)

    def listen(self) -> bool:
        """Make units of the sound that has come; False when there is nothing to do."""
        with self.changed:
            taken = self._take_raw()
            flush = not self._raw and (self._flush or self._is_stalled(taken))
            if not taken and not flush and not self._restart:
                return False
            restart, self._restart = self._restart, False
            epoch = self._epoch
            self._listening = True
        now = self._clock()
        if restart:
            self._sound_units.reset()
        units: list[SoundUnit] = []
        if taken:
            units += self._sound_units.push(np.concatenate([samples for samples, _ in taken]), taken[-1][1])
        if flush:
            units += self._sound_units.flush(now)
        now = self._clock()
        with self.changed:
            self._listening = False
            if epoch == self._epoch:
                if flush and not self._raw:
                    self._flush = False
                for unit in units:
                    unit.heard = now
                    self._schedule(unit)
            self._notify()
        return True

    def _take_raw(self) -> list[tuple[np.ndarray, float]]:
        """Some of the sound that has come; none while enough units wait, so that long sound is not held twice."""
        if len(self._units) >= self._most_units:
            return []
        taken = []
        samples = 0
        while self._raw and samples < SAMPLE_RATE // 2:
            block, time = self._raw.popleft()
            if len(block) > SAMPLE_RATE // 2:
                self._raw.appendleft((block[SAMPLE_RATE // 2 :], time))
                block = block[: SAMPLE_RATE // 2]
            taken.append((block, time))
            samples += len(block)
        self._raw_samples -= samples
        return taken

    @property
    def _most_units(self) -> int:
        return 4 * self.settings.batch_size + math.ceil(self.fps)

    def _is_stalled(self, taken: list[tuple[np.ndarray, float]]) -> bool:
        """Whether sound has stopped coming, and what was said last is about to be missing its end."""
        if self._pacer is None or taken or self._raw or not self._sound_units.pending:
            return False
        now, patience = self._clock(), float(self.settings.flush_after)
        if now - self._last_push < patience:
            return False
        return not self._pacer.started or self._pacer.due(self._last_slot + 1) - now <= patience

    def _schedule(self, unit: SoundUnit) -> None:
        """Give a unit its slot: right after the one before it, or, where that has gone by, the delay after it came."""
        slot = max(self._last_slot + 1, self._next)
        if self._pacer is not None and not (self._contiguous and slot == self._last_slot + 1):
            if self._pacer.started:
                until = Fraction(unit.arrived - self._pacer.due(0)).limit_denominator(1_000_000)
            else:
                until = Fraction(0)
            slot = max(slot, math.ceil((until + self.settings.delay) * self.fps))
        unit.slot = self._last_slot = slot
        self._contiguous = True
        self._units.append(unit)

    def generate(self) -> bool:
        """Make some faces; False when there is nothing to do, or nothing yet."""
        with self.changed:
            epoch = self._epoch
            batch = self._next_batch()
        if not batch:
            return False
        indices = [self._source_index(unit.slot) for unit in batch]
        began = self._clock()
        windows = np.stack([unit.window for unit in batch if unit.window is not None])
        faces = self._faces.generate(self.frames.latents(indices), windows)
        now = self._clock()
        with self.changed:
            self._times.add(len(batch), now - began)
            if epoch == self._epoch:
                for unit, face in zip(batch, faces, strict=True):
                    unit.face, unit.generated = face, now
                    if unit.slot < self._next and self._presence > 0:
                        self._remember(unit.slot, face)
            self._notify()
        return True

    def _next_batch(self) -> list[SoundUnit]:
        """Units whose faces are made next."""
        waiting = [
            unit
            for unit in self._units
            if unit.window is not None
            and unit.face is None
            and not unit.dropped
            and self.frames.has_face(self._source_index(unit.slot))
        ]
        most = self.settings.batch_size
        if self._pacer is None or not self._pacer.started:
            return waiting[:most]
        now = self._clock()
        slack = [self._pacer.due(unit.slot) - now for unit in waiting]
        plan = plan_pass(slack, self._times, float(1 / self.fps), most)
        for place in plan.drop:
            waiting[place].dropped = True
        return [waiting[place] for place in plan.take]

    # Whoever takes frames

    def wait(self) -> float | None:
        """Seconds until `frame` may give something; None where that depends on new sound or on the worker."""
        if self._pacer is None:
            return None
        return self._pacer.wait(self._next)

    def frame(self) -> StreamFrame | None:
        """The next frame; None while it is not due, or, not in real time, while its sound or face is missing."""
        with self.changed:
            if self._pacer is not None:
                if self._pacer.wait(self._next) > 0 or self._over():
                    return None
                if self._clock() - self._pacer.due(self._next) > _MOST_BEHIND:
                    self._pacer.start(self._next)
                    self.statistics.behind += 1
            unit = self._units[0] if self._units and self._units[0].slot == self._next else None
            slot = self._next
            index = self._source_index(slot)
            if self._pacer is None and (unit is None or not self._is_ready(unit, index)):
                return None
            taken = self._clock()
            self._next += 1
            if unit is not None:
                self._units.popleft()
            sound = self._sound_of(slot, unit)
            kind, face, presence = self._show(unit, slot, index)
            self._notify()
        image = self._compose(index, face, presence)
        timing = FrameTiming(taken=taken, composed=self._clock())
        if unit is not None:
            timing = FrameTiming(unit.sounded, unit.arrived, unit.heard, unit.generated, taken, timing.composed)
        return StreamFrame(slot, slot / self.fps, image, sound, kind, timing)

    def _is_ready(self, unit: SoundUnit, index: int) -> bool:
        return unit.window is None or unit.face is not None or not self.frames.has_face(index)

    def _sound_of(self, slot: int, unit: SoundUnit | None) -> np.ndarray:
        """Exactly the samples of a slot; a unit may have one more or less, where frames begin between samples."""
        count = int((slot + 1) * SAMPLE_RATE / self.fps) - int(slot * SAMPLE_RATE / self.fps)
        if unit is None:
            return np.zeros(count, np.float32)
        sound = np.concatenate([self._left_over, unit.sound])
        self._left_over = sound[count:]
        return np.pad(sound[:count], (0, max(count - len(sound), 0)))

    def _show(self, unit: SoundUnit | None, slot: int, index: int) -> tuple[Kind, np.ndarray | None, float]:
        """(kind, face of speech or None, its share) of a slot."""
        speaks = unit is not None and unit.window is not None
        step = 1 / self.settings.blend_frames if self.settings.blend_frames else 1.0
        self._presence = min(max(self._presence + (step if speaks else -step), 0.0), 1.0)
        kind = Kind.IDLE
        self.statistics.frames += 1
        if speaks and unit is not None:
            kind = Kind.SPEECH
            self.statistics.speech += 1
            if unit.face is not None:
                self._remember(slot, unit.face)
            elif self.frames.has_face(index):
                kind = Kind.REPEATED
                self.statistics.repeated += 1
        if self._presence < step / 2:  # rounding leaves a trace
            self._presence = 0.0
            self._shown = None
        return kind, self._shown[1] if self._shown is not None else None, self._presence

    def _remember(self, slot: int, face: np.ndarray) -> None:
        if self._shown is None or slot >= self._shown[0]:
            self._shown = slot, face

    def _compose(self, index: int, face: np.ndarray | None, presence: float) -> np.ndarray:
        if face is None or presence < 1:
            idle = self.frames.idle_face(index)
            if idle is None:
                return self.frames.image(index)
            face = idle if face is None else cv2.addWeighted(face, presence, idle, 1 - presence, 0)
        return compose(self.frames.located(index), face)

    def _source_index(self, slot: int) -> int:
        return ping_pong_index(slot, len(self.frames))
