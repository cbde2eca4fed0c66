"""Does the mouth follow the sound? Lip curves of landmarks, loudness of speech, and how well the two agree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np

from musetalk.face.landmarks import CHIN, Face, FaceFinder

SAMPLE_RATE = 16000
INNER_UPPER, INNER_LOWER = (61, 62, 63), (67, 66, 65)
"""Inner lip points that face each other, 68-point layout."""
INNER_CORNERS, OUTER_CORNERS = (60, 64), (48, 54)
OUTER_EYE_CORNERS = (36, 45)
NOSE_BRIDGE = 27
CONTROL_SHIFTS = (2, 3, 4, 5, 6)
"""Eighths of its length by which a curve is turned round to make a control: other sound of the same kind."""
MAX_LAG_SECONDS = Fraction(3, 5)
"""As far as SyncNet's 15 frames of 25 fps."""
LEAST_FRAMES = 3
"""A correlation of fewer says nothing."""


def gap_curve(landmarks: np.ndarray) -> np.ndarray:
    """The lip gap of each frame: mean distance of the inner lips as a share of the distance from nose bridge to chin.

    Args:
        landmarks: (n, 68, 2) pixels; NaN where a frame has no face.

    Returns:
        (n,) float64, NaN where there is no face.
    """
    return _inner_distance(landmarks) / np.maximum(_distance(landmarks, CHIN, NOSE_BRIDGE), 1e-6)


def width_curve(landmarks: np.ndarray) -> np.ndarray:
    """The lip width of each frame: mouth corner to mouth corner as a share of the distance of the outer eye corners."""
    return _distance(landmarks, *OUTER_CORNERS) / np.maximum(_distance(landmarks, *OUTER_EYE_CORNERS), 1e-6)


def aspect_curve(landmarks: np.ndarray) -> np.ndarray:
    """The mouth aspect ratio of each frame: mean distance of the inner lips over the distance of their corners."""
    return _inner_distance(landmarks) / np.maximum(_distance(landmarks, *INNER_CORNERS), 1e-6)


def _inner_distance(landmarks: np.ndarray) -> np.ndarray:
    return np.linalg.norm(landmarks[:, INNER_UPPER] - landmarks[:, INNER_LOWER], axis=2).mean(axis=1)


def _distance(landmarks: np.ndarray, first: int, second: int) -> np.ndarray:
    return np.linalg.norm(landmarks[:, first] - landmarks[:, second], axis=1)


def lip_gap(face: Face) -> float:
    """`gap_curve` of one face."""
    return float(gap_curve(face.landmarks[None])[0])


def lip_gaps(frames: Iterable[np.ndarray], finder: FaceFinder) -> np.ndarray:
    """Lip gap of every BGR frame, (n,) float64; NaN where there is no face."""
    gaps = []
    for frame in frames:
        face = finder.find([frame])[0]
        gaps.append(np.nan if face is None else lip_gap(face))
    return np.asarray(gaps, np.float64)


def loudness_envelope(samples: np.ndarray, fps: Fraction, frames: int) -> np.ndarray:
    """RMS of mono float samples at 16 kHz in each of `frames` video frames, (frames,) float64; 0 after the end."""
    envelope = np.zeros(frames)
    for index in range(frames):
        piece = samples[int(index * SAMPLE_RATE / fps) : int((index + 1) * SAMPLE_RATE / fps)]
        if len(piece):
            envelope[index] = np.sqrt(np.mean(np.square(piece, dtype=np.float64)))
    return envelope


def correlation(gaps: np.ndarray, envelope: np.ndarray) -> float:
    """Pearson r over the frames in which both are known (not NaN); 0 where one of them does not vary."""
    count = min(len(gaps), len(envelope))
    gaps, envelope = gaps[:count], envelope[:count]
    seen = np.isfinite(gaps) & np.isfinite(envelope)
    if seen.sum() < LEAST_FRAMES or np.ptp(gaps[seen]) == 0 or np.ptp(envelope[seen]) == 0:
        return 0.0
    return float(np.corrcoef(gaps[seen], envelope[seen])[0, 1])


def control_correlation(curve: np.ndarray, other: np.ndarray, eighths: Sequence[int] = CONTROL_SHIFTS) -> float:
    """Mean r with the other curve turned round by 2/8 … 6/8 of the common length: what chance and habit give."""
    count = min(len(curve), len(other))
    turned = (np.roll(other[:count], count * part // 8) for part in eighths)
    return float(np.mean([correlation(curve[:count], one) for one in turned]))


def lag_curve(curve: np.ndarray, other: np.ndarray, max_lag: int) -> np.ndarray:
    """(2 · max_lag + 1,) r of curve[t] with other[t − lag], lag from −max_lag up; positive: the curve comes late."""
    count = min(len(curve), len(other))
    curve, other = curve[:count], other[:count]
    found = []
    for lag in range(-max_lag, max_lag + 1):
        late, early = max(lag, 0), max(-lag, 0)
        found.append(correlation(curve[late : max(count - early, 0)], other[early : max(count - late, 0)]))
    return np.array(found)


def best_lag(curve: np.ndarray) -> int:
    """Where a `lag_curve` is highest, in frames; the lag nearest to 0 of equal ones."""
    middle = len(curve) // 2
    nearest_first = sorted(range(len(curve)), key=lambda index: abs(index - middle))
    return max(nearest_first, key=lambda index: float(curve[index])) - middle
