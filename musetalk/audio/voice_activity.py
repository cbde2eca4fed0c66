"""Is somebody speaking? Level against an adaptive noise floor, for deciding when an avatar may rest."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from musetalk.audio.windows import SAMPLE_RATE, frame_count

BLOCK_SAMPLES = SAMPLE_RATE // 100  # levels are taken every 10 ms
SILENCE_DB = -100.0
_LOWEST_HZ, _HIGHEST_HZ = 250, 4000  # where the power of voices lies, and that of hum does not
_MEDIAN = 5  # blocks: what is shorter than three of them, such as a click, leaves the median as it is
_MEDIAN_AHEAD = _MEDIAN // 2
_FLOOR_PIECE = 25  # blocks of one piece of the noise floor's memory
_DIPS = 2  # levels of a piece that may lie below the floor, such as where a sound sets in

_WINDOW = np.hanning(2 * BLOCK_SAMPLES + 1)[:-1]
_BAND = slice(_LOWEST_HZ * 2 * BLOCK_SAMPLES // SAMPLE_RATE, _HIGHEST_HZ * 2 * BLOCK_SAMPLES // SAMPLE_RATE + 1)
_FULL_SCALE = float(np.sum(_WINDOW**2)) * BLOCK_SAMPLES  # of one side of the spectrum


@dataclass(frozen=True)
class ActivitySettings:
    """Thresholds, in decibels of the power between 250 and 4000 Hz; that of a full-scale square wave is 0.

    Attributes:
        onset_db: Speech begins where the level is this far above the noise floor,
        least_db: and above this.
        offset_db: It ends where the level stays closer than this to the noise floor,
        hang_over: for so many samples: pauses between words are shorter.
        lowest_floor_db: The floor is not taken to be below this,
        highest_floor_db: nor above this: whoever talks or sings on and on is not noise.
        floor_seconds: The floor is the lowest level of so many seconds; speech drops to it more often.
        trust_seconds: In the beginning of a sound it is `lowest_floor_db`, until so much was heard.
    """

    onset_db: float = 7.0
    least_db: float = -50.0
    offset_db: float = 4.0
    hang_over: int = SAMPLE_RATE * 30 // 100
    lowest_floor_db: float = -70.0
    highest_floor_db: float = -26.0
    floor_seconds: int = 4
    trust_seconds: int = 1


class VoiceActivity:
    """Tells for each video frame whether there is voice in it. Memory is bounded; blocks of sound may have any size.

    Hum and offsets lie outside the band that is measured; clicks do not reach the median of 50 ms; steady noise becomes
    the floor; clipped speech is speech.

    Args:
        fps: Frames a second of the video.
        settings: Thresholds.
    """

    def __init__(self, fps: Fraction | int = Fraction(25), settings: ActivitySettings | None = None) -> None:
        self.fps = Fraction(fps)
        self.settings = settings or ActivitySettings()
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next sample is the first of a new sound."""
        self._rest = np.zeros(0, np.float32)
        self._before = np.zeros(BLOCK_SAMPLES, np.float32)
        self._samples = 0
        self._levels: deque[float] = deque([SILENCE_DB] * _MEDIAN_AHEAD, maxlen=_MEDIAN)
        self._pieces: deque[float] = deque(maxlen=max(100 * self.settings.floor_seconds // _FLOOR_PIECE, 1))
        self._piece: list[float] = []
        self._active = False
        self._quiet = 0  # samples since the level was last above the floor
        self._voiced: deque[bool] = deque()  # blocks decided, of frames that are not
        self._voiced_from = 0
        self.frames = 0

    @property
    def look_ahead_samples(self) -> int:
        """Samples beyond the end of a frame that its answer waits for, at most."""
        return (_MEDIAN_AHEAD + 1) * BLOCK_SAMPLES

    @property
    def floor_db(self) -> float:
        """The noise floor."""
        settings = self.settings
        if len(self._pieces) * _FLOOR_PIECE < 100 * settings.trust_seconds:
            return settings.lowest_floor_db
        return min(max(min(self._pieces), settings.lowest_floor_db), settings.highest_floor_db)

    def push(self, samples: np.ndarray) -> list[bool]:
        """Append (n,) float32 sound, 16 kHz mono in [-1, 1]; an answer for each frame that became known, in order."""
        samples = np.clip(np.nan_to_num(np.asarray(samples, np.float32), posinf=0.0, neginf=0.0), -1.0, 1.0)
        self._samples += len(samples)
        sound = np.concatenate([self._rest, samples])
        whole = len(sound) // BLOCK_SAMPLES * BLOCK_SAMPLES
        self._rest = sound[whole:].copy()
        for block in sound[:whole].reshape(-1, BLOCK_SAMPLES):
            self._decide(self._level(block))
        return self._answers()

    def finish(self) -> list[bool]:
        """The end of the sound: the answers of the remaining frames, frame_count(samples, fps) in all."""
        if len(self._rest):
            block = np.pad(self._rest, (0, BLOCK_SAMPLES - len(self._rest)), mode="edge")
            self._rest = self._rest[:0]
            self._decide(self._level(block))
        for _ in range(_MEDIAN_AHEAD):
            self._decide(SILENCE_DB)
        return self._answers()

    def _level(self, block: np.ndarray) -> float:
        """Of the 20 ms that end with a block."""
        spectrum = np.fft.rfft(np.concatenate([self._before, block]) * _WINDOW)[_BAND]
        self._before = block
        power = float(np.sum(spectrum.real**2 + spectrum.imag**2)) / _FULL_SCALE
        return max(10 * math.log10(power), SILENCE_DB) if power > 0 else SILENCE_DB

    def _decide(self, level: float) -> None:
        """Take a block's level; decides about the block two before it."""
        self._levels.append(level)
        if len(self._levels) < _MEDIAN:
            return
        smooth = sorted(self._levels)[_MEDIAN // 2]
        self._piece.append(smooth)
        if len(self._piece) == _FLOOR_PIECE:
            self._pieces.append(sorted(self._piece)[_DIPS])
            self._piece.clear()
        settings, floor = self.settings, self.floor_db
        if smooth > max(floor + settings.onset_db, settings.least_db):
            self._active, self._quiet = True, 0
        elif smooth > max(floor + settings.offset_db, settings.least_db + settings.offset_db - settings.onset_db):
            self._quiet = 0
        else:
            self._quiet += BLOCK_SAMPLES
            self._active = self._active and self._quiet <= settings.hang_over
        self._voiced.append(self._active)

    def _answers(self) -> list[bool]:
        found = []
        count = frame_count(self._samples, self.fps)
        while self.frames < count:
            first = int(self.frames * 100 / self.fps)
            end = math.ceil((self.frames + 1) * 100 / self.fps)
            if self._voiced_from + len(self._voiced) < end:
                break
            while self._voiced_from < first:
                self._voiced.popleft()
                self._voiced_from += 1
            found.append(any(self._voiced[k] for k in range(end - self._voiced_from)))
            self.frames += 1
        return found
