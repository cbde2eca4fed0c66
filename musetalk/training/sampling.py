"""Which frames make a sample, and how far a box is lowered: pure functions of landmarks and a random generator.

Informative frame sampling (published): the reference of a frame has its head in a similar place but its mouth in
another shape, so that copying the reference's mouth is never right.
"""

from __future__ import annotations

import numpy as np

from musetalk.face.landmarks import JAW

POSE = slice(JAW.start, JAW.stop - 1)
"""Jaw landmarks 0…15 (published: the last one is left out), which tell two poses apart."""
MOUTH = slice(60, 67)
"""Inner lip landmarks 60…66 (published: the last one is left out), which tell two mouths apart."""
SCALE = 256
"""Side of the square that each face is scaled to before landmarks are compared (published)."""
MIN_DISTANCE = 5
"""Frames that lie at least between a target and its reference (published)."""
FALLBACK_REACH = 5
"""Where no frame qualifies, a random one is taken within this many sample lengths (published)."""
MIN_CLIP_LENGTHS = 10
"""A clip gives samples of T frames if it has at least this many times T frames (published)."""


def comparable_landmarks(landmarks: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Jaw and inner lips of each frame in its own face, scaled to SCALE: what frames are compared by.

    Args:
        landmarks: (n, 68, 2) in pixels of the frame.
        boxes: (n, 4) face boxes x1, y1, x2, y2; published: `crops.union_boxes`.

    Returns:
        (n, 23, 2) float64: the 16 of POSE, then the 7 of MOUTH.
    """
    points = np.concatenate([landmarks[:, POSE], landmarks[:, MOUTH]], axis=1).astype(np.float64)
    boxes = np.asarray(boxes, np.float64)
    return (points - boxes[:, None, :2]) * SCALE / (boxes[:, None, 2:] - boxes[:, None, :2])


def rank_frames(points: np.ndarray, target: int) -> tuple[np.ndarray, np.ndarray]:
    """All frames but the target, those of the most similar pose first, and those of the most different mouth first.

    The distance of two frames is the sum of the distances of their landmarks; ties keep the order of time (published).

    Args:
        points: (n, 23, 2) from `comparable_landmarks`.
        target: Index into them.

    Returns:
        Two (n − 1,) arrays of indices.
    """
    distance = np.sqrt(((points - points[target]) ** 2).sum(axis=2))
    pose = POSE.stop - POSE.start
    similar = np.argsort(distance[:, :pose].sum(axis=1), kind="stable")
    different = np.argsort(-distance[:, pose:].sum(axis=1), kind="stable")
    return similar[similar != target], different[different != target]


def informative_frames(points: np.ndarray, target: int, top_k_ratio: float) -> np.ndarray:
    """Frames that are both among the most similar in pose and among the most different in mouth, in order of time.

    Args:
        points: (n, 23, 2) from `comparable_landmarks`.
        target: Index into them.
        top_k_ratio: Share of the n frames that each of the two rankings keeps (published: 0.51).
    """
    count = int(top_k_ratio * len(points))
    similar, different = rank_frames(points, target)
    return np.intersect1d(similar[:count], different[:count], assume_unique=True)


def frames_nearby(usable: np.ndarray, target: int, length: int) -> np.ndarray:
    """Usable frames at least MIN_DISTANCE and at most FALLBACK_REACH · length frames from the target.

    Args:
        usable: (k,) numbers of the frames that may be a reference, ascending.
        target: Number of the target frame.
        length: Frames of the sample.
    """
    distance = np.abs(usable - target)
    return usable[(distance >= MIN_DISTANCE) & (distance <= FALLBACK_REACH * length)]


def choose_reference(
    rng: np.random.Generator,
    usable: np.ndarray,
    points: np.ndarray | None,
    target: int,
    length: int,
    top_k_ratio: float,
) -> int | None:
    """The number of the reference frame of a target, at least MIN_DISTANCE frames away.

    One of the informative frames; where there is none, any frame nearby; where faces are missing there too, any
    usable frame of the clip.

    Args:
        rng: Random numbers; one is drawn.
        usable: (k,) numbers of the frames that may be a reference, ascending; the target is one of them.
        points: (k, 23, 2) of the usable frames, from `comparable_landmarks`; None: sample method `random`, which takes
            any frame nearby.
        target: Number of the target frame.
        length: Frames of the sample.
        top_k_ratio: See `informative_frames`.

    Returns:
        None where every usable frame is too close.
    """
    candidates = np.zeros(0, np.int64)
    if points is not None:
        candidates = usable[informative_frames(points, int(np.searchsorted(usable, target)), top_k_ratio)]
        candidates = candidates[np.abs(candidates - target) >= MIN_DISTANCE]
    if not len(candidates):
        candidates = frames_nearby(usable, target, length)
    if not len(candidates):
        candidates = usable[np.abs(usable - target) >= MIN_DISTANCE]
    return int(candidates[rng.integers(len(candidates))]) if len(candidates) else None


def sample_starts(usable: np.ndarray, length: int) -> np.ndarray:
    """Frames from which `length` consecutive frames are usable, ascending.

    Args:
        usable: (n,) bool, one for each frame of the clip.
        length: Frames of a sample.
    """
    total = np.concatenate([[0], np.cumsum(usable)])
    return np.flatnonzero(total[length:] - total[: max(len(total) - length, 0)] == length)


def long_enough(frames: int, length: int) -> bool:
    """Whether a clip of this many frames gives samples of `length` frames (published)."""
    return frames >= MIN_CLIP_LENGTHS * length


def draw_margin(rng: np.random.Generator, mean: float, std: float) -> float:
    """Pixels of the frame that a box's lower edge is moved down: N(mean, std), within mean ± std and not negative."""
    return max(0.0, min(max(rng.normal(mean, std), mean - std), mean + std))
