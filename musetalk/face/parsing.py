"""Face parsers: the mask of the pixels to replace, from a parsing network or from the landmarks alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
import torch
from PIL import Image

from musetalk.face.landmarks import (
    BOX_CENTRE,
    JAW,
    LEFT_BROW,
    NOSE_BASE,
    NOSE_BRIDGE,
    OUTER_LIPS,
    RIGHT_BROW,
    Face,
)
from musetalk.face.masks import (
    DEFAULT_CHEEK_WIDTH,
    NOSE,
    PARSING_SIZE,
    SKIN,
    UPPER_LIP,
    check_parsing_mode,
    parsing_mask,
    resize_mask,
)
from musetalk.models.bisenet import BiSeNet

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""RGB in 0…1, published."""
IMAGENET_STD = (0.229, 0.224, 0.225)

CHIN_EXTENSION = 0.015
"""How far below the chin the landmark mask's skin goes, over the height of the face box: room for an opening jaw."""
JAW_INSET = 0.05
"""How much narrower the landmark mask's skin is than the jaw line: the jaw kernel grows it again by about that."""
NOSE_WIDENING = 1.5
"""Width of the nose with its wings over that of landmarks 31–35, which mark the nostrils."""
LIPS_WIDENING = 1.4
"""Size of the area that moves with the lips over that of the lips: `jaw` pares the cheeks only up to it."""


class FaceParser(Protocol):
    """Makes masks of crops (`crop_box`), before the cut at box and upper boundary and the blur of `blend_mask`.

    Attributes:
        needs_landmarks: whether the masks depend on the faces; else `faces` is not looked at.
    """

    needs_landmarks: bool

    def masks(self, crops: Sequence[np.ndarray], faces: Sequence[Face]) -> list[np.ndarray]:
        """One mask per crop.

        Args:
            crops: BGR uint8 (h, w, 3) each.
            faces: one per crop, in pixels of that crop.

        Returns:
            (h, w) uint8 0…255 each.
        """
        ...


class BiSeNetParser:
    """The published parser.

    Args:
        network: with its weights; moved to `device` and `dtype` and set to evaluation.
        mode, left_cheek_width, right_cheek_width: see `parsing_mask`.
        batch_size: crops in one pass of the network.

    Raises:
        ConfigError: unknown mode.
    """

    needs_landmarks = False

    def __init__(
        self,
        network: BiSeNet,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        *,
        mode: str = "jaw",
        left_cheek_width: int = DEFAULT_CHEEK_WIDTH,
        right_cheek_width: int = DEFAULT_CHEEK_WIDTH,
        batch_size: int = 4,
    ) -> None:
        check_parsing_mode(mode)
        self._network = network.to(device=device, dtype=dtype).eval()
        self._device = torch.device(device)
        self._dtype = dtype
        self._mask_arguments = (mode, left_cheek_width, right_cheek_width)
        self._batch_size = batch_size

    def masks(self, crops: Sequence[np.ndarray], faces: Sequence[Face] = ()) -> list[np.ndarray]:
        """See `FaceParser.masks`."""
        out: list[np.ndarray] = []
        for start in range(0, len(crops), self._batch_size):
            batch = crops[start : start + self._batch_size]
            for crop, labels in zip(batch, self.labels(batch), strict=True):
                mask = parsing_mask(labels, *self._mask_arguments)
                out.append(resize_mask(mask, crop.shape[1], crop.shape[0]))
        return out

    @torch.inference_mode()
    def labels(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """Class maps (n, 512, 512) uint8 of BGR crops of any size."""
        images = np.stack([network_input(crop) for crop in crops])
        x = torch.from_numpy(images).to(device=self._device, dtype=self._dtype)
        return self._network(x).argmax(1).to(torch.uint8).cpu().numpy()


def network_input(crop: np.ndarray) -> np.ndarray:
    """A BGR crop as BiSeNet takes it: (3, 512, 512) float32, RGB, Pillow bilinear, ImageNet mean and std removed."""
    image = Image.fromarray(cv2.cvtColor(crop, cv2.COLOR_BGR2RGB))
    scaled = np.asarray(image.resize((PARSING_SIZE, PARSING_SIZE), Image.Resampling.BILINEAR), np.float32) / 255
    normalised = (scaled - np.asarray(IMAGENET_MEAN, np.float32)) / np.asarray(IMAGENET_STD, np.float32)
    return np.ascontiguousarray(normalised.transpose(2, 0, 1))


class LandmarkParser:
    """Masks drawn from the 68 landmarks, without a network.

    The landmarks are drawn as a class map (skin, nose, lips) that then takes the published way, so that mode and cheek
    widths mean the same as with `BiSeNetParser`. Hair or a hand before the face is not seen; `neck` equals `raw`.

    Args:
        mode, left_cheek_width, right_cheek_width: see `parsing_mask`.

    Raises:
        ConfigError: unknown mode.
    """

    needs_landmarks = True

    def __init__(
        self,
        mode: str = "jaw",
        left_cheek_width: int = DEFAULT_CHEEK_WIDTH,
        right_cheek_width: int = DEFAULT_CHEEK_WIDTH,
    ) -> None:
        check_parsing_mode(mode)
        self._mask_arguments = (mode, left_cheek_width, right_cheek_width)

    def masks(self, crops: Sequence[np.ndarray], faces: Sequence[Face]) -> list[np.ndarray]:
        """See `FaceParser.masks`."""
        out = []
        for crop, face in zip(crops, faces, strict=True):
            height, width = crop.shape[:2]
            labels = landmark_labels(face.landmarks * (PARSING_SIZE / np.array([width, height], np.float64)))
            out.append(resize_mask(parsing_mask(labels, *self._mask_arguments), width, height))
        return out


def landmark_labels(landmarks: np.ndarray) -> np.ndarray:
    """A class map (512, 512) uint8 with skin, nose and lips, from landmarks (68, 2) in its pixels.

    The skin ends at the jaw line, a little below it at the chin, and at the top above the brows.
    """
    half_height = landmarks[JAW, 1].max() - landmarks[BOX_CENTRE, 1]
    jaw = landmarks[JAW].copy()
    # All of the lower jaw moves when the mouth opens, the ears do not.
    share = np.clip((jaw[:, 1] - landmarks[BOX_CENTRE, 1]) / max(half_height, 1.0), 0, 1)
    jaw[:, 1] += share**2 * 2 * half_height * CHIN_EXTENSION
    centre_x = (jaw[:, 0].min() + jaw[:, 0].max()) / 2
    jaw[:, 0] = centre_x + (jaw[:, 0] - centre_x) * (1 - JAW_INSET)
    brows = np.concatenate([landmarks[LEFT_BROW], landmarks[RIGHT_BROW]])
    nostrils = landmarks[NOSE_BASE]
    middle = nostrils.mean(axis=0)
    nose = np.concatenate([landmarks[NOSE_BRIDGE], nostrils, middle + (nostrils - middle) * (NOSE_WIDENING, 1)])

    lips = landmarks[OUTER_LIPS]
    lips_middle = (lips.min(axis=0) + lips.max(axis=0)) / 2

    labels = np.zeros((PARSING_SIZE, PARSING_SIZE), np.uint8)
    _fill(labels, np.concatenate([jaw, brows[::-1]]), SKIN)
    around_lips = np.zeros_like(labels)
    _fill(around_lips, lips_middle + (lips - lips_middle) * LIPS_WIDENING, 1)
    labels[(around_lips == 1) & (labels == SKIN)] = UPPER_LIP
    _fill(labels, cv2.convexHull(nose.astype(np.float32))[:, 0], NOSE)
    _fill(labels, lips, UPPER_LIP)
    return labels


def _fill(labels: np.ndarray, polygon: np.ndarray, label: int) -> None:
    fraction_bits = 4
    points = np.rint(np.asarray(polygon, np.float64) * (1 << fraction_bits)).astype(np.int32)
    cv2.fillPoly(labels, [points], (label,), lineType=cv2.LINE_8, shift=fraction_bits)
