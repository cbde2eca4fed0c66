"""Which frame of a source or reference belongs beside each frame of a generated video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import repeat
from pathlib import Path

import cv2
import numpy as np

from musetalk.evaluation.track import FaceTrack
from musetalk.media.frames import open_source

FORWARD_AND_BACKWARD, AGAIN, HELD = "forward and backward", "from its beginning again", "held at its last frame"
LOOPS = (FORWARD_AND_BACKWARD, AGAIN, HELD)


@dataclass(frozen=True, eq=False)
class Pairing:
    """The frame of another video beside each frame of a generated one, both read at the generated one's rate.

    Attributes:
        index: (n,) int64, a frame of the other video; −1 where it has none.
        loop: How the other video goes on after its end, one of LOOPS; None where it does not have to.
        notes: What was done to make the two fit, one line each.
    """

    index: np.ndarray
    loop: str | None
    notes: tuple[str, ...]

    @property
    def paired(self) -> np.ndarray:
        """(n,) bool."""
        return self.index >= 0


def loop_index(count: int, length: int, loop: str) -> np.ndarray:
    """(count,) frames of a video of `length` frames that goes on after its end in one of the ways of LOOPS."""
    place = np.arange(count)
    if loop == AGAIN:
        return place % length
    if loop == HELD:
        return np.minimum(place, length - 1)
    place = place % (2 * length)
    return np.where(place < length, place, 2 * length - 1 - place)


def pair_source(generated: FaceTrack, source: FaceTrack) -> Pairing:
    """The source frame that each generated frame was made from.

    Programs go on in different ways when the sound is longer than the source. The way is told by the pictures: the one
    of LOOPS whose frames look most like the generated ones after the source's end.
    """
    notes = _differences(generated, source, "source")
    count, length = generated.frames, source.frames
    if count <= length:
        return Pairing(np.arange(count), None, notes)
    after = slice(length, count)
    errors = [
        np.abs(source.thumbnails[loop_index(count, length, loop)[after]].astype(int) - generated.thumbnails[after])
        for loop in LOOPS
    ]
    loop = LOOPS[int(np.argmin([error.mean() for error in errors]))]
    said = f"the source ends after {_seconds(source)} of {_seconds(generated)} and goes on {loop}, by the looks of it"
    return Pairing(loop_index(count, length, loop), loop, (*notes, said))


def pair_reference(generated: FaceTrack, reference: FaceTrack) -> Pairing:
    """The reference frame at the same time; frames after its end have none."""
    notes = _differences(generated, reference, "reference")
    index = np.arange(generated.frames)
    if reference.frames != generated.frames:
        index = np.where(index < reference.frames, index, -1)
        longer = "generated video" if generated.frames > reference.frames else "reference"
        lengths = f"{_seconds(generated)} against {_seconds(reference)}"
        notes = (*notes, f"the {longer} is longer ({lengths}); only what both have is compared")
    return Pairing(index, None, notes)


def _seconds(track: FaceTrack) -> str:
    return f"{float(track.seconds):.2f} s"


def _differences(generated: FaceTrack, other: FaceTrack, name: str) -> tuple[str, ...]:
    notes = []
    if other.own_fps != generated.fps:
        notes.append(f"the {name} of {_rate(other.own_fps)} fps is read by time at {_rate(generated.fps)} fps")
    if (other.width, other.height) != (generated.width, generated.height):
        notes.append(
            f"the {name} of {other.width}×{other.height} is scaled to {generated.width}×{generated.height}; numbers "
            "that compare pixels include what scaling does"
        )
    return tuple(notes)


def _rate(fps: Fraction) -> str:
    return f"{float(fps):.3f}".rstrip("0").rstrip(".")


def read_paired(path: Path, fps: Fraction, pairing: Pairing, size: tuple[int, int]) -> Iterator[np.ndarray | None]:
    """Yield the frame beside each generated one, scaled to its size, in one pass; None where there is none.

    Args:
        path: The other video.
        fps: The generated video's rate.
        pairing: Of the two.
        size: (width, height) of the generated video.

    Raises:
        InputError: The frames cannot be read.
    """
    for index, frame in zip(pairing.index, _endless(path, fps, pairing.loop), strict=False):
        if index < 0 or frame is None:
            yield None
        elif frame.shape[1::-1] == size:
            yield frame
        else:
            shrinks = size[0] < frame.shape[1]
            yield cv2.resize(frame, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def _endless(path: Path, fps: Fraction, loop: str | None) -> Iterator[np.ndarray | None]:
    if loop == FORWARD_AND_BACKWARD:
        yield from (frame for _, frame in open_source(path, fps).ping_pong())
    frame: np.ndarray | None = None
    while True:
        for frame in open_source(path, fps).frames():
            yield frame
        if loop != AGAIN:
            yield from repeat(frame if loop == HELD else None)
