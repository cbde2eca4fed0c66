"""One pass over a video: where its face is in every frame, kept as arrays that all metrics share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from musetalk.face.boxes import smooth_faces
from musetalk.face.landmarks import LANDMARK_COUNT, Face, FaceFinder
from musetalk.media.frames import open_source

THUMBNAIL = 24
"""Side of the small grey pictures that tell which frame of one video is which of another."""


@dataclass(frozen=True, eq=False)
class FaceTrack:
    """What is known of a video after one pass.

    Attributes:
        path: The video, image or folder.
        fps: Rate at which it was read; a video of another rate was resampled by time.
        own_fps: Its own rate.
        width, height: Pixels.
        landmarks: (n, 68, 2) float64 pixels, NaN where a frame has no face.
        detections: (n, 4) float64 x1, y1, x2, y2, NaN alike.
        thumbnails: (n, 24, 24) uint8 grey.
    """

    path: Path
    fps: Fraction
    own_fps: Fraction
    width: int
    height: int
    landmarks: np.ndarray
    detections: np.ndarray
    thumbnails: np.ndarray

    @property
    def frames(self) -> int:
        return len(self.landmarks)

    @property
    def seen(self) -> np.ndarray:
        """(n,) bool: which frames show a face."""
        return np.isfinite(self.detections[:, 0])

    @property
    def seconds(self) -> Fraction:
        return self.frames / self.fps

    def faces(self) -> list[Face | None]:
        """The face of each frame, as it was found."""
        return [
            Face(points, (box[0], box[1], box[2], box[3])) if np.isfinite(box[0]) else None
            for points, box in zip(self.landmarks, self.detections.tolist(), strict=True)
        ]

    def smooth_faces(self) -> list[Face | None]:
        """The face of each frame, steadied over time as dubbing does before it makes boxes and masks."""
        return list(smooth_faces(self.faces()))


def measure_track(
    path: Path, finder: FaceFinder, fps: Fraction | None = None, advance: Callable[[], None] = lambda: None
) -> FaceTrack:
    """Find the face in every frame of a video.

    Args:
        path: A video, an image or a folder of images.
        finder: Whose landmarks are measured.
        fps: Rate to read it at, by time; None: its own.
        advance: Called after each frame.

    Raises:
        InputError: The frames cannot be read.
    """
    source = open_source(path, fps)
    own_fps = source.info.fps if fps is None else open_source(path).info.fps
    landmarks, detections, thumbnails = [], [], []
    for frame in source.frames():
        face = finder.find([frame])[0]
        found = face is not None and face.detection is not None
        landmarks.append(face.landmarks if face is not None and found else np.full((LANDMARK_COUNT, 2), np.nan))
        detections.append(face.detection if face is not None and found else (np.nan,) * 4)
        small = cv2.resize(frame, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
        thumbnails.append(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY))
        advance()
    return FaceTrack(
        path,
        source.info.fps,
        own_fps,
        source.info.width,
        source.info.height,
        np.array(landmarks, np.float64),
        np.array(detections, np.float64),
        np.array(thumbnails, np.uint8),
    )
