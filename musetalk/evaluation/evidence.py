"""All that was seen and heard of one entry: what the metrics are computed from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from musetalk.evaluation.lip_sync import (
    MAX_LAG_SECONDS,
    aspect_curve,
    gap_curve,
    lag_curve,
    loudness_envelope,
    width_curve,
)
from musetalk.evaluation.pairing import Pairing
from musetalk.evaluation.silence import silent_frames
from musetalk.evaluation.track import FaceTrack
from musetalk.evaluation.values import NotMeasurable

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """What the user gave of one generated video.

    Attributes:
        name: How it is called in tables.
        generated: The video to score.
        source: The video that it was made from, with another mouth.
        reference: The truth: what a camera saw while the speech was spoken.
        audio: The speech; None: the generated video's own sound.
        other_audio: Another speech, as a control.
    """

    name: str
    generated: Path
    source: Path | None = None
    reference: Path | None = None
    audio: Path | None = None
    other_audio: Path | None = None


@dataclass(frozen=True, eq=False)
class Sound:
    """A speech.

    Attributes:
        path: Where it came from.
        samples: (n,) float32 mono at 16 kHz.
        seconds: Its exact length.
    """

    path: Path
    samples: np.ndarray
    seconds: Fraction


@dataclass(frozen=True, eq=False)
class Beside:
    """A source or reference beside the generated video.

    Attributes:
        track: Its own frames.
        pairing: Which of them belongs to which generated one.
        pairs: (n,) float64 by name of `FramePair`, n generated frames; NaN where nothing could be measured.
    """

    track: FaceTrack
    pairing: Pairing
    pairs: dict[str, np.ndarray]

    @cached_property
    def landmarks(self) -> np.ndarray:
        """(n, 68, 2) beside each generated frame, in its own pixels; NaN where there is no face or no frame."""
        paired = self.track.landmarks[np.maximum(self.pairing.index, 0)]
        return np.where(self.pairing.paired[:, None, None], paired, np.nan)


@dataclass(frozen=True, eq=False)
class SheetColumn:
    """One moment of the contact sheet.

    Attributes:
        seconds: When.
        pictures: (h, w, 3) uint8 BGR by row: generated, source, reference.
    """

    seconds: float
    pictures: dict[str, np.ndarray]


@dataclass(eq=False)
class Evidence:
    """What was measured of one entry.

    Attributes:
        entry: What the user gave.
        generated: The generated video's frames.
        source, reference: What was given beside it.
        audio: The speech; None where there is none.
        other_audio: The control.
        sheet: Moments to look at.
        models_dir: Where downloaded weights lie.
        device: Where networks run, as torch names it.
        remarks: What the user should know beside the numbers, one line each.
    """

    entry: Entry
    generated: FaceTrack
    source: Beside | None = None
    reference: Beside | None = None
    audio: Sound | None = None
    other_audio: Sound | None = None
    sheet: list[SheetColumn] = field(default_factory=list)
    models_dir: Path = Path("models")
    device: str = "cpu"
    remarks: list[str] = field(default_factory=list)
    _kept: dict[str, Any] = field(default_factory=dict)

    def once(self, name: str, compute: Callable[[], T]) -> T:
        """The result of a computation that several metrics share, or its `NotMeasurable`, found the first time."""
        if name not in self._kept:
            try:
                self._kept[name] = compute()
            except NotMeasurable as reason:
                self._kept[name] = reason
        found = self._kept[name]
        if isinstance(found, NotMeasurable):
            raise found
        return found

    @property
    def given_source(self) -> Beside:
        return _given(self.source, "--source")

    @property
    def given_reference(self) -> Beside:
        return _given(self.reference, "--reference")

    @property
    def yardstick(self) -> Beside:
        """The reference, without one the source."""
        return _given(self.reference or self.source, "--reference or --source")

    @property
    def sound(self) -> Sound:
        return _given(self.audio, "a sound: --audio, or a sound track in the generated video")

    @property
    def landmarks(self) -> np.ndarray:
        """Of the generated video, (n, 68, 2).

        Raises:
            NotMeasurable: No frame shows a face.
        """
        if not self.generated.seen.any():
            raise NotMeasurable("no face was found in the generated video")
        return self.generated.landmarks

    @cached_property
    def gaps(self) -> np.ndarray:
        return gap_curve(self.landmarks)

    @cached_property
    def widths(self) -> np.ndarray:
        return width_curve(self.landmarks)

    @cached_property
    def aspects(self) -> np.ndarray:
        return aspect_curve(self.landmarks)

    @cached_property
    def loudness(self) -> np.ndarray:
        """RMS of the speech in each frame, (n,); what the video has beyond the sound's end is silent."""
        return self.loudness_of(self.sound)

    def loudness_of(self, sound: Sound) -> np.ndarray:
        return loudness_envelope(sound.samples, self.generated.fps, self.generated.frames)

    @cached_property
    def silent(self) -> np.ndarray:
        return silent_frames(self.loudness, self.generated.fps)

    @property
    def lags(self) -> np.ndarray:
        """Lags that are tried, in frames."""
        most = int(MAX_LAG_SECONDS * self.generated.fps)
        return np.arange(-most, most + 1)

    @cached_property
    def loudness_lags(self) -> np.ndarray:
        """r of the lip gap with the loudness at every lag."""
        return lag_curve(self.gaps, self.loudness, int(self.lags[-1]))

    @property
    def notes(self) -> list[str]:
        """What was done to make things fit, and other remarks, one line each."""
        pairings = [beside.pairing for beside in (self.source, self.reference) if beside is not None]
        return [*(note for pairing in pairings for note in pairing.notes), *self.remarks]


def _given(found: T | None, name: str) -> T:
    if found is None:
        raise NotMeasurable(f"needs {name}")
    return found
