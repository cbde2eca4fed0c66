"""The S3FD face detector of the package `face-alignment`, reading its weights from models/."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import torch

from musetalk.checkpoint import load_into, read_state_dict
from musetalk.face.boxes import overlap
from musetalk.face.landmarks import Face, also_counts

WEIGHTS = Path("s3fd") / "s3fd-619a316812.pth"
SCORE_THRESHOLD = 0.5  # published

Detection = tuple[float, float, float, float]


class S3FDDetector:
    """Says whether a frame shows a face, and where."""

    def __init__(self, weights: Path, device: str | torch.device = "cpu", batch_size: int = 4) -> None:
        """
        Args:
            weights: s3fd-619a316812.pth. Nothing is ever downloaded.
            device: Where the network runs, in float32.
            batch_size: Frames in one pass of the network.

        Raises:
            WeightsError: The file is missing, damaged or not this network's.
        """
        from face_alignment.detection.sfd.net_s3fd import s3fd

        network = s3fd()
        load_into(network, read_state_dict(weights), weights)
        self._network = network.to(device).eval()
        self._device = str(device)
        self._batch_size = batch_size

    def detect(self, frames: Sequence[np.ndarray]) -> list[Detection | None]:
        """The most certain face of each frame.

        Args:
            frames: BGR uint8 (H, W, 3), of any sizes.

        Returns:
            For each frame x1, y1, x2, y2 in whole pixels, or None if it shows no face.
        """
        return [strongest(candidates) for candidates in self.candidates(frames)]

    def count(self, frames: Sequence[np.ndarray], faces: Sequence[Face]) -> list[int]:
        """See `musetalk.face.landmarks.FaceCounter.count`."""
        return [
            1 if face.detection is None else 1 + others(candidates, face.detection)
            for candidates, face in zip(self.candidates(frames), faces, strict=True)
        ]

    def candidates(self, frames: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """For each frame (N, 5) float64 x1, y1, x2, y2, score, before suppression."""
        from face_alignment.detection.sfd.detect import batch_detect

        for batch in batches_of_one_size(frames, self._batch_size):
            rgb = np.ascontiguousarray(np.stack(batch)[..., ::-1].transpose(0, 3, 1, 2))
            candidates = batch_detect(self._network, torch.from_numpy(rgb), self._device)
            yield from (np.asarray(of_frame, dtype=np.float64) for of_frame in candidates)


def batches_of_one_size(frames: Sequence[np.ndarray], batch_size: int) -> Iterator[list[np.ndarray]]:
    """Neighbouring frames of equal size, at most batch_size together, in their order."""
    for _, group in groupby(frames, key=lambda frame: frame.shape):
        same = list(group)
        for start in range(0, len(same), batch_size):
            yield same[start : start + batch_size]


def strongest(candidates: np.ndarray) -> Detection | None:
    """The face that the published code works on: the first one left by non-maximum suppression.

    Suppression goes from the highest score down, so the first one is the most certain, not the largest.

    Args:
        candidates: (N, 5) x1, y1, x2, y2, score.

    Returns:
        The box with negative corners moved to 0 and all truncated to whole pixels (published), None if no score
        exceeds the threshold.
    """
    if candidates.size == 0:
        return None
    # No other candidate can suppress the one with the highest score, so suppression need not be run for it.
    best = candidates[int(np.argmax(candidates[:, 4]))]
    if best[4] <= SCORE_THRESHOLD:
        return None
    x1, y1, x2, y2 = np.trunc(np.clip(best[:4], 0, None)).tolist()
    return x1, y1, x2, y2


def others(candidates: np.ndarray, main: Sequence[float]) -> int:
    """How many faces beside the main one count, after suppression from the most certain one down.

    Args:
        candidates: (N, 5) x1, y1, x2, y2, score.
        main: x1, y1, x2, y2 of the face that was found.
    """
    if candidates.size == 0:
        return 0
    certain = candidates[candidates[:, 4] > SCORE_THRESHOLD]
    kept = [tuple(main)]
    for box in certain[np.argsort(-certain[:, 4])][:, :4].tolist():
        if also_counts(box, main, max(overlap(box, one) for one in kept)):
            kept.append(tuple(box))
    return len(kept) - 1
