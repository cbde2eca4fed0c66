"""What is known of a clip of the training set: its JSON, and the lists that name these.

The keys are those of the published preprocessing, so that published files can be read and ours can be read by it:

- `mp4_path`, `wav_path`: picture (25 fps) and sound (16 kHz mono), relative to the working directory (published).
- `video_size`: [height, width] of the frames.
- `face_size`: [height, width] of the median face box.
- `frames`: their number.
- `face_list`: for each frame the **face detector's** box [x1, y1, x2, y2], not the box that is replaced by a generated
  face; null where there is no face. The published crop is the union of this box and the landmarks.
- `landmark_list`: for each frame the 68 landmarks [[x, y], …] (Multi-PIE order); null where there is no face.
- `isvalid`: whether the clip is to be trained on.

Ours, all optional when read: `regions_path` (see `clip_store`), `settings` (fingerprint of all that the file was made
from), `dropped` (why isvalid is false; picture and sound of such a clip are not kept), `twins` (the JSON of each clip
that shows the same frames with another mouth), `mouth_list` (for each frame how much of each of
`mouth_channels.CHANNELS` the mouth shows; rendered data), `source` and `first_frame` (the 25 fps video, and the clip's
start in it).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from musetalk.errors import InputError
from musetalk.face.landmarks import LANDMARK_COUNT
from musetalk.synthetic.mouth_channels import CHANNELS
from musetalk.training.files import write_whole

FPS = Fraction(25)
"""Frame rate of every clip (published)."""

_FIX = "Run scripts.preprocess again, or take the clip out of the list."


@dataclass(frozen=True, eq=False)
class ClipMeta:
    """One clip.

    Attributes:
        mp4_path: Picture, H.264 with 25 fps.
        wav_path: Sound, 16 kHz mono.
        video_size: (height, width) of the frames.
        face_size: (height, width) of the median face box; (0, 0) without a face.
        frames: Number of frames, n.
        detections: (n, 4) float32 x1, y1, x2, y2: the face detector's boxes in pixels; NaN where there is no face.
        landmarks: (n, 68, 2) float32 x, y in pixels; NaN where there is no face.
        isvalid: Whether the clip is to be trained on.
        regions_path: The clip's face regions, see `clip_store`.
        settings: Fingerprint of what the files were made from.
        dropped: Why the clip is not valid.
        twins: JSON of each clip that shows the same frames with another mouth (rendered data).
        mouths: (n, C) float32, the true mouths of rendered data by `mouth_channels.CHANNELS`; None: unknown.
        source: The 25 fps video that the clip was cut from.
        first_frame: Frame of the source that is the clip's first.
    """

    mp4_path: Path
    wav_path: Path
    video_size: tuple[int, int]
    face_size: tuple[int, int]
    frames: int
    detections: np.ndarray
    landmarks: np.ndarray
    isvalid: bool
    regions_path: Path | None = None
    settings: str | None = None
    dropped: str | None = None
    twins: tuple[Path, ...] = ()
    mouths: np.ndarray | None = None
    source: Path | None = None
    first_frame: int = 0

    @property
    def has_face(self) -> np.ndarray:
        """(n,) bool: frames with both a detection and landmarks."""
        return np.isfinite(self.detections).all(axis=1) & np.isfinite(self.landmarks).all(axis=(1, 2))

    @property
    def fps(self) -> Fraction:
        """Frame rate."""
        return FPS


def median_face_size(detections: np.ndarray) -> tuple[int, int]:
    """(height, width) in whole pixels of the median box of (n, 4) boxes, those with NaN left out; (0, 0) for none."""
    boxes = detections[np.isfinite(detections).all(axis=1)]
    if not len(boxes):
        return 0, 0
    width, height = np.median(boxes[:, 2:] - boxes[:, :2], axis=0)
    return round(float(height)), round(float(width))


def write_meta(path: Path, meta: ClipMeta) -> None:
    """Write a clip's JSON, whole or not at all; numbers of pixels are rounded to 1/100, mouths to 1/1000.

    Raises:
        OutputError: It cannot be written.
    """
    content = {
        "mp4_path": meta.mp4_path.as_posix(),
        "wav_path": meta.wav_path.as_posix(),
        "video_size": list(meta.video_size),
        "face_size": list(meta.face_size),
        "frames": meta.frames,
        "face_list": _rows(meta.detections),
        "landmark_list": _rows(meta.landmarks),
        "isvalid": meta.isvalid,
        "regions_path": meta.regions_path and meta.regions_path.as_posix(),
        "settings": meta.settings,
        "dropped": meta.dropped,
        "twins": [twin.as_posix() for twin in meta.twins],
        "mouth_list": None if meta.mouths is None else _rows(meta.mouths, 3),
        "source": meta.source and meta.source.as_posix(),
        "first_frame": meta.first_frame,
    }
    write_whole(path, json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode())


def _rows(values: np.ndarray, decimals: int = 2) -> list[Any]:
    rounded = np.round(values.astype(np.float64), decimals)
    known = np.isfinite(rounded.reshape(len(rounded), -1)).all(axis=1)
    return [row.tolist() if there else None for row, there in zip(rounded, known, strict=True)]


def read_meta(path: str | Path) -> ClipMeta:
    """A clip's JSON; files of the published preprocessing are read too.

    Paths in it are kept where they lead to a file or are absolute; a relative one that leads nowhere is looked for
    from the JSON's folder upwards, so that a data set may be moved as a whole.

    Raises:
        InputError: The file is missing or damaged, or a key is missing or wrong; names file and key.
    """
    path = Path(path)
    reader = _Reader(path)
    frames = reader.whole("frames")
    detections = reader.array("face_list", frames, (4,))
    boxes = detections[np.isfinite(detections).all(axis=1)]
    if ((boxes[:, 2:] - boxes[:, :2]) <= 0).any():
        reader.fail("face_list", "holds a box without area")
    return ClipMeta(
        mp4_path=reader.path_of("mp4_path", needed=True),
        wav_path=reader.path_of("wav_path", needed=True),
        video_size=reader.size("video_size"),
        face_size=reader.size("face_size"),
        frames=frames,
        detections=detections,
        landmarks=reader.array("landmark_list", frames, (LANDMARK_COUNT, 2)),
        isvalid=reader.truth("isvalid"),
        regions_path=reader.optional_path("regions_path"),
        settings=reader.text("settings"),
        dropped=reader.text("dropped"),
        twins=reader.paths("twins"),
        mouths=reader.optional_array("mouth_list", frames, (len(CHANNELS),)),
        source=reader.optional_path("source"),
        first_frame=reader.whole("first_frame", 0),
    )


class _Reader:
    """Takes checked values out of one JSON file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"{path}: no such file", _FIX) from None
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}", _FIX) from None
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: not the JSON of a clip: {' '.join(str(error).split())}", _FIX) from None
        if not isinstance(content, dict):
            raise InputError(f"{path}: not the JSON of a clip: it holds no keys", _FIX)
        self._content = content

    def fail(self, key: str, reason: str) -> NoReturn:
        raise InputError(f"{self._path}: {key} {reason}", _FIX)

    def _get(self, key: str) -> Any:
        if key not in self._content:
            self.fail(key, "is missing")
        return self._content[key]

    def whole(self, key: str, default: int | None = None) -> int:
        value = self._get(key) if default is None else self._content.get(key, default)
        if type(value) is not int or value < 0:
            self.fail(key, f"is {value!r:.40}, not a whole number")
        return value

    def truth(self, key: str) -> bool:
        value = self._get(key)
        if not isinstance(value, bool):
            self.fail(key, f"is {value!r:.40}, not true or false")
        return value

    def size(self, key: str) -> tuple[int, int]:
        value = self._get(key)
        if not isinstance(value, list) or len(value) != 2 or not all(_is_number(one) and one >= 0 for one in value):
            self.fail(key, f"is {value!r:.40}, not [height, width]")
        return round(value[0]), round(value[1])

    def text(self, key: str) -> str | None:
        value = self._content.get(key)
        if value is not None and not isinstance(value, str):
            self.fail(key, f"is {value!r:.40}, not a text")
        return value

    def optional_path(self, key: str) -> Path | None:
        return self.path_of(key, needed=False) if self._content.get(key) is not None else None

    def paths(self, key: str) -> tuple[Path, ...]:
        values = self._content.get(key) or []
        if not isinstance(values, list):
            self.fail(key, f"is {values!r:.40}, not a list of paths")
        return tuple(self._path_from(key, value) for value in values)

    def path_of(self, key: str, needed: bool) -> Path:
        return self._path_from(key, self._get(key))

    def _path_from(self, key: str, value: object) -> Path:
        if not isinstance(value, str) or not value or "\0" in value:
            self.fail(key, f"is {value!r:.40}, not a path")
        return found_from(Path(value), self._path.parent)

    def optional_array(self, key: str, frames: int, shape: tuple[int, ...]) -> np.ndarray | None:
        if self._content.get(key) is None:
            return None
        values = self.array(key, frames, shape)
        if not np.isfinite(values).all():
            self.fail(key, "has an entry that is null")
        return values

    def array(self, key: str, frames: int, shape: tuple[int, ...]) -> np.ndarray:
        """(frames, *shape) float32, NaN where the entry is null or empty."""
        rows = self._get(key)
        if not isinstance(rows, list):
            self.fail(key, "is not a list")
        if len(rows) != frames:
            self.fail(key, f"has {len(rows)} entries, but frames is {frames}")
        known = [index for index, row in enumerate(rows) if row]
        values = np.full((frames, *shape), np.nan, np.float32)
        if not known:
            return values
        try:
            given = np.array([rows[index] for index in known], np.float64)
        except (ValueError, TypeError, OverflowError):
            given = np.zeros(0)
        if given.shape != (len(known), *shape):
            self.fail(key, f"has an entry that is not {' × '.join(map(str, shape))} numbers")
        if not np.isfinite(given).all():
            self.fail(key, "has an entry that is not a number")
        values[known] = given
        return values


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def found_from(path: Path, folder: Path) -> Path:
    """`path` if it is absolute or exists as seen from the working directory, else as seen from the nearest of `folder`
    and the folders above it from which it exists; `path` itself where it exists nowhere."""
    if path.is_absolute() or path.exists():
        return path
    folder = folder.absolute()
    return next((base / path for base in (folder, *folder.parents) if (base / path).exists()), path)


def write_list(path: Path, metas: Iterable[Path]) -> None:
    """Write a list of clips: the path of one JSON per line, without a header.

    Raises:
        OutputError: It cannot be written.
    """
    write_whole(path, "".join(f"{meta.as_posix()}\n" for meta in metas).encode())


def read_list(path: str | Path, roots: Sequence[Path] = ()) -> list[Path]:
    """The clips of a list, from its very first line on; blank lines and lines beginning with # are passed over.

    Args:
        path: The list.
        roots: More folders that its paths may be relative to (published: meta_root).

    Returns:
        Paths of JSON files: as they are given where they exist (relative to the working directory, as published), else
        in one of `roots` or in the list's folder or above it.

    Raises:
        InputError: The list is missing, unreadable or names no clip.
    """
    path = Path(path)
    fix = "Run scripts.preprocess, which writes the lists, or give the path of a list."
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise InputError(f"{path}: no such list of clips", fix) from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a list of clips: no text in UTF-8", fix) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}", fix) from None
    names = [line.strip() for line in lines]
    given = [Path(name) for name in names if name and not name.startswith("#")]
    if not given:
        raise InputError(f"{path}: names no clip", fix)
    return [_located(clip, roots, path.parent) for clip in given]


def _located(clip: Path, roots: Sequence[Path], folder: Path) -> Path:
    inside = [root / clip for root in roots if (root / clip).exists()]
    return inside[0] if inside and not clip.exists() else found_from(clip, folder)
