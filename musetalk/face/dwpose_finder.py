"""The face finder `dwpose`: DWPose whole-body keypoints in plain PyTorch, faces found by S3FD.

Gives the landmarks of the published pipeline (mmpose's `inference_topdown` on the whole frame) without MMLab.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from musetalk.checkpoint import load_into, read_state_dict
from musetalk.face.landmarks import Face
from musetalk.face.s3fd import WEIGHTS as S3FD_WEIGHTS
from musetalk.face.s3fd import S3FDDetector
from musetalk.models.rtmpose import INPUT_HEIGHT, INPUT_WIDTH, RTMPose, average_with_mirrored, decode

WEIGHTS = Path("dwpose") / "dw-ll_ucoco_384.pth"
FACE_KEYPOINTS = slice(23, 91)  # the 68 of COCO-WholeBody's 133
BOX_PADDING = 1.25  # published: the network sees the box enlarged by this
MEAN = (123.675, 116.28, 103.53)  # published, RGB
STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class InputRegion:
    """The part of a frame that the network sees: centre and size (2,) float32, pixels, x first."""

    center: np.ndarray
    size: np.ndarray


def input_region(box: Sequence[float]) -> InputRegion:
    """The box enlarged by 1.25 and widened to the network's aspect. All in float32, as published."""
    corners = np.asarray(box, dtype=np.float32)
    width, height = (corners[2:] - corners[:2]) * np.float32(BOX_PADDING)
    aspect = np.float32(INPUT_WIDTH / INPUT_HEIGHT)
    size = (width, width / aspect) if width > height * aspect else (height * aspect, height)
    return InputRegion((corners[:2] + corners[2:]) * np.float32(0.5), np.array(size, dtype=np.float32))


def network_image(frame: np.ndarray, region: InputRegion) -> np.ndarray:
    """The region of a frame as (384, 288, 3) uint8, bilinear, black outside the frame."""
    out_center = np.array([INPUT_WIDTH * 0.5, INPUT_HEIGHT * 0.5])
    source = _corner_points(region.center, region.size[0] * 0.5)
    target = _corner_points(out_center, INPUT_WIDTH * 0.5)
    matrix = cv2.getAffineTransform(source, target)
    return cv2.warpAffine(frame, matrix, (INPUT_WIDTH, INPUT_HEIGHT), flags=cv2.INTER_LINEAR)


def _corner_points(center: np.ndarray, half_width: float) -> np.ndarray:
    """Three points that an upright affine crop maps onto each other: the centre, above it, left of that."""
    x, y = center
    return np.array([(x, y), (x, y - half_width), (x - half_width, y - half_width)], dtype=np.float32)


def frame_keypoints(keypoints: np.ndarray, region: InputRegion) -> np.ndarray:
    """Keypoints of the network's input (..., 2) in frame pixels, float64.

    In float64, since the published code truncates the result: float32 moves some points by a pixel.
    """
    size = region.size.astype(np.float64)
    return keypoints.astype(np.float64) / (INPUT_WIDTH, INPUT_HEIGHT) * size + region.center - 0.5 * size


def face_landmarks(keypoints: np.ndarray) -> np.ndarray:
    """The 68 face landmarks (68, 2) of 133 whole-body keypoints, truncated to whole pixels (published)."""
    return np.trunc(keypoints[FACE_KEYPOINTS].astype(np.float64))


class WholeBodyKeypoints:
    """133 keypoints of the person in a box of a frame."""

    def __init__(
        self,
        network: RTMPose,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        flip_test: bool = True,
    ) -> None:
        """
        Args:
            network: With its weights.
            device: Where it runs.
            dtype: What it computes in.
            flip_test: Average with the mirrored image (published). Twice the work.
        """
        self._network = network.to(device=device, dtype=dtype).eval()
        self._device = device
        self._dtype = dtype
        self._flip_test = flip_test
        self._mean = torch.tensor(MEAN, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(STD, device=device).view(1, 3, 1, 1)

    @torch.inference_mode()
    def find(
        self, frames: Sequence[np.ndarray], boxes: Sequence[Sequence[float]] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Keypoints and scores of all frames in one pass of the network.

        Args:
            frames: BGR uint8 (H, W, 3), of any sizes.
            boxes: x1, y1, x2, y2 of the person in each frame; None takes whole frames (published).

        Returns:
            (frames, 133, 2) float64 in frame pixels and (frames, 133) float32.
        """
        if not frames:
            return np.zeros((0, 133, 2)), np.zeros((0, 133), dtype=np.float32)
        if boxes is None:
            boxes = [(0, 0, frame.shape[1], frame.shape[0]) for frame in frames]
        regions = [input_region(box) for box in boxes]
        images = np.stack([network_image(*pair) for pair in zip(frames, regions, strict=True)])
        # Contiguous, as mmpose's input is: in another memory layout torch convolves with other rounding.
        rgb = torch.from_numpy(images).to(self._device).flip(-1).permute(0, 3, 1, 2).contiguous()
        x = ((rgb.float() - self._mean) / self._std).to(self._dtype)
        if self._flip_test:
            both_x, both_y = self._network(torch.cat((x, x.flip(-1))))
            count = len(frames)
            logits = average_with_mirrored((both_x[:count], both_y[:count]), (both_x[count:], both_y[count:]))
        else:
            logits = self._network(x)
        points, scores = decode(logits)
        placed = [frame_keypoints(*pair) for pair in zip(points.cpu().numpy(), regions, strict=True)]
        return np.stack(placed), scores.cpu().numpy()


class DWPoseFinder:
    """Face finder: S3FD says whether there is a face, DWPose gives its 68 landmarks."""

    name = "dwpose"

    def __init__(self, keypoints: WholeBodyKeypoints, detector: S3FDDetector) -> None:
        self._keypoints = keypoints
        self._detector = detector

    @classmethod
    def load(
        cls,
        models_dir: str | Path,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        flip_test: bool = True,
    ) -> DWPoseFinder:
        """The finder with the published weights under models_dir.

        Raises:
            WeightsError: A weight file is missing, damaged or of the wrong shape.
        """
        detector = S3FDDetector(Path(models_dir) / S3FD_WEIGHTS, device)
        network = load_rtmpose(Path(models_dir) / WEIGHTS)
        return cls(WholeBodyKeypoints(network, device, dtype, flip_test), detector)

    def find(self, frames: Sequence[np.ndarray]) -> list[Face | None]:
        """The face of each frame (BGR uint8), None where S3FD sees none. Landmarks are whole pixels (published)."""
        return faces_with_landmarks(frames, self._detector, lambda with_face: self._keypoints.find(with_face)[0])

    def count(self, frames: Sequence[np.ndarray], faces: Sequence[Face]) -> list[int]:
        """See `musetalk.face.landmarks.FaceCounter.count`."""
        return self._detector.count(frames, faces)


def faces_with_landmarks(
    frames: Sequence[np.ndarray],
    detector: S3FDDetector,
    find_keypoints: Callable[[Sequence[np.ndarray]], np.ndarray],
) -> list[Face | None]:
    """The published order of things: whole-body keypoints count only where S3FD sees a face.

    Args:
        frames: BGR uint8 (H, W, 3).
        detector: Says where a face is.
        find_keypoints: Given the frames with a face, their keypoints (frames, 133, 2).
    """
    detections = detector.detect(frames)
    with_face = [frame for frame, detection in zip(frames, detections, strict=True) if detection is not None]
    keypoints = iter(find_keypoints(with_face) if with_face else ())
    return [
        None if detection is None else Face(landmarks=face_landmarks(next(keypoints)), detection=detection)
        for detection in detections
    ]


def load_rtmpose(path: Path) -> RTMPose:
    """The network with the weights of dw-ll_ucoco_384.pth.

    Raises:
        WeightsError: The file is missing, damaged or of the wrong shape.
    """
    network = RTMPose()
    # The published training leaves its logs in the checkpoint, as objects of mmengine and numpy.
    load_into(network, read_state_dict(path, inert=True), path)
    return network
