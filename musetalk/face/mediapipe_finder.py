"""Face landmarks from MediaPipe's face mesh, whose models come with the package (mediapipe 0.10.21).

The mesh has 468 points on the face's surface. `MESH_TO_68` names the one that stands for each Multi-PIE landmark. The
choice was measured: 60 near-frontal renders of 30 heads of a morphable model with known landmarks, the mesh point that
lay nearest on average (0.01–0.09 eye distances away), kept equal for both sides of the face. Boxes from these points
and from the model's true landmarks agree: width within 1 %, distance from point 29 to the chin within 2 %. On a turned
head the far jaw points are surface points behind the visible contour, where an image-trained network such as DWPose
marks the contour itself.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from musetalk.errors import DeviceError
from musetalk.face.boxes import expanded_square, overlap
from musetalk.face.landmarks import Box, Face, also_counts
from musetalk.face.masks import cut_crop

# Image left comes first. "Oval" is the outline of the mesh.
MESH_TO_68 = (
    # 0–16 jaw: down the oval from eye height before the ear, over the chin (152), and up the other side
    127, 234, 93, 132, 172, 150, 149, 148, 152, 377, 378, 379, 397, 361, 323, 454, 356,
    # 17–21 brow on the image's left, outer to inner end, upper edge
    70, 63, 105, 66, 107,
    # 22–26 brow on the image's right, inner to outer end, upper edge
    336, 296, 334, 293, 300,
    # 27–30 nose bridge: between the eyes, upper third, lower third (the centre of the box), tip
    168, 197, 195, 4,
    # 31–35 under the nose: outer rim of the left nostril, its middle, septum, middle and outer rim of the right one
    240, 97, 2, 326, 460,
    # 36–41 eye on the image's left: outer corner, two on the upper lid, inner corner, two on the lower lid
    33, 160, 158, 133, 153, 144,
    # 42–47 eye on the image's right: inner corner, two on the upper lid, outer corner, two on the lower lid
    362, 385, 387, 263, 373, 380,
    # 48–54 outer upper lip: left corner, side, peak, dip of the bow, peak, side, right corner
    61, 40, 37, 0, 267, 270, 291,
    # 55–59 outer lower lip, right to left
    321, 314, 17, 84, 91,
    # 60–64 inner upper lip: left corner, side, middle, side, right corner
    78, 81, 13, 311, 308,
    # 65–67 inner lower lip, right to left
    402, 14, 178,
)  # fmt: skip

MESH_POINTS = 468
MAX_FACES = 4
"""Faces that the mesh is made of in one area before the largest is taken."""
MAX_CANDIDATES = 3
"""Detections that are tried, largest first."""
CANDIDATE_EXPAND = 2.0
"""Side of the square given to the mesh over the detection's longer side."""
CONFIRM_EXPAND = 3.2
"""Side of the square in which a second detector has to see the face too, over the mesh's longer side."""
TILE_SIDE = 640
SMALL_FACE = 8
"""Faces narrower than the frame's longer side over this are counted in tiles too."""
MIN_VISIBLE = 0.6
"""Share of mesh points that have to lie in the frame."""

_stderr_lock = threading.Lock()

NOISE = re.compile(rb"^(INFO: Created TensorFlow Lite|WARNING: All log messages before absl|[IW]\d{4} )")
"""Chatter of the native libraries at start; their errors begin with E or F."""


class MediaPipeFinder:
    """Face finder on one CPU core; models load with the first frame.

    A frame is searched until a face is found: the whole frame by the mesh's own detector, by the full-range detector
    (small faces), with a margin around it (faces that fill or leave it), then overlapping tiles (smaller ones). A face
    counts only if both networks see it, the mesh and the full-range detector. Of several faces the largest is taken.

    Landmarks are clipped to the frame, so that the box of a face at its border ends there.

    Args:
        min_confidence: threshold of every detector, 0…1.
        search_small: whether to search tiles for small faces; costs only where no larger face is found.
        confirm: whether the second network is asked; without it a frame costs half, and things can pass for faces.
    """

    name = "mediapipe"

    def __init__(self, min_confidence: float = 0.5, search_small: bool = True, confirm: bool = True) -> None:
        self._min_confidence = min_confidence
        self._search_small = search_small
        self._confirm = confirm
        self._lock = threading.Lock()
        self._mesh: Any = None
        self._detector: Any = None
        self._chatty = True

    def find(self, frames: Sequence[np.ndarray]) -> list[Face | None]:
        """See `FaceFinder.find`. May be called from any thread; calls run one after the other.

        Raises:
            DeviceError: mediapipe is not installed or not usable.
        """
        with self._lock:
            return [self._find(frame) for frame in frames]

    def count(self, frames: Sequence[np.ndarray], faces: Sequence[Face]) -> list[int]:
        """See `FaceCounter.count`. Two networks have to see a face for it to count, as in `find`."""
        with self._lock:
            if self._mesh is None:
                self._load()
            return [1 + len(self._others(frame, face)) for frame, face in zip(frames, faces, strict=True)]

    def close(self) -> None:
        """Free the networks; a later `find` loads them again."""
        with self._lock:
            for graph in (self._mesh, self._detector):
                if graph is not None:
                    graph.close()
            self._mesh = self._detector = None

    def __enter__(self) -> MediaPipeFinder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _find(self, frame: np.ndarray) -> Face | None:
        if self._chatty:
            with quiet_stderr():
                face = self._search(frame)
            self._chatty = face is None  # the last of the start messages comes with the first face
            return face
        return self._search(frame)

    def _search(self, frame: np.ndarray) -> Face | None:
        if self._mesh is None:
            self._load()
        rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        height, width = rgb.shape[:2]
        whole = (0, 0, width, height)
        margin = max(height, width) // 4
        face = self._confirmed(rgb, self._face_in(rgb, whole))
        if face is None:
            face = self._best_of(rgb, [whole])
        if face is None:
            face = self._confirmed(rgb, self._face_in(rgb, (-margin, -margin, width + margin, height + margin)))
        if face is None and self._search_small:
            face = self._best_of(rgb, tiles(width, height))
        return face

    def _face_in(self, rgb: np.ndarray, area: Box) -> Face | None:
        """The largest face that the mesh's own detector (faces of at least a sixth of the area) finds in an area."""
        x1, y1, x2, y2 = area
        meshes = self._mesh.process(cut_crop(rgb, area)).multi_face_landmarks or []
        scale, offset = np.array([x2 - x1, y2 - y1], np.float64), np.array([x1, y1], np.float64)
        faces = [np.array([[p.x, p.y] for p in mesh.landmark[:MESH_POINTS]]) * scale + offset for mesh in meshes]
        faces = [points for points in faces if _visible(points, rgb.shape)]
        return _face(max(faces, key=lambda points: _area(_bounds(points))), rgb.shape) if faces else None

    def _confirmed(self, rgb: np.ndarray, face: Face | None) -> Face | None:
        """`face` if the full-range detector, another network, sees one there too.

        Of 300 cuts of photos without a face the mesh alone saw a face in 14, both networks in one, a medical phantom.
        """
        if face is None or face.detection is None:
            return None
        seen = not self._confirm or self._detect(rgb, expanded_square(face.detection, CONFIRM_EXPAND))
        return face if seen else None

    def _best_of(self, rgb: np.ndarray, areas: Sequence[Box]) -> Face | None:
        """The largest face of those that the full-range detector finds in areas and the mesh confirms."""
        found = [box for area in areas for box in self._detect(rgb, area)]
        for box in sorted(found, key=_area, reverse=True)[:MAX_CANDIDATES]:
            face = self._confirmed(rgb, self._face_in(rgb, expanded_square(box, CANDIDATE_EXPAND)))
            if face is not None:
                return face
        return None

    def _others(self, frame: np.ndarray, face: Face) -> list[tuple[float, float, float, float]]:
        """Boxes of the faces beside `face` that count."""
        main = face.detection
        if main is None:
            return []
        rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        height, width = rgb.shape[:2]
        areas = [(0, 0, width, height)]
        if main[2] - main[0] < max(width, height) / SMALL_FACE:
            areas += tiles(width, height)
        others: list[tuple[float, float, float, float]] = []
        for box in sorted((box for area in areas for box in self._detect(rgb, area)), key=_area, reverse=True):
            known = [main, *others]
            if not also_counts(box, main, max(overlap(box, one) for one in known)):
                continue
            confirmed = self._face_in(rgb, expanded_square(box, CANDIDATE_EXPAND))
            found = None if confirmed is None else confirmed.detection
            if found is not None and also_counts(found, main, max(overlap(found, one) for one in known)):
                others.append(found)
        return others

    def _detect(self, rgb: np.ndarray, area: Box) -> list[tuple[float, float, float, float]]:
        """Boxes of faces in frame pixels."""
        x1, y1, x2, y2 = area
        width, height = x2 - x1, y2 - y1
        detections = self._detector.process(cut_crop(rgb, area)).detections or []
        boxes = (detection.location_data.relative_bounding_box for detection in detections)
        return [
            (
                x1 + box.xmin * width,
                y1 + box.ymin * height,
                x1 + (box.xmin + box.width) * width,
                y1 + (box.ymin + box.height) * height,
            )
            for box in boxes
        ]

    def _load(self) -> None:
        try:
            from mediapipe.python.solutions import face_detection, face_mesh
        except ImportError as error:
            raise DeviceError(
                f"the face finder mediapipe cannot be imported: {error}",
                "pip install mediapipe==0.10.21, or choose another face finder",
            ) from error
        self._mesh = face_mesh.FaceMesh(
            static_image_mode=True,
            max_num_faces=MAX_FACES,
            refine_landmarks=True,  # the model with attention: closer at the lips
            min_detection_confidence=self._min_confidence,
        )
        self._detector = face_detection.FaceDetection(
            model_selection=1,  # full range
            min_detection_confidence=self._min_confidence,
        )


def tiles(width: int, height: int) -> list[Box]:
    """Overlapping squares that cover a frame, for the full-range detector; none where the frame is one itself.

    The detector sees 192×192 pixels and finds faces of 1/25 of that. Sides of 640 thus find 40 pixels; in
    frames of more than 1920 pixels the side is a third of the frame, which bounds the count.
    """
    side = max(TILE_SIDE, max(width, height) // 3)
    if max(width, height) <= side * 5 // 4:
        return []
    if min(width, height) <= side * 5 // 4:
        side = min(width, height)
    overlap = side // 4

    def starts(length: int) -> list[int]:
        count = 1 + max(0, -(-(length - side) // (side - overlap)))
        return [(length - side) * i // max(count - 1, 1) for i in range(count)]

    return [(x, y, min(x + side, width), min(y + side, height)) for y in starts(height) for x in starts(width)]


def _bounds(points: np.ndarray) -> tuple[float, float, float, float]:
    x1, y1 = points.min(axis=0).tolist()
    x2, y2 = points.max(axis=0).tolist()
    return x1, y1, x2, y2


def _area(box: tuple[float, float, float, float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _visible(points: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether most of the mesh lies in the frame: beyond that the network is guessing."""
    inside = (points >= 0).all(axis=1) & (points[:, 0] < shape[1]) & (points[:, 1] < shape[0])
    return bool(inside.mean() >= MIN_VISIBLE)


def _face(points: np.ndarray, shape: tuple[int, ...]) -> Face:
    clipped = np.clip(points, 0, (shape[1], shape[0]))
    return Face(clipped[np.array(MESH_TO_68)], _bounds(clipped))


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hold back what native code writes to file descriptor 2 and pass on all but its known start messages."""
    with _stderr_lock, tempfile.TemporaryFile() as held:
        try:
            original = os.dup(2)
        except OSError:  # no standard error to keep quiet
            yield
            return
        sys.stderr.flush()
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            os.close(original)
            held.seek(0)
            for line in held.read().splitlines(keepends=True):
                if not NOISE.match(line):
                    os.write(2, line)
