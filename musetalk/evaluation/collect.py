"""Seeing and hearing an entry: faces once per video, then generated frames and those beside them in step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass, field, fields
from fractions import Fraction
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from musetalk.errors import InputError
from musetalk.evaluation.evidence import Beside, Entry, Evidence, SheetColumn, Sound
from musetalk.evaluation.pairing import Pairing, pair_reference, pair_source, read_paired
from musetalk.evaluation.pictures import UNKNOWN, FramePair, compare
from musetalk.evaluation.regions import regions, square_around
from musetalk.evaluation.track import FaceTrack, measure_track
from musetalk.face.landmarks import Face, FaceFinder
from musetalk.face.masks import cut_crop
from musetalk.media.audio_file import probe_audio, read_audio
from musetalk.media.frames import open_source

SHEET_COLUMNS = 10
SHEET_SIDE = 180
"""Pixels of a picture of the contact sheet."""

BARS = ("faces", "pictures")


def check_entry(entry: Entry) -> int:
    """Look at every file of an entry before the slow work.

    Returns:
        About how many frames all of them have.

    Raises:
        InputError: One cannot be used; the first is named.
    """
    videos = [path for path in (entry.generated, entry.source, entry.reference) if path is not None]
    frames = sum(open_source(path).info.frame_estimate or 1 for path in videos)
    for sound in (entry.audio, entry.other_audio):
        if sound is not None:
            probe_audio(sound)
    return frames


@dataclass
class Collector:
    """Collects the evidence of entries; a video that several of them name is looked at once.

    Attributes:
        finder: Whose landmarks are measured.
        models_dir: Where downloaded weights lie.
        device: Where networks run.
        advance: Called with the name of a bar after each frame.
    """

    finder: FaceFinder
    models_dir: Path = Path("models")
    device: str = "cpu"
    advance: Callable[[str], None] = lambda bar: None
    _tracks: dict[tuple[Path, Fraction | None], FaceTrack] = field(default_factory=dict)

    def track(self, path: Path, fps: Fraction | None = None) -> FaceTrack:
        """The faces of a video.

        Raises:
            InputError: Its frames cannot be read.
        """
        key = path.absolute(), fps
        if key not in self._tracks:
            found = measure_track(path, self.finder, fps, lambda: self.advance("faces"))
            self._tracks[key] = self._tracks[path.absolute(), found.fps] = found
            if found.fps == found.own_fps:
                self._tracks[path.absolute(), None] = found
        return self._tracks[key]

    def collect(self, entry: Entry) -> Evidence:
        """Everything of an entry that needs no downloaded weights.

        Raises:
            InputError: A file cannot be read.
        """
        generated = self.track(entry.generated)
        evidence = Evidence(entry, generated, models_dir=self.models_dir, device=self.device)
        if entry.audio is not None:
            evidence.audio = self._sound(entry.audio)
        else:
            self._take_own_sound(evidence)
        if entry.other_audio is not None:
            evidence.other_audio = self._sound(entry.other_audio)
        others: dict[str, tuple[FaceTrack, Pairing]] = {}
        if entry.source is not None:
            track = self.track(entry.source, generated.fps)
            others["source"] = track, pair_source(generated, track)
        if entry.reference is not None:
            track = self.track(entry.reference, generated.fps)
            others["reference"] = track, pair_reference(generated, track)
        pairs, evidence.sheet = self._compare(generated, others)
        for name, (track, pairing) in others.items():
            setattr(evidence, name, Beside(track, pairing, pairs[name]))
        return evidence

    def _sound(self, path: Path) -> Sound:
        return Sound(path, read_audio(path), probe_audio(path).duration)

    def _take_own_sound(self, evidence: Evidence) -> None:
        """The generated video's sound track; one without a usable one can still be looked at, which is said."""
        path = evidence.entry.generated
        if not path.is_file():
            return
        try:
            evidence.audio = self._sound(path)
        except InputError as error:
            evidence.remarks.append(error.what)

    def _compare(
        self, generated: FaceTrack, others: dict[str, tuple[FaceTrack, Pairing]]
    ) -> tuple[dict[str, dict[str, np.ndarray]], list[SheetColumn]]:
        """Go through all videos in step: numbers of each pair by name, and the contact sheet."""
        size = generated.width, generated.height
        faces = generated.faces()
        partners = {name: _partners(track, pairing, size) for name, (track, pairing) in others.items()}
        streams = {
            name: read_paired(track.path, generated.fps, pairing, size) for name, (track, pairing) in others.items()
        }
        shown = set(sheet_frames(generated).tolist())
        rows: dict[str, list[FramePair]] = {name: [] for name in others}
        sheet: list[SheetColumn] = []
        for index, frame in enumerate(islice(open_source(generated.path).frames(), generated.frames)):
            beside = {name: next(stream, None) for name, stream in streams.items()}
            for name, other in beside.items():
                rows[name].append(_pair(frame, other, faces[index], partners[name][index]))
            if index in shown:
                sheet.append(_column(float(index / generated.fps), faces[index], frame, beside))
            self.advance("pictures")
        names = [entry.name for entry in fields(FramePair)]
        tables = {name: np.array([astuple(row) for row in found], np.float64) for name, found in rows.items()}
        return {name: dict(zip(names, table.T, strict=True)) for name, table in tables.items()}, sheet


def _partners(track: FaceTrack, pairing: Pairing, size: tuple[int, int]) -> list[Face | None]:
    """The smoothed face beside each generated frame, in the generated video's pixels."""
    scale = np.array([size[0] / track.width, size[1] / track.height])
    smooth = track.smooth_faces()
    scaled: list[Face | None] = []
    for face in smooth:
        if face is None or face.detection is None:
            scaled.append(None)
        else:
            x1, y1, x2, y2 = (np.array(face.detection) * np.tile(scale, 2)).tolist()
            scaled.append(Face(face.landmarks * scale, (x1, y1, x2, y2)))
    return [scaled[index] if index >= 0 else None for index in pairing.index.tolist()]


def _pair(frame: np.ndarray, beside: np.ndarray | None, face: Face | None, partner: Face | None) -> FramePair:
    if beside is None or partner is None:
        return UNKNOWN
    shape = frame.shape[0], frame.shape[1]
    parts = regions((partner, face) if face is not None else (partner,), shape)
    return UNKNOWN if parts is None else compare(frame, beside, parts)


def sheet_frames(track: FaceTrack) -> np.ndarray:
    """Frames for the contact sheet, spread evenly over those that show a face (over all where none does)."""
    seen = np.flatnonzero(track.seen)
    candidates = seen if len(seen) else np.arange(track.frames)
    middles = (np.arange(SHEET_COLUMNS) + 0.5) / SHEET_COLUMNS * len(candidates)
    return np.unique(candidates[middles.astype(int)])


def _column(seconds: float, face: Face | None, frame: np.ndarray, beside: dict[str, np.ndarray | None]) -> SheetColumn:
    if face is not None:
        square = square_around(face)
    else:
        square = 0, 0, frame.shape[1], frame.shape[0]
    pictures = {"generated": frame, **{name: other for name, other in beside.items() if other is not None}}
    small = {
        name: cv2.resize(cut_crop(picture, square), (SHEET_SIDE, SHEET_SIDE), interpolation=cv2.INTER_AREA)
        for name, picture in pictures.items()
    }
    return SheetColumn(seconds, small)
