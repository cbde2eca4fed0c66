"""The faces of consecutive frames: found, or read from the truth beside a rendered video; kept in a file."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np

from musetalk.errors import InputError
from musetalk.face.landmarks import LANDMARK_COUNT, Face, FaceCounter, FaceFinder
from musetalk.synthetic.mouth_channels import CHANNELS
from musetalk.training.clip_store import region_box
from musetalk.training.files import replacing

BATCH = 8
COUNT_EVERY = 5
"""Every how many frames faces are counted."""
FOREHEAD = 0.16
"""What a detected box reaches above the brows, over the height of the 68 landmarks; measured with MediaPipe on the
demo's presenter (0.14), a photo (0.16) and a video (0.19)."""


class CountingFinder(FaceFinder, FaceCounter, Protocol):
    """Finds the most prominent face, and tells whether it is alone."""


@dataclass(frozen=True, eq=False)
class Track:
    """The face of each of n frames.

    Attributes:
        detections: (n, 4) float32 x1, y1, x2, y2 in pixels; NaN where there is no face.
        landmarks: (n, 68, 2) float32; NaN where there is no face.
        counts: (n,) int16 faces in the frame; -1 where they were not counted.
        frame_size: (height, width).
        mouths: (n, C) float32, true mouths by `mouth_channels.CHANNELS`; None: unknown.
    """

    detections: np.ndarray
    landmarks: np.ndarray
    counts: np.ndarray
    frame_size: tuple[int, int]
    mouths: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.detections)

    def __getitem__(self, frames: slice) -> Track:
        faces = (self.detections[frames], self.landmarks[frames], self.counts[frames])
        return Track(*faces, self.frame_size, None if self.mouths is None else self.mouths[frames])

    def face(self, index: int) -> Face | None:
        """The face of one frame."""
        if not np.isfinite(self.detections[index]).all():
            return None
        x1, y1, x2, y2 = (float(edge) for edge in self.detections[index])
        return Face(self.landmarks[index].astype(np.float64), (x1, y1, x2, y2))


def kept_face(face: Face | None, frame_size: tuple[int, int]) -> Face | None:
    """The face as a track holds it, in float32; None where it has no size or is outside of its frame."""
    if face is None or face.detection is None:
        return None
    x1, y1, x2, y2 = np.array(face.detection, np.float32).tolist()
    kept = Face(face.landmarks.astype(np.float32).astype(np.float64), (x1, y1, x2, y2))
    return kept if x2 - x1 >= 1 and y2 - y1 >= 1 and region_box(kept, frame_size) is not None else None


def _track(faces: Sequence[Face | None], counts: Sequence[int], frame_size: tuple[int, int]) -> Track:
    nothing = np.full((LANDMARK_COUNT, 2), np.nan)
    return Track(
        np.array([(np.nan,) * 4 if face is None else face.detection for face in faces], np.float32).reshape(-1, 4),
        np.array([nothing if face is None else face.landmarks for face in faces], np.float32).reshape(
            -1, LANDMARK_COUNT, 2
        ),
        np.array(counts, np.int16),
        frame_size,
    )


def no_track(frames: int, frame_size: tuple[int, int]) -> Track:
    """The track of frames that nobody has looked at."""
    return _track([None] * frames, [-1] * frames, frame_size)


def find_track(
    frames: Iterable[np.ndarray],
    finder: CountingFinder,
    frame_size: tuple[int, int],
    seen: Callable[[np.ndarray, Face | None], None] = lambda frame, face: None,
) -> Track:
    """The most prominent face of each frame, and in every fifth frame how many there are.

    Args:
        frames: BGR uint8 (H, W, 3); not all are held at once.
        finder: Finds and counts.
        frame_size: (H, W).
        seen: Given each frame with its face, in order.
    """
    faces: list[Face | None] = []
    counts: list[int] = []
    for batch in _batches(frames):
        found = [kept_face(face, frame_size) for face in finder.find(batch)]
        number = [0 if face is None else -1 for face in found]
        due = [
            (place, face)
            for place, face in enumerate(found)
            if face is not None and (len(faces) + place) % COUNT_EVERY == 0
        ]
        answers = finder.count([batch[place] for place, _ in due], [face for _, face in due]) if due else []
        for (place, _), answer in zip(due, answers, strict=True):
            number[place] = answer
        for frame, face in zip(batch, found, strict=True):
            seen(frame, face)
        faces += found
        counts += number
    return _track(faces, counts, frame_size)


def _batches(frames: Iterable[np.ndarray]) -> Iterator[list[np.ndarray]]:
    iterator = iter(frames)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def read_truth(path: Path, frames: int) -> tuple[np.ndarray, np.ndarray | None]:
    """The true landmarks of a rendered video, (frames, 68, 2) float32 pixels at 25 fps; NaN where there is no face. And
    its true mouths, (frames, C) float32 by `mouth_channels.CHANNELS`; None where the file holds none.

    Raises:
        InputError: The file is missing or damaged, or an array is not of that shape.
    """
    count = len(CHANNELS)
    fix = (
        f"landmarks: truth needs an array `landmarks` ({frames}, 68, 2) of pixels at 25 fps in this file, and takes "
        f"`mouths` ({frames}, {count})."
    )
    try:
        with np.load(path, allow_pickle=False) as data:
            if not hasattr(data, "files") or "landmarks" not in data.files:
                raise InputError(f"{path}: holds no `landmarks`", fix)
            landmarks = data["landmarks"]
            mouths = data["mouths"] if "mouths" in data.files else None
    except FileNotFoundError:
        raise InputError(f"{path}: no such file", fix) from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read: {' '.join(str(error).split())}", fix) from None
    if landmarks.shape != (frames, LANDMARK_COUNT, 2) or landmarks.dtype.kind != "f":
        raise InputError(f"{path}: landmarks are {landmarks.shape} {landmarks.dtype}", fix)
    if mouths is None:
        return landmarks.astype(np.float32), None
    if mouths.shape != (frames, count) or mouths.dtype.kind != "f" or not np.isfinite(mouths).all():
        raise InputError(f"{path}: mouths are {mouths.shape} {mouths.dtype}, or not all of them are numbers", fix)
    return landmarks.astype(np.float32), mouths.astype(np.float32)


def truth_track(landmarks: np.ndarray, mouths: np.ndarray | None, frame_size: tuple[int, int]) -> Track:
    """A track of known landmarks (n, 68, 2) and mouths (n, C).

    Detections are what a detector would say: the landmarks and a forehead.
    """
    height, width = frame_size

    def face(points: np.ndarray) -> Face | None:
        if not np.isfinite(points).all():
            return None
        (x1, y1), (x2, y2) = points.min(axis=0), points.max(axis=0)
        y1 -= FOREHEAD * (y2 - y1)
        return Face(points, (max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))))

    faces = [kept_face(face(points), frame_size) for points in landmarks.astype(np.float64)]
    return replace(_track(faces, [0 if one is None else -1 for one in faces], frame_size), mouths=mouths)


def save_track(path: Path, track: Track, settings: str) -> None:
    """Keep a track, with the fingerprint of what it was made from.

    Raises:
        OutputError: It cannot be written.
    """
    with replacing(path) as file:
        np.savez(
            file,
            detections=track.detections,
            landmarks=track.landmarks,
            counts=track.counts,
            frame_size=np.array(track.frame_size),
            **({} if track.mouths is None else {"mouths": track.mouths}),
            settings=np.array(settings),
        )


def load_track(path: Path, settings: str) -> Track | None:
    """A track that was made from the same; None where there is none, or it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as data:
            if str(data["settings"]) != settings:
                return None
            height, width = data["frame_size"].tolist()
            mouths = data["mouths"] if "mouths" in data.files else None
            return Track(data["detections"], data["landmarks"], data["counts"], (height, width), mouths)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
