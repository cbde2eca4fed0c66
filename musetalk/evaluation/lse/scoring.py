"""LSE of a video file: faces found, tracked and cut out as published, then scored together with their sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from musetalk.evaluation.lse.distance import FPS, FaceEmbedder, LipSyncError, embed_sound, from_embeddings
from musetalk.evaluation.lse.face_tracks import (
    DETECTION_SCALE,
    FrameBoxes,
    Track,
    cut_face,
    find_tracks,
    is_cut,
    shots,
    suppress,
    thin_out,
)
from musetalk.evaluation.lse.mfcc import SAMPLE_RATE
from musetalk.evaluation.lse.network import FACE_SIZE, LseSyncNet
from musetalk.media.frames import open_source

_BATCH = 4


class Detector(Protocol):
    """What finds the faces: `musetalk.face.s3fd.S3FDDetector`."""

    def candidates(self, frames: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """For each BGR frame (N, 5) x1, y1, x2, y2, score."""
        ...


@dataclass(frozen=True, eq=False)
class VideoLse:
    """The scores of all tracks of a video.

    Attributes:
        tracks: One for each face track, in time.
    """

    tracks: tuple[LipSyncError, ...]

    @property
    def distance(self) -> float:
        """LSE-D, mean over tracks, as the published evaluation averages what it prints for each."""
        return float(np.mean([track.distance for track in self.tracks]))

    @property
    def confidence(self) -> float:
        """LSE-C, mean over tracks."""
        return float(np.mean([track.confidence for track in self.tracks]))

    @property
    def longest(self) -> LipSyncError:
        """The track with most windows, whose offset and curve are shown."""
        return max(self.tracks, key=lambda track: track.windows)


def score_tracks(network: LseSyncNet, detector: Detector, video: Path, samples: np.ndarray) -> VideoLse | None:
    """Score as joonson/syncnet_python's run_pipeline and run_syncnet, and Wav2Lip's calculate_scores_real_videos.

    The published programs write the cut faces as MPEG-4 and then as JPEG before they read them; here nothing is
    encoded between.

    Args:
        network: On any device.
        detector: S3FD.
        video: Read at 25 fps.
        samples: (n,) its sound, float in [-1, 1] or int16, mono at 16 kHz.

    Returns:
        None where no face is seen in more than 100 frames.

    Raises:
        InputError: The video cannot be read.
    """
    tracks = _find(detector, video)
    sound = _whole_numbers(samples)
    embedders = [FaceEmbedder(network, _limit(track, sound)) for track in tracks]
    for index, frame in enumerate(_frames(video)):
        for track, embedder in zip(tracks, embedders, strict=True):
            if track.first <= index < track.end:
                place = index - track.first
                embedder.push(cut_face(frame, track.centres[place], float(track.halves[place])))
    scored = []
    for track, embedder in zip(tracks, embedders, strict=True):
        seen = embedder.finish()
        if len(seen):
            scored.append(from_embeddings(seen, embed_sound(network, _sound_of(track, sound), len(seen))))
    return VideoLse(tuple(scored)) if scored else None


def score_frames(network: LseSyncNet, video: Path, samples: np.ndarray) -> LipSyncError | None:
    """Score as Wav2Lip's calculate_scores_LRS: whole frames scaled to 224×224, for videos that are cut to the face.

    Args and raises as `score_tracks`; None where there are less than six frames of picture and sound.
    """
    sound = _whole_numbers(samples)
    embedder = FaceEmbedder(network, len(sound) * FPS // SAMPLE_RATE)
    for frame in _frames(video):
        embedder.push(cv2.resize(frame, (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_LINEAR))
    seen = embedder.finish()
    return from_embeddings(seen, embed_sound(network, sound, len(seen))) if len(seen) else None


def _frames(video: Path) -> Iterator[np.ndarray]:
    return open_source(video, Fraction(FPS)).frames()


def _find(detector: Detector, video: Path) -> list[Track]:
    detections: list[FrameBoxes] = []
    cuts: list[int] = []
    before: np.ndarray | None = None
    frames = _frames(video)
    while batch := list(islice(frames, _BATCH)):
        small = [cv2.resize(frame, None, fx=DETECTION_SCALE, fy=DETECTION_SCALE) for frame in batch]
        for frame, reduced, candidates in zip(batch, small, detector.candidates(small), strict=True):
            scale = frame.shape[1] / reduced.shape[1], frame.shape[0] / reduced.shape[0]
            boxes = suppress(candidates)
            after = thin_out(frame)
            if before is not None and is_cut(before, after):
                cuts.append(len(detections))
            before = after
            detections.append(_scaled(boxes, scale))
    return find_tracks(detections, shots(cuts, len(detections)))


def _scaled(boxes: FrameBoxes, scale: tuple[float, float]) -> FrameBoxes:
    across, down = scale
    return [(x1 * across, y1 * down, x2 * across, y2 * down) for x1, y1, x2, y2 in boxes]


def _whole_numbers(samples: np.ndarray) -> np.ndarray:
    """int16, as the published programs read their sound."""
    if samples.dtype == np.int16:
        return samples
    return np.clip(np.round(samples * 32768.0), -32768, 32767).astype(np.int16)


def _sound_of(track: Track, sound: np.ndarray) -> np.ndarray:
    per_frame = SAMPLE_RATE // FPS
    return sound[track.first * per_frame : track.end * per_frame]


def _limit(track: Track, sound: np.ndarray) -> int:
    """Frames of a track that have sound."""
    return len(_sound_of(track, sound)) * FPS // SAMPLE_RATE
