"""Face boxes: where the generated face goes. Published geometry, temporal smoothing and the box file."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from musetalk.errors import InputError, OutputError
from musetalk.face.landmarks import ABOVE_BOX_CENTRE, BELOW_BOX_CENTRE, BOX_CENTRE, Box, Face

SMOOTHING_RADIUS = 3
"""Frames to each side that a smoothed box looks at by default; 0 gives the published, unsmoothed boxes."""
SAME_SHOT_IOU = 0.5
"""Boxes of neighbouring frames that overlap less than this belong to different shots or faces."""

T = TypeVar("T")


def face_box(face: Face, frame_shape: Sequence[int], bbox_shift: int = 0) -> Box | None:
    """The published box: landmarks left to right, centred on nose bridge point 29 from top to bottom.

    The detector's box replaces it where it has no area or starts left of the image. Unlike the published code
    the box never leaves the frame: there the crop is cut at the border but the box is not, so the generated
    face comes back stretched.

    Args:
        face: landmarks are truncated to integers first, as published.
        frame_shape: (height, width, ...) of the frame.
        bbox_shift: pixels that the centre moves down; v1.0 only, 0 otherwise.

    Returns:
        None where the detector saw no face or no pixel of the box lies in the frame.
    """
    if face.detection is None:
        return None
    points = face.landmarks.astype(np.int64)
    x1, x2 = int(points[:, 0].min()), int(points[:, 0].max())
    y2 = int(points[:, 1].max())
    centre_y = int(points[BOX_CENTRE, 1]) + bbox_shift
    y1 = max(0, centre_y - (y2 - centre_y))
    if y2 <= y1 or x2 <= x1 or x1 < 0:
        x1, y1, x2, y2 = (int(value) for value in face.detection)
    return _clip((x1, y1, x2, y2), frame_shape)


def lower_chin(box: Box, extra_margin: int, frame_height: int) -> Box:
    """`box` with its lower edge moved down by `extra_margin` pixels, at most to the frame's edge (v1.5)."""
    x1, y1, x2, y2 = box
    return x1, y1, x2, min(y2 + extra_margin, frame_height)


def _clip(box: Box, frame_shape: Sequence[int]) -> Box | None:
    height, width = frame_shape[0], frame_shape[1]
    x1, y1, x2, y2 = box
    x1, y1, x2, y2 = max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


class ShiftRange:
    """Collects, frame by frame, how far bbox_shift can usefully move the box: to the next nose point up or down."""

    def __init__(self) -> None:
        self.frame_count = 0
        self._face_count = 0
        self._up = 0
        self._down = 0

    def add(self, face: Face | None) -> None:
        """Count one frame; one without a face adds to the frame count only."""
        self.frame_count += 1
        if face is None or face.detection is None:
            return
        y = face.landmarks[:, 1].astype(np.int64)
        self._face_count += 1
        self._up += int(y[BELOW_BOX_CENTRE] - y[BOX_CENTRE])
        self._down += int(y[BOX_CENTRE] - y[ABOVE_BOX_CENTRE])

    def range(self) -> tuple[int, int] | None:
        """(lowest, highest) useful bbox_shift in pixels, means truncated toward zero; None without any face."""
        if not self._face_count:
            return None
        return -int(self._up / self._face_count), int(self._down / self._face_count)

    def line(self, bbox_shift: int) -> str | None:
        """The published report of the range; None without any face."""
        limits = self.range()
        if limits is None:
            return None
        return (
            f"Total frame:「{self.frame_count}」 Manually adjust range : "
            f"[ -{-limits[0]}~{limits[1]} ] , the current value: {bbox_shift}"
        )


def expanded_square(box: tuple[float, float, float, float], expand: float) -> Box:
    """The square around a box x1, y1, x2, y2 in pixels, `expand` times its longer side; may leave the frame."""
    half = max(box[2] - box[0], box[3] - box[1]) * expand / 2
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return int(x - half), int(y - half), int(x + half) + 1, int(y + half) + 1


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes, 0…1."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


class Smoother:
    """A centred Gaussian window over a stream of arrays, push style, that never mixes two shots.

    The weights are exp(−½ (d / sigma)²) for frames at distance d ≤ radius, sigma = radius / 2 (1.5 frames for
    radius 3). The window ends at the first frame that has no value or is not `continues` of its neighbour, and is
    then made symmetric, so that a value on a steady course does not lag or lead. Memory: 2 · radius + 1 values.
    """

    def __init__(self, radius: int, continues: Callable[[np.ndarray, np.ndarray], bool]) -> None:
        if radius < 0:
            raise ValueError(f"smoothing radius {radius} is negative")
        self._radius = radius
        self._continues = continues
        self._weights = [math.exp(-0.5 * (2 * d / radius) ** 2) if radius else 1.0 for d in range(radius + 1)]
        self._window: list[tuple[np.ndarray, int] | None] = []  # value, number of the run it belongs to
        self._run = 0
        self._next = 0  # index in the window of the next value to give out

    def push(self, value: np.ndarray | None) -> list[np.ndarray | None]:
        """Take the next frame's value; returns the smoothed values that are now certain, oldest first."""
        if value is None:
            self._window.append(None)
        else:
            last = self._window[-1] if self._window else None
            if last is None or not self._continues(last[0], value):
                self._run += 1
            self._window.append((value, self._run))
        return self._give(len(self._window) - self._radius)

    def finish(self) -> list[np.ndarray | None]:
        """The values still held back at the end of the stream."""
        return self._give(len(self._window))

    def _give(self, end: int) -> list[np.ndarray | None]:
        ready = []
        while self._next < end:
            ready.append(self._smooth(self._next))
            self._next += 1
        old = self._next - max(self._radius, 1)  # the newest value stays: the next one is compared with it
        if old > 0:
            del self._window[:old]
            self._next -= old
        return ready

    def _smooth(self, index: int) -> np.ndarray | None:
        centre = self._window[index]
        if centre is None:
            return None
        value, run = centre
        total, norm = value * self._weights[0], self._weights[0]
        for distance in range(1, self._radius + 1):
            before, after = index - distance, index + distance
            if before < 0 or after >= len(self._window):
                break
            left, right = self._window[before], self._window[after]
            if left is None or right is None or left[1] != run or right[1] != run:
                break
            weight = self._weights[distance]
            total = total + weight * (left[0] + right[0])
            norm += 2 * weight
        return total / norm


def _smoothed(
    items: Iterable[T | None],
    radius: int,
    value: Callable[[T], np.ndarray],
    rebuild: Callable[[np.ndarray], T],
    continues: Callable[[np.ndarray, np.ndarray], bool],
) -> Iterator[T | None]:
    smoother = Smoother(radius, continues)
    for item in items:
        for done in smoother.push(None if item is None else value(item)):
            yield None if done is None else rebuild(done)
    for done in smoother.finish():
        yield None if done is None else rebuild(done)


def smooth_boxes(boxes: Iterable[Box | None], radius: int = SMOOTHING_RADIUS) -> Iterator[Box | None]:
    """Boxes without the jitter of single-frame landmarks; one out for each in, at most `radius` frames later.

    A missing box stays missing, a cut (boxes that overlap less than `SAME_SHOT_IOU`) is not blended, and radius 0
    returns the input. Edges are rounded to the nearest pixel.
    """
    if radius == 0:
        yield from boxes
        return
    yield from _smoothed(
        boxes,
        radius,
        lambda box: np.asarray(box, np.float64),
        _rounded_box,
        lambda a, b: overlap(a.tolist(), b.tolist()) >= SAME_SHOT_IOU,
    )


def smooth_faces(faces: Iterable[Face | None], radius: int = SMOOTHING_RADIUS) -> Iterator[Face | None]:
    """The same for landmarks and detections at once, in fractions of a pixel: steadier masks and boxes.

    A face without a detection counts as missing.
    """
    if radius == 0:
        yield from faces
        return
    yield from _smoothed(
        (face if face is not None and face.detection is not None else None for face in faces),
        radius,
        lambda face: np.concatenate([np.asarray(face.detection, np.float64), face.landmarks.ravel()]),
        lambda flat: Face(flat[4:].reshape(-1, 2), (flat[0], flat[1], flat[2], flat[3])),
        lambda a, b: overlap(a[:4].tolist(), b[:4].tolist()) >= SAME_SHOT_IOU,
    )


def _rounded_box(edges: np.ndarray) -> Box:
    x1, y1, x2, y2 = (int(edge) for edge in np.floor(edges + 0.5))
    return x1, y1, x2, y2


def read_boxes(path: str | Path) -> list[Box | None]:
    """Boxes of a `--saved_coord` file: `{"boxes": [[x1, y1, x2, y2] or null, ...]}`, one entry per source frame.

    Raises:
        InputError: the file is missing, is not JSON of that form, or holds an impossible box (its index is named).
    """
    fix = 'give a file of the form {"boxes": [[x1, y1, x2, y2] or null, ...]}, or run without --use_saved_coord'
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"box file {path} does not exist", fix) from None
    except OSError as error:
        raise InputError(f"box file {path} cannot be read: {error.strerror}", fix) from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"box file {path} is not JSON: {' '.join(str(error).split())}", fix) from error
    entries = content.get("boxes") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise InputError(f'box file {path} has no list "boxes"', fix)
    return [None if entry is None else _checked(entry, index, path, fix) for index, entry in enumerate(entries)]


def _checked(entry: object, index: int, path: str | Path, fix: str) -> Box:
    if not isinstance(entry, list) or len(entry) != 4 or not all(type(edge) is int for edge in entry):
        raise InputError(f"box {index} of {path} is neither null nor four whole numbers: {entry!r:.60}", fix)
    x1, y1, x2, y2 = entry
    if x1 >= x2 or y1 >= y2:
        raise InputError(f"box {index} of {path} has no area: {entry}", fix)
    return x1, y1, x2, y2


def write_boxes(path: str | Path, boxes: Iterable[Box | None]) -> None:
    """Write what `read_boxes` reads, through a temporary file beside `path`; folders are made.

    Raises:
        OutputError: the file cannot be written; an older file of that name is then left as it was.
    """
    path = Path(path)
    rows = iter(boxes)
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".part", dir=path.parent)
        with open(handle, "w", encoding="utf-8") as file:
            file.write('{"boxes": [\n')
            separator = ""
            while chunk := list(islice(rows, 1000)):
                lines = (json.dumps(None if box is None else [int(edge) for edge in box]) for box in chunk)
                file.write(separator + ",\n".join(lines))
                separator = ",\n"
            file.write("\n]}\n")
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise OutputError(
            f"box file {path} cannot be written: {error.strerror}", "choose a result folder that can be written to"
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
