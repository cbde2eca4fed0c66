"""CSIM: is it the same person? The cosine of two faces in the eyes of a recognition network."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch

from musetalk.errors import WeightsError
from musetalk.evaluation.perceptual.arcface import ArcFace, load_arcface
from musetalk.face.landmarks import LEFT_EYE, RIGHT_EYE

SIDE = 112
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Where eyes, nose tip and mouth corners lie in an aligned face: published, of ArcFace and SFace alike."""
NOSE_TIP, MOUTH_CORNERS = 30, (48, 54)


class Recogniser(Protocol):
    """A recognition network."""

    name: str

    def embed(self, face: np.ndarray) -> np.ndarray:
        """(d,) of an aligned (112, 112, 3) uint8 BGR face."""
        ...


def five_points(landmarks: np.ndarray) -> np.ndarray:
    """(5, 2) eyes, nose tip and mouth corners, image left first, of (68, 2) landmarks."""
    eyes = [landmarks[eye].mean(axis=0) for eye in (LEFT_EYE, RIGHT_EYE)]
    return np.stack([*eyes, landmarks[NOSE_TIP], *landmarks[list(MOUTH_CORNERS)]])


def similarity_to_template(points: np.ndarray) -> np.ndarray:
    """(2, 3) matrix of turn, one scale and shift that brings five points (5, 2) nearest to TEMPLATE (least squares)."""
    centre, goal = points.mean(axis=0), TEMPLATE.mean(axis=0)
    source, target = points - centre, TEMPLATE - goal
    # As complex numbers, turn and scale are one factor.
    before, after = source @ (1, 1j), target @ (1, 1j)
    factor = np.vdot(before, after) / np.vdot(before, before).real
    turn = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.column_stack([turn, goal - turn @ centre])


def align(frame: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The face of a BGR frame as recognition networks take it, (112, 112, 3) uint8; black outside the frame."""
    return cv2.warpAffine(frame, similarity_to_template(five_points(landmarks)), (SIDE, SIDE), flags=cv2.INTER_LINEAR)


class ArcFaceRecogniser:
    """ArcFace in torch."""

    name = "ArcFace"

    def __init__(self, network: ArcFace) -> None:
        self._network = network

    @torch.inference_mode()
    def embed(self, face: np.ndarray) -> np.ndarray:
        """See `Recogniser`."""
        rgb = np.ascontiguousarray(face[:, :, ::-1].transpose(2, 0, 1), np.float32)
        x = torch.from_numpy(rgb)[None] / 127.5 - 1
        return self._network(x.to(next(self._network.parameters()).device))[0].cpu().numpy()


class SFaceRecogniser:
    """OpenCV's SFace (Zhong et al. 2021), read from its ONNX file."""

    name = "SFace"

    def __init__(self, path: Path) -> None:
        self._network = cv2.FaceRecognizerSF.create(str(path), "")

    def embed(self, face: np.ndarray) -> np.ndarray:
        """See `Recogniser`."""
        return np.asarray(self._network.feature(face)).ravel()


def load_recogniser(arcface: Path, sface: Path, device: str = "cpu") -> Recogniser | None:
    """ArcFace where its file is, else SFace, else None.

    Raises:
        WeightsError: A file is damaged or of another network.
    """
    if arcface.is_file():
        return ArcFaceRecogniser(load_arcface(arcface, device))
    if sface.is_file():
        return _sface(sface)
    return None


def _sface(path: Path) -> SFaceRecogniser:
    try:
        return SFaceRecogniser(path)
    except cv2.error:
        raise WeightsError(
            f"{path}: cannot be read as an ONNX network", "Delete the file and fetch it again."
        ) from None


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Cosine of two embeddings, −1…1."""
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second / lengths) if lengths > 0 else 0.0
