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
from fractions import Fraction

import cv2
import numpy as np

from musetalk.audio.windows import SAMPLE_RATE
from musetalk.avatar.prepared import PreparedFrames, ping_pong_index
from musetalk.media.pacing import Pacer
from musetalk.pipeline.batcher import FaceMaker
from musetalk.pipeline.compositing import Compositor
from musetalk.pipeline.frame_state import ByteCache
from musetalk.streaming.planning import PassTimes, plan_pass
from musetalk.streaming.settings import StreamSettings
from musetalk.streaming.shown_face import ShownFace
from musetalk.streaming.sound_buffers import IncomingSound, SoundTrack
from musetalk.streaming.sound_units import SoundUnit, SoundUnits
from musetalk.streaming.stream_frame import FrameTiming, Kind, StreamFrame, StreamStatistics

_PIECE = SAMPLE_RATE // 2  # samples that units are made of at once
_PRACTICE = (1, 2, 3, 4)  # faces in passes that are done for practice
_RESTING_BYTES = 64 * 1024 * 1024  # of frames at rest that are kept: forward and backward, the latest come again first
_MOST_BEHIND = 1.0
"""Seconds behind after which the schedule begins anew: the machine slept, or the other side took nothing."""


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
        compositor: Puts faces into frames.
    """

    def __init__(
        self,
        frames: PreparedFrames,
        units: SoundUnits,
        faces: FaceMaker,
        settings: StreamSettings,
        clock: Callable[[], float],
        paced: bool,
        compositor: Compositor,
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
        self._compositor = compositor
        self._resting: ByteCache[np.ndarray] = ByteCache(_RESTING_BYTES)
        self._clock = clock
        self._pacer = Pacer(self.fps, clock) if paced else None
        self._incoming = IncomingSound()
        self._track = SoundTrack(self.fps)
        self._under_way = 0  # samples that are neither incoming any more nor in units yet
        self._flush = self._ended = self._restart = False
        self._listening = False
        self._epoch = 0  # grows with each interruption: what was under way then counts no more
        self._units: deque[SoundUnit] = deque()  # in consecutive slots
        self._next = 0  # slot of the next frame
        self._last_slot = -1  # of the last unit
        self._contiguous = False  # whether the next unit follows the last one
        self._times = PassTimes()
        self._shown = ShownFace(settings.blend_frames)
        self._visible_from = frames.visible_from  # of all frames: a late face is shown in the place of another

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
            self._incoming.push(samples.copy(), self._clock())
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
            samples = self._incoming.samples + self._under_way
            return samples / SAMPLE_RATE + float(len(self._units) / self.fps)

    @property
    def over(self) -> bool:
        """Whether the stream was ended and all of it has been given."""
        with self.changed:
            return self._over()

    def _over(self) -> bool:
        return self._ended and not (self._incoming.samples or self._flush or self._listening or self._units)

    def _interrupt(self) -> None:
        self._epoch += 1
        self._incoming.clear()
        self._under_way = 0
        self._track.clear()
        self._units.clear()
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
        for count in (1, *(count for count in _PRACTICE if count <= self.settings.batch_size)):
            latents = self.frames.latents([index] * count)
            began = self._clock()
            self._faces.generate(latents, np.stack([window] * count), self._visible_from)
            seconds = self._clock() - began
            if count == 1:
                self._times = PassTimes()  # the first pass of all is slower than those that come
            self._times.add(count, seconds)

    def listen(self) -> bool:
        """Make units of the sound that has come; False when there is nothing to do."""
        with self.changed:
            # While enough units wait, sound waits as it came, so that a long one is not held twice.
            taken = self._incoming.take(_PIECE) if len(self._units) < self._most_units else None
            flush = not self._incoming.samples and (self._flush or (taken is None and self._is_stalled()))
            if taken is None and not flush and not self._restart:
                return False
            restart, self._restart = self._restart, False
            epoch = self._epoch
            self._listening = True
            self._under_way += len(taken[0]) if taken is not None else 0
        now = self._clock()
        if restart:
            self._sound_units.reset()
        units: list[SoundUnit] = []
        if taken is not None:
            units += self._sound_units.push(*taken)
        if flush:
            units += self._sound_units.flush(now)
        now = self._clock()
        with self.changed:
            self._listening = False
            if epoch == self._epoch:
                self._under_way = self._sound_units.waiting
                if flush and not self._incoming.samples:
                    self._flush = False
                for unit in units:
                    unit.heard = now
                    self._schedule(unit)
            self._notify()
        return True

    @property
    def _most_units(self) -> int:
        return 4 * self.settings.batch_size + math.ceil(self.fps)

    def _is_stalled(self) -> bool:
        """Whether sound has stopped coming, and what was said last is about to be missing its end."""
        if self._pacer is None or not self._sound_units.pending:
            return False
        now, patience = self._clock(), float(self.settings.flush_after)
        if now - self._incoming.last < patience:
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
        faces = self._faces.generate(self.frames.latents(indices), windows, self._visible_from)
        now = self._clock()
        with self.changed:
            self._times.add(len(batch), now - began)
            if epoch == self._epoch:
                for unit, face in zip(batch, faces, strict=True):
                    unit.face, unit.generated = face, now
                    if unit.slot < self._next:
                        self._shown.late(unit.slot, face)
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
            sound = self._track.cut(slot, None if unit is None else unit.sound)
            kind, face, share = self._show(unit, slot, index)
            self._notify()
        image = self._compose(index, face, share)
        timing = FrameTiming(taken=taken, composed=self._clock())
        if unit is not None:
            timing = FrameTiming(unit.sounded, unit.arrived, unit.heard, unit.generated, taken, timing.composed)
        return StreamFrame(slot, slot / self.fps, image, sound, kind, timing)

    def _is_ready(self, unit: SoundUnit, index: int) -> bool:
        return unit.window is None or unit.face is not None or not self.frames.has_face(index)

    def _show(self, unit: SoundUnit | None, slot: int, index: int) -> tuple[Kind, np.ndarray | None, float]:
        """(kind, face of speech or None, its share) of a slot."""
        self.statistics.frames += 1
        if unit is None or unit.window is None:
            return Kind.IDLE, *self._shown.rest()
        self.statistics.speech += 1
        shown = self._shown.speak(slot, unit.face)
        if unit.face is not None or not self.frames.has_face(index):
            return Kind.SPEECH, *shown
        self.statistics.repeated += 1
        return Kind.REPEATED, *shown

    def _compose(self, index: int, face: np.ndarray | None, share: float) -> np.ndarray:
        if face is None:
            return self._at_rest(index)
        if share < 1:
            idle = self.frames.idle_face(index)
            if idle is None:
                return self.frames.image(index)
            face = cv2.addWeighted(face, share, idle, 1 - share, 0)
        return self._compositor.compose(self.frames.located(index), face)

    def _at_rest(self, index: int) -> np.ndarray:
        image = self._resting.get(index)
        if image is None:
            idle = self.frames.idle_face(index)
            if idle is None:
                return self.frames.image(index)
            image = self._compositor.compose(self.frames.located(index), idle)
            self._resting.put(index, image, image.nbytes)
        return image

    def _source_index(self, slot: int) -> int:
        return ping_pong_index(slot, len(self.frames))
