"""Which parts of a window become clips, and why others do not. No files here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from musetalk.face.boxes import SAME_SHOT_IOU, overlap
from musetalk.training.clip_meta import median_face_size
from musetalk.training.preprocess.faces import Track
from musetalk.training.preprocess.settings import PreprocessConfig

CUT_UNIT = 25
"""Frames from one key frame of the 25 fps video to the next: it can be cut there without being encoded again."""
LONGEST_GAP = 25
"""Frames without a face that a clip goes on through; a longer stretch ends it."""

NO_FACE = "no face"
RARELY_A_FACE = "no face in too many frames"
SEVERAL_PEOPLE = "several people"
FACE_TOO_SMALL = "face too small"
OUT_OF_SYNC = "out of sync"
TOO_SHORT = "too short"
UNREADABLE = "unreadable"
NO_SOUND = "no sound"
REASONS = (
    NO_FACE, RARELY_A_FACE, SEVERAL_PEOPLE, FACE_TOO_SMALL, OUT_OF_SYNC, TOO_SHORT, UNREADABLE, NO_SOUND,
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """A part of a window: frames start … stop - 1 of the window, and why it is dropped (None: it is a clip)."""

    name: str
    start: int
    stop: int
    reason: str | None


def shots(detections: np.ndarray) -> list[tuple[int, int]]:
    """Stretches in which one face is followed: (first frame, frame after the last), in order.

    A stretch ends where the face jumps: where its box overlaps the last one seen by less than `SAME_SHOT_IOU`, as at a
    cut, a change of camera or when another person is the most prominent one. It also ends where no face is seen for
    more than `LONGEST_GAP` frames. Ends are moved inward to multiples of `CUT_UNIT`, so a jump costs a second or two
    of picture; the first and the last frame of all are ends too.

    Args:
        detections: (n, 4) boxes, NaN where there is no face.
    """
    count = len(detections)
    seen = np.flatnonzero(np.isfinite(detections).all(axis=1)).tolist()
    stretches: list[list[int]] = []
    for index in seen:
        if stretches and _continues(detections, stretches[-1][1], index):
            stretches[-1][1] = index
        else:
            stretches.append([index, index])
    if stretches and stretches[0][0] <= LONGEST_GAP:
        stretches[0][0] = 0
    if stretches and count - 1 - stretches[-1][1] <= LONGEST_GAP:
        stretches[-1][1] = count - 1
    ends = [(-(-first // CUT_UNIT) * CUT_UNIT, _cut_before(last + 1, count)) for first, last in stretches]
    return [(start, stop) for start, stop in ends if start < stop]


def _continues(detections: np.ndarray, before: int, index: int) -> bool:
    if index - before - 1 > LONGEST_GAP:
        return False
    return overlap(detections[before].tolist(), detections[index].tolist()) >= SAME_SHOT_IOU


def _cut_before(stop: int, count: int) -> int:
    return stop if stop == count else stop // CUT_UNIT * CUT_UNIT


def parts(name: str, track: Track, config: PreprocessConfig) -> list[Part]:
    """The clips of a window: the window itself, or its shots, called <name>_part0, <name>_part1 …"""
    count = len(track)
    if count < config.min_clip_frames:
        return [Part(name, 0, count, TOO_SHORT)]
    stretches = shots(track.detections)
    if stretches in ([], [(0, count)]):
        return [Part(name, 0, count, reason_to_drop(track, config))]
    return [
        Part(f"{name}_part{number}", start, stop, reason_to_drop(track[start:stop], config))
        for number, (start, stop) in enumerate(stretches)
    ]


def reason_to_drop(track: Track, config: PreprocessConfig) -> str | None:
    """Why a stretch of frames is not to be trained on, by its faces; None when it is."""
    seen = np.isfinite(track.detections).all(axis=1)
    if not seen.any():
        return NO_FACE
    if len(track) < config.min_clip_frames:
        return TOO_SHORT
    if seen.mean() < config.min_face_share:
        return RARELY_A_FACE
    counted = track.counts[track.counts >= 0]
    if len(counted) and (counted > 1).mean() > config.max_several_faces:
        return SEVERAL_PEOPLE
    if median_face_size(track.detections)[1] < config.min_face_size:
        return FACE_TOO_SMALL
    return None
