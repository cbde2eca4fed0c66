"""Metrics of SyncNets: LSE-D and LSE-C as published, and the offset by the project's own network."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np

from musetalk.evaluation.evidence import Evidence
from musetalk.evaluation.lse.distance import LipSyncError
from musetalk.evaluation.lse.network import LseSyncNet, load_lse_syncnet
from musetalk.evaluation.lse.scoring import VideoLse, score_frames, score_tracks
from musetalk.evaluation.metrics import FACT, HIGHER, LOWER, ZERO, Metric
from musetalk.evaluation.sync_offset import MAX_SHIFT, SyncOffset, clip_offset, even_window_starts
from musetalk.evaluation.values import NotMeasurable
from musetalk.evaluation.weights_needed import LSE_SYNCNET, SYNCNET_CONFIG, SYNCNET_WEIGHTS, needed
from musetalk.face import s3fd
from musetalk.face.landmarks import Box
from musetalk.media.frames import open_source
from musetalk.models.syncnet import load_syncnet
from musetalk.models.syncnet_config import read_syncnet_settings
from musetalk.pipeline.generator import cut_face
from musetalk.training.crops import clip_boxes

FPS = 25
GEOMETRY, EXTRA_MARGIN = "inference", 10
"""How the faces of the project's SyncNet are cut, as in its training: the box of dubbing, lowered by so many pixels."""
MOST_WINDOWS = 500
"""Windows of a video that are looked at: all of 20 s, every third of a minute."""


def lse(evidence: Evidence) -> VideoLse:
    """LSE with faces found and cut out as published; found once.

    Raises:
        NotMeasurable: Weights are missing, there is no sound, or no face is seen long enough.
        WeightsError: A file is not what its name says.
    """
    return evidence.once("lse", lambda: _lse(evidence))


def _lse(evidence: Evidence) -> VideoLse:
    samples = evidence.sound.samples
    detector = s3fd.S3FDDetector(needed(evidence, LSE_SYNCNET, s3fd.WEIGHTS)[1], evidence.device)
    found = score_tracks(_network(evidence), detector, evidence.generated.path, samples)
    if found is None:
        raise NotMeasurable("no face of 100 pixels is seen in more than 100 frames (published limits)")
    return found


def lse_of_frames(evidence: Evidence) -> LipSyncError:
    """LSE of whole frames; found once. Raises as `lse`."""
    return evidence.once("lse_of_frames", lambda: _lse_of_frames(evidence))


def _lse_of_frames(evidence: Evidence) -> LipSyncError:
    samples = evidence.sound.samples
    needed(evidence, LSE_SYNCNET)
    found = score_frames(_network(evidence), evidence.generated.path, samples)
    if found is None:
        raise NotMeasurable("there are less than six frames of picture and sound")
    return found


def _network(evidence: Evidence) -> LseSyncNet:
    path = evidence.models_dir / LSE_SYNCNET
    return evidence.once("lse_network", lambda: load_lse_syncnet(path, evidence.device))


def syncnet(evidence: Evidence) -> SyncOffset:
    """The offset by the project's SyncNet; found once. Raises as `lse`."""
    return evidence.once("syncnet", lambda: _syncnet(evidence))


def _syncnet(evidence: Evidence) -> SyncOffset:
    samples = evidence.sound.samples
    config, weights = needed(evidence, SYNCNET_CONFIG, SYNCNET_WEIGHTS)
    network = load_syncnet(read_syncnet_settings(config), weights, str(config)).to(evidence.device)
    track = evidence.generated
    if track.fps != FPS:
        raise NotMeasurable(f"is for videos of {FPS} fps (--fair makes them so)")
    shape = track.height, track.width
    boxes = clip_boxes(track.landmarks, track.detections, shape, GEOMETRY, EXTRA_MARGIN)
    has_face = np.array([box is not None for box in boxes], bool)
    length = network.shapes.num_frames
    starts = even_window_starts(has_face, length, MOST_WINDOWS)
    faces = _FaceReader(open_source(track.path, Fraction(FPS)).frames(), boxes, length, network.shapes.resolution)
    found = clip_offset(network, has_face, faces.at, samples, starts=starts)
    if found is None:
        raise NotMeasurable(f"no {length} frames in a row show a face")
    return found


class _FaceReader:
    """The faces of a video, read as they are asked for; not more than a window of them is kept."""

    def __init__(self, frames: Iterator[np.ndarray], boxes: Sequence[Box | None], window: int, resolution: int) -> None:
        self._frames, self._boxes, self._resolution = frames, boxes, resolution
        self._kept: deque[np.ndarray | None] = deque(maxlen=window)
        self._read = 0

    def at(self, frame: int) -> np.ndarray:
        """The face of a frame that lies less than a window before the last one asked for, or behind it."""
        while self._read <= frame:
            box, image = self._boxes[self._read], next(self._frames)
            self._kept.append(None if box is None else cut_face(image, box, self._resolution))
            self._read += 1
        crop = self._kept[frame - self._read]
        assert crop is not None
        return crop


def offset_curves(evidence: Evidence) -> dict[str, np.ndarray]:
    """Curves over the frames by which the mouth is late, as far as there are networks."""
    shifts = np.arange(-MAX_SHIFT, MAX_SHIFT + 1, dtype=np.float64)
    found: dict[str, np.ndarray] = {}
    for name, measure in _CURVES.items():
        try:
            found[name] = measure(evidence)
        except NotMeasurable:
            continue
    return found | {"offsets": shifts} if found else {}


# The published order runs from late mouths to early ones, and the project's counts how late the sound is.
_CURVES = {
    "lse_by_offset": lambda evidence: lse(evidence).longest.by_shift[::-1],
    "lse_frames_by_offset": lambda evidence: lse_of_frames(evidence).by_shift[::-1],
    "syncnet_by_offset": lambda evidence: syncnet(evidence).similarity[::-1],
}

_PUBLISHED = (
    "SyncNet of joonson/syncnet_python, 13 MFCC, 5-frame windows, ±15 shifts; faces by S3FD, tracked and cut as there"
)
_WHOLE = (
    "The same network on whole frames scaled to 224×224, as Wav2Lip's calculate_scores_LRS: for videos cut to the face"
)

SYNC = (
    Metric(
        "lse_d", "LSE-D", "distance", LOWER, f"{_PUBLISHED}; least mean distance over shifts, mean of tracks.",
        lambda e: lse(e).distance,
    ),
    Metric(
        "lse_c", "LSE-C", "distance", HIGHER, f"{_PUBLISHED}; median of the mean distances minus the least.",
        lambda e: lse(e).confidence,
    ),
    Metric(
        "lse_offset", "LSE offset", "frames of 40 ms", ZERO,
        "Shift of the least mean distance, of the longest track; positive: the mouth is late (published sign).",
        lambda e: lse(e).longest.offset, 0,
    ),
    Metric("lse_tracks", "LSE face tracks", "", FACT, "Face tracks that were scored.", lambda e: len(lse(e).tracks), 0),
    Metric(
        "lse_d_frames", "LSE-D of whole frames", "distance", LOWER, f"{_WHOLE}.", lambda e: lse_of_frames(e).distance
    ),
    Metric(
        "lse_c_frames", "LSE-C of whole frames", "distance", HIGHER, f"{_WHOLE}.", lambda e: lse_of_frames(e).confidence
    ),
    Metric(
        "syncnet_offset", "offset by the project's SyncNet", "frames of 40 ms", ZERO,
        "Shift of the highest mean cosine of mouth and sound within ±15 frames, over every window of up to 20 s; "
        "positive: the mouth is late.",
        lambda e: -syncnet(e).offset, 0,
    ),
    Metric(
        "syncnet_confidence", "confidence by the project's SyncNet", "cosine", HIGHER,
        "Highest mean cosine over shifts minus the median.", lambda e: syncnet(e).confidence,
    ),
)  # fmt: skip
