"""Which faces of a video are scored and how they are cut out, as the published pipeline does it (pure arithmetic).

A shot is cut into tracks by overlap of detections from frame to frame; tracks are interpolated, smoothed by a median
and cut out as squares of 224 pixels in which the mouth lies at a known place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.signal import medfilt

from musetalk.evaluation.lse.network import FACE_SIZE
from musetalk.face.boxes import overlap

DETECTION_SCORE = 0.9
DETECTION_SCALE = 0.25
SUPPRESSION_IOU = 0.1
SAME_FACE_IOU = 0.5
LONGEST_GAP = 25  # frames without a detection inside a track
SHORTEST_TRACK = 100  # a track needs more detections than this
SMALLEST_FACE = 100  # pixels: mean width or height of a track
CROP_SCALE = 0.40
MEDIAN = 13  # frames
BORDER = 110  # grey level outside the frame
CUT_THRESHOLD = 30.0
"""Mean change of hue, saturation and value between two frames that makes a cut (PySceneDetect 0.5's default)."""
SHORTEST_SHOT = 15
SCENE_WIDTH = 200
"""Cuts are looked for in frames thinned out to about this width."""

FrameBoxes = Sequence[tuple[float, float, float, float]]


@dataclass(frozen=True, eq=False)
class Track:
    """One face over consecutive frames.

    Attributes:
        first: Its first frame.
        centres: (n, 2) float64 x, y in pixels, smoothed.
        halves: (n,) half the longer side of the face, smoothed.
    """

    first: int
    centres: np.ndarray
    halves: np.ndarray

    @property
    def end(self) -> int:
        return self.first + len(self.halves)


def suppress(candidates: np.ndarray) -> list[tuple[float, float, float, float]]:
    """The certain faces of a frame, most certain first, without those that overlap a more certain one.

    Args:
        candidates: (N, 5) x1, y1, x2, y2, score.
    """
    if not candidates.size:
        return []
    certain = candidates[candidates[:, 4] > DETECTION_SCORE]
    kept: list[tuple[float, float, float, float]] = []
    for x1, y1, x2, y2 in certain[np.argsort(-certain[:, 4], kind="stable")][:, :4].tolist():
        if all(overlap((x1, y1, x2, y2), other) <= SUPPRESSION_IOU for other in kept):
            kept.append((x1, y1, x2, y2))
    return kept


def thin_out(frame: np.ndarray) -> np.ndarray:
    """A BGR frame as HSV for `is_cut`: every k-th pixel, so that about 200 are left across."""
    step = max(frame.shape[1] // SCENE_WIDTH, 1)
    return cv2.cvtColor(np.ascontiguousarray(frame[::step, ::step]), cv2.COLOR_BGR2HSV)


def is_cut(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether two frames of `thin_out` belong to different shots."""
    change = np.abs(after.astype(np.int16) - before).mean(axis=(0, 1))
    return bool(change.mean() >= CUT_THRESHOLD)


def shots(cuts: Sequence[int], frames: int) -> list[tuple[int, int]]:
    """(first, end) of each shot.

    Args:
        cuts: Frames that begin something new, ascending; one that comes less than 15 frames after the last is no cut.
        frames: How many frames there are.
    """
    begins = [0]
    for cut in cuts:
        if cut - begins[-1] >= SHORTEST_SHOT:
            begins.append(cut)
    return list(zip(begins, [*begins[1:], frames], strict=True))


def find_tracks(detections: Sequence[FrameBoxes], bounds: Sequence[tuple[int, int]]) -> list[Track]:
    """The tracks that are scored.

    Args:
        detections: Boxes of each frame, most certain first.
        bounds: (first, end) of each shot.
    """
    found = []
    for first, end in bounds:
        if end - first >= SHORTEST_TRACK:
            found += _tracks_of_shot(detections, first, end)
    return found


def _tracks_of_shot(detections: Sequence[FrameBoxes], first: int, end: int) -> list[Track]:
    left = [list(boxes) for boxes in detections[first:end]]
    tracks = []
    while any(left):
        frames: list[int] = []
        boxes: list[tuple[float, float, float, float]] = []
        for frame, candidates in enumerate(left):
            if frames and frame - frames[-1] > LONGEST_GAP:
                break
            match = next((box for box in candidates if not boxes or overlap(box, boxes[-1]) > SAME_FACE_IOU), None)
            if match is not None:
                candidates.remove(match)
                frames.append(frame)
                boxes.append(match)
        track = _track(np.array(frames) + first, np.array(boxes))
        if track is not None:
            tracks.append(track)
    return tracks


def _track(frames: np.ndarray, boxes: np.ndarray) -> Track | None:
    """A track with every frame filled in, or None where it is too short or too small."""
    if len(frames) <= SHORTEST_TRACK:
        return None
    every = np.arange(frames[0], frames[-1] + 1)
    x1, y1, x2, y2 = (np.interp(every, frames, edge) for edge in boxes.T)
    if max((x2 - x1).mean(), (y2 - y1).mean()) <= SMALLEST_FACE:
        return None
    centres = np.stack([medfilt((x1 + x2) / 2, MEDIAN), medfilt((y1 + y2) / 2, MEDIAN)], axis=1)
    return Track(int(every[0]), centres, medfilt(np.maximum(x2 - x1, y2 - y1) / 2, MEDIAN))


def cut_face(frame: np.ndarray, centre: np.ndarray, half: float) -> np.ndarray:
    """The square that the network sees, (224, 224, 3) uint8 BGR; grey outside the frame.

    Across it reaches 1.4 halves to each side of the centre, up 1 half and down 1.8: the mouth lies in its middle.
    """
    border = int(half * (1 + 2 * CROP_SCALE))
    padded = cv2.copyMakeBorder(
        frame, border, border, border, border, cv2.BORDER_CONSTANT, value=(BORDER, BORDER, BORDER)
    )
    x, y = centre[0] + border, centre[1] + border
    top, bottom = int(y - half), int(y + half * (1 + 2 * CROP_SCALE))
    left, right = int(x - half * (1 + CROP_SCALE)), int(x + half * (1 + CROP_SCALE))
    face = padded[max(top, 0) : bottom, max(left, 0) : right]
    return cv2.resize(face, (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_LINEAR)
