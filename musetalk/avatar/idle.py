"""The face of each frame while nobody speaks: a mouth that is closed and stays still.

In silence the networks keep some of the mouth that the reference shows, so an avatar whose source speaks would not
rest. So where a frame's mouth is open, its reference gets the closed mouth of another frame of the same source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import torch

from musetalk.audio.features import AudioFeatures
from musetalk.audio.windows import SAMPLE_RATE
from musetalk.evaluation.lip_sync import lip_gap
from musetalk.face.landmarks import LEFT_EYE, NOSE_BASE, NOSE_BRIDGE, OUTER_LIPS, RIGHT_EYE, Box, Face
from musetalk.pipeline.generator import Generator, cut_face
from musetalk.pipeline.settings import DubSettings

CLOSED_SHARE = 0.25
"""Of the faces, those with the smallest gap between the lips count as closed."""
MOST_CLOSED = 64
MOST_APART = 0.04
"""Faces laid on each other that stay further apart than this, over the side of the face, are other views of a head."""
LIPS_SCALE = 1.15
"""Size of the area that is taken over, to that of the lips."""
LIPS_FADE = 0.25
"""Width of its soft edge, over that of the lips."""

_SILENCE_SECONDS = 2  # the window in the middle sees silence alone, and no edge of it
_STEADY = np.r_[NOSE_BRIDGE, NOSE_BASE, LEFT_EYE, RIGHT_EYE]  # landmarks that speech moves least
_COMPARED = np.r_[_STEADY, 0:3, 14:17]  # and the jaw before the ears, which tells where the head turns


@dataclass(frozen=True)
class IdleFace:
    """A face that is to rest.

    Attributes:
        frame: Number of its frame.
        box: Where it is cut out.
        face: Its landmarks in pixels of the frame, or None where they are not known.
    """

    frame: int
    box: Box
    face: Face | None


def silent_window(audio: AudioFeatures, fps: Fraction, settings: DubSettings) -> np.ndarray:
    """The audio window (tokens, width) of a frame with nothing but silence around it."""
    silence = np.zeros(_SILENCE_SECONDS * SAMPLE_RATE, np.float32)
    windows = list(audio.windows(silence, fps, settings.audio_padding_left, settings.audio_padding_right))
    return windows[len(windows) // 2]


def closed_mouths(faces: Sequence[IdleFace]) -> list[int]:
    """Which of the faces show a closed mouth, the most closed first; none where no landmarks are known."""
    gaps = {place: lip_gap(face.face) for place, face in enumerate(faces) if face.face is not None}
    count = min(max(int(len(faces) * CLOSED_SHARE), 1), MOST_CLOSED)
    return sorted(gaps, key=lambda place: gaps[place])[:count]


def most_alike(landmarks: np.ndarray, others: np.ndarray) -> tuple[int, np.ndarray, float]:
    """Which of some faces can best be laid on a face by turning, scaling and moving it.

    Args:
        landmarks: (68, 2) of the face.
        others: (n, 68, 2).

    Returns:
        Its place; the (2, 3) matrix that lays it on the face; how far the two stay apart, on average, in pixels.
    """
    target, sources = landmarks @ (1, 1j), others @ (1, 1j)
    middle, middles = target[_STEADY].mean(), sources[:, _STEADY].mean(axis=1, keepdims=True)
    spread = sources[:, _STEADY] - middles
    turns = (spread.conj() * (target[_STEADY] - middle)).sum(axis=1) / (np.abs(spread) ** 2).sum(axis=1)
    laid = turns[:, None] * (sources[:, _COMPARED] - middles) + middle
    apart = np.abs(laid - target[_COMPARED]).mean(axis=1)
    best = int(apart.argmin())
    turn, shift = turns[best], middle - turns[best] * middles[best, 0]
    matrix = np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
    return best, matrix, float(apart[best])


def with_mouth(image: np.ndarray, landmarks: np.ndarray, other: np.ndarray, other_landmarks: np.ndarray) -> np.ndarray:
    """A face with the mouth of another one, which has been laid on it.

    Args:
        image: (s, s, 3) BGR uint8.
        landmarks: (68, 2) in its pixels.
        other: (s, s, 3) BGR uint8.
        other_landmarks: (68, 2) in the same pixels.
    """
    lips = np.concatenate([landmarks[OUTER_LIPS], other_landmarks[OUTER_LIPS]])
    middle = (lips.min(axis=0) + lips.max(axis=0)) / 2
    hull = cv2.convexHull((middle + (lips - middle) * LIPS_SCALE).astype(np.float32))
    weight: Any = np.zeros(image.shape[:2], np.float32)
    cv2.fillConvexPoly(weight, np.rint(hull).astype(np.int32), (1.0,))
    half = max(int(np.ptp(landmarks[OUTER_LIPS, 0]) * LIPS_FADE / 2), 1)
    # As much wider as the soft edge takes away again.
    weight = cv2.GaussianBlur(cv2.dilate(weight, np.ones((half, half), np.uint8)), (2 * half + 1, 2 * half + 1), 0)
    mixed = image + (other.astype(np.float32) - image) * weight[:, :, None]
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


class References:
    """Makes the reference of each face: itself, with a closed mouth where another frame can lend one.

    Args:
        faces: All faces.
        image: Gives a frame by its number, (H, W, 3) BGR uint8.
        size: Side of the references.
    """

    def __init__(self, faces: Sequence[IdleFace], image: Callable[[int], np.ndarray], size: int) -> None:
        self._faces = faces
        self._image = image
        self._size = size
        self._closed = closed_mouths(faces)
        self._closed_landmarks = np.array([self._landmarks(faces[place]) for place in self._closed])

    def of(self, place: int) -> np.ndarray | None:
        """The reference of a face, (s, s, 3) BGR uint8; None: the face as it is."""
        own = self._faces[place]
        if own.face is None or not self._closed or place in self._closed:
            return None
        landmarks = self._landmarks(own)
        best, matrix, apart = most_alike(landmarks, self._closed_landmarks)
        if apart > MOST_APART * self._size:
            return None
        lender = self._faces[self._closed[best]]
        # From the lender's frame, not its cut, which may end within the mouth's surroundings.
        to_own = matrix @ np.vstack([self._to_face(lender.box), [0, 0, 1]])
        laid = cv2.warpAffine(
            self._image(lender.frame), to_own, (self._size, self._size), borderMode=cv2.BORDER_REPLICATE
        )
        laid_landmarks = self._closed_landmarks[best] @ matrix[:, :2].T + matrix[:, 2]
        image = cut_face(self._image(own.frame), own.box, self._size)
        return with_mouth(image, landmarks, laid, laid_landmarks)

    def _landmarks(self, face: IdleFace) -> np.ndarray:
        """(68, 2) in pixels of the face as it is cut out."""
        assert face.face is not None
        matrix = self._to_face(face.box)
        return face.face.landmarks @ matrix[:, :2].T + matrix[:, 2]

    def _to_face(self, box: Box) -> np.ndarray:
        """(2, 3) matrix from pixels of a frame to those of a face that is cut out of it."""
        x1, y1, x2, y2 = box
        across, down = self._size / (x2 - x1), self._size / (y2 - y1)
        return np.array([[across, 0, -x1 * across], [0, down, -y1 * down]])


def idle_faces(
    references: References,
    latents: Callable[[int, int], np.ndarray],
    count: int,
    silence: np.ndarray,
    generator: Generator,
    batch_size: int,
) -> Iterator[np.ndarray]:
    """The idle face of each face, (s, s, 3) BGR uint8.

    Args:
        references: Their references.
        latents: Gives the UNet inputs (n, 2·c, h, w) float32 of faces from one to before another.
        count: How many faces.
        silence: From `silent_window`.
        generator: The networks.
        batch_size: Faces in one pass.
    """
    for start in range(0, count, batch_size):
        inputs = torch.from_numpy(latents(start, min(start + batch_size, count)))
        lent = {place: image for place in range(len(inputs)) if (image := references.of(start + place)) is not None}
        if lent:
            places = list(lent)
            inputs[places] = generator.with_references(inputs[places], list(lent.values())).cpu()
        yield from generator.generate(inputs, np.stack([silence] * len(inputs)))
