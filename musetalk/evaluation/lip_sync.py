"""Does the mouth follow the sound? The lip gap over time against the loudness of the speech."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from musetalk.face.landmarks import Face, FaceFinder

SAMPLE_RATE = 16000
INNER_UPPER, INNER_LOWER = (61, 62, 63), (67, 66, 65)
"""Inner lip points that face each other, 68-point layout."""
NOSE_BRIDGE, CHIN = 27, 8


def lip_gap(face: Face) -> float:
    """Distance of the inner lips as a share of the distance from nose bridge to chin."""
    points = face.landmarks
    gap = np.linalg.norm(points[list(INNER_UPPER)] - points[list(INNER_LOWER)], axis=1).mean()
    return float(gap / max(np.linalg.norm(points[CHIN] - points[NOSE_BRIDGE]), 1e-6))


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
    """Pearson r over the frames that both have and in which a face was found; 0 where one of them does not vary."""
    count = min(len(gaps), len(envelope))
    gaps, envelope = gaps[:count], envelope[:count]
    seen = np.isfinite(gaps)
    if seen.sum() < 3 or np.ptp(gaps[seen]) == 0 or np.ptp(envelope[seen]) == 0:
        return 0.0
    return float(np.corrcoef(gaps[seen], envelope[seen])[0, 1])


@dataclass(frozen=True)
class LipSync:
    """Correlation of the lip gap with the loudness of its own speech and of another speech."""

    own: float
    other: float | None
    frames: int
    faces: int
