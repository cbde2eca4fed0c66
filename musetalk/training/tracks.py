"""What training needs of a clip's JSON, as a small binary file: made once, so that no sample parses JSON.

One file for each clip, named by the JSON's path, in a folder that may be deleted at any time. It is made again when the
JSON changes.

Layout, little-endian: magic, length of the facts, the facts (JSON, a few hundred bytes), then for n frames the widths
(uint16), detections (float32, 4), landmarks (float32, 68 × 2) and, where
they are known, mouths (float32, 13).
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from musetalk.errors import InputError
from musetalk.face.landmarks import LANDMARK_COUNT
from musetalk.report import ProgressBars
from musetalk.synthetic.mouth_channels import CHANNELS
from musetalk.training.clip_meta import ClipMeta, read_meta
from musetalk.training.crops import union_boxes
from musetalk.training.files import write_whole

SUFFIX = ".track"
_HEAD = struct.Struct("<8sI")
_MAGIC = b"MuseTrk3"
_FRAME_BYTES = 2 + 4 * 4 + LANDMARK_COUNT * 2 * 4
_MOUTH_BYTES = len(CHANNELS) * 4


@dataclass(frozen=True, eq=False)
class TrackFacts:
    """The small part of a track, enough to know what samples a clip gives.

    Attributes:
        meta: The clip's JSON.
        wav: Its sound.
        regions: Its face regions; None: it has none.
        twins: JSON of each clip that shows the same frames with another mouth.
        frame_size: (height, width).
        isvalid: Whether it is to be trained on.
        dropped: Why not.
        has_mouths: Whether true mouths are known.
        widths: (n,) uint16: width of the published crop of each frame in whole pixels; 0 where nothing can be cut out.
    """

    meta: Path
    wav: Path
    regions: Path | None
    twins: tuple[Path, ...]
    frame_size: tuple[int, int]
    isvalid: bool
    dropped: str | None
    has_mouths: bool
    widths: np.ndarray

    @property
    def frames(self) -> int:
        """Number of frames, n."""
        return len(self.widths)


@dataclass(frozen=True, eq=False)
class Track:
    """A clip's faces.

    Attributes:
        facts: All that is not a face.
        detections: (n, 4) float32, NaN where a frame has no face.
        landmarks: (n, 68, 2) float32 alike.
        mouths: (n, C) float32, true mouths by `mouth_channels.CHANNELS`; None: unknown.
    """

    facts: TrackFacts
    detections: np.ndarray
    landmarks: np.ndarray
    mouths: np.ndarray | None


class TrackStore:
    """Tracks of clips in a folder.

    Args:
        folder: Made when the first track is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self, metas: Iterable[Path]) -> dict[Path, str]:
        """Make the tracks that are missing or out of date, of the clips and their twins.

        Returns:
            For each clip whose JSON cannot be used, why.

        Raises:
            OutputError: The folder cannot be written to.
        """
        metas = list(metas)
        failures: dict[Path, str] = {}
        with ProgressBars(["clips"], unit="clip") as bar:
            bar.start(len(metas))
            for meta in metas:
                try:
                    for twin in self.facts(meta).twins:
                        self.facts(twin)
                except InputError as error:
                    failures[meta] = error.what
                bar.advance("clips")
        return failures

    def facts(self, meta: Path) -> TrackFacts:
        """The small part of a clip's track; the track is made where it is missing or out of date.

        Raises:
            InputError: The JSON is missing or damaged.
            OutputError: The track cannot be written.
        """
        return self._parsed(meta, whole=False)[0]

    def open(self, meta: Path) -> Track:
        """A clip's track; it is made where it is missing or out of date.

        Raises:
            InputError: The JSON is missing or damaged.
            OutputError: The track cannot be written.
        """
        facts, faces = self._parsed(meta, whole=True)
        count = facts.frames
        detections = np.frombuffer(faces, "<f4", count * 4).reshape(count, 4)
        landmarks = np.frombuffer(faces, "<f4", count * LANDMARK_COUNT * 2, detections.nbytes)
        landmarks = landmarks.reshape(count, LANDMARK_COUNT, 2)
        mouths = None
        if facts.has_mouths:
            mouths = np.frombuffer(faces, "<f4", offset=detections.nbytes + landmarks.nbytes).reshape(count, -1)
        return Track(facts, detections, landmarks, mouths)

    def _parsed(self, meta: Path, whole: bool) -> tuple[TrackFacts, bytes]:
        path, stamp = self._path(meta), _stamp(meta)
        parsed = _read(path, meta, stamp, whole)
        if parsed is None:
            write_whole(path, _content(read_meta(meta), stamp))
            parsed = _read(path, meta, stamp, whole)
        if parsed is None:
            raise InputError(f"{path}: changed while it was read", "Run one training at a time in this folder.")
        return parsed

    def _path(self, meta: Path) -> Path:
        name = hashlib.sha256(str(meta.absolute()).encode()).hexdigest()[:24]
        return self.folder / f"{name}{SUFFIX}"


def _stamp(meta: Path) -> list[int]:
    try:
        status = meta.stat()
    except OSError as error:
        raise InputError(
            f"{meta}: cannot be read: {error.strerror or error}", "Take the clip out of the list, or make it again."
        ) from None
    return [status.st_size, status.st_mtime_ns]


def _content(meta: ClipMeta, stamp: list[int]) -> bytes:
    facts = {
        "stamp": stamp,
        "frames": meta.frames,
        "wav": str(meta.wav_path.absolute()),
        "regions": meta.regions_path and str(meta.regions_path.absolute()),
        "twins": [str(twin.absolute()) for twin in meta.twins],
        "frame_size": meta.video_size,
        "isvalid": meta.isvalid,
        "dropped": meta.dropped,
        "has_mouths": meta.mouths is not None,
    }
    text = json.dumps(facts).encode()
    arrays = (meta.detections, meta.landmarks, meta.mouths)
    faces = b"".join(array.astype("<f4").tobytes() for array in arrays if array is not None)
    return _HEAD.pack(_MAGIC, len(text)) + text + _widths(meta).tobytes() + faces


def _widths(meta: ClipMeta) -> np.ndarray:
    """(n,) uint16 as in TrackFacts."""
    there = meta.has_face
    boxes = union_boxes(meta.detections, meta.landmarks)
    boxes[~there] = 0
    height, width = meta.video_size
    low, high = np.maximum(boxes[:, :2], 0), np.minimum(boxes[:, 2:], [width, height])
    there = there & (high - low >= 2).all(axis=1)
    return np.where(there, np.clip(boxes[:, 2] - boxes[:, 0], 0, 65535), 0).astype("<u2")


def _read(path: Path, meta: Path, stamp: list[int], whole: bool) -> tuple[TrackFacts, bytes] | None:
    """A track's facts and, if asked for, the bytes of its faces; None where it is missing, damaged or out of date."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD.size)
            if len(head) < _HEAD.size or not head.startswith(_MAGIC):
                return None
            text = file.read(_HEAD.unpack(head)[1])
            try:
                facts = json.loads(text)
            except ValueError:
                return None
            if facts["stamp"] != stamp:
                return None
            count = int(facts["frames"])
            frame_bytes = _FRAME_BYTES + (_MOUTH_BYTES if facts["has_mouths"] else 0)
            if path.stat().st_size != _HEAD.size + len(text) + count * frame_bytes:
                return None
            widths = np.frombuffer(file.read(count * 2), "<u2")
            faces = file.read() if whole else b""
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}", "Remove it: it is made again.") from None
    height, width = facts["frame_size"]
    return (
        TrackFacts(
            meta,
            Path(facts["wav"]),
            Path(facts["regions"]) if facts["regions"] else None,
            tuple(Path(twin) for twin in facts["twins"]),
            (height, width),
            facts["isvalid"],
            facts["dropped"],
            facts["has_mouths"],
            widths,
        ),
        faces,
    )
