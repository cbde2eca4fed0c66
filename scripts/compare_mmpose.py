"""Compares the keypoints of `mmpose` and `dwpose`: they are to be equal.

    python -m scripts.compare_mmpose [--weights models/dwpose/dw-ll_ucoco_384.pth] [image ...]

Without --weights both networks get the same random weights, through a checkpoint of the published layout. Without
images, random ones of several sizes are taken. Needs mmpose: sh scripts/install_mmlab.sh. Exit code 0 if equal.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from musetalk.errors import InputError, MuseTalkError
from musetalk.face.dwpose_finder import WholeBodyKeypoints, face_landmarks, load_rtmpose
from musetalk.face.mmpose_finder import MMPoseKeypoints
from musetalk.models.rtmpose import RTMPose

# Keypoints are to be equal; scores are logits and differ by rounding where sums are taken in another order.
SCORE_TOLERANCE = 1e-3


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.compare_mmpose", description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="*", type=Path)
    parser.add_argument("--weights", type=Path, help="dw-ll_ucoco_384.pth (default: random weights)")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    try:
        frames = [_read(path) for path in options.images] or random_images()
        with tempfile.TemporaryDirectory() as folder:
            weights = options.weights or write_random_weights(Path(folder) / "dw-ll_ucoco_384.pth")
            return 0 if _compare(frames, weights, options.device) else 1
    except MuseTalkError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def random_images() -> list[np.ndarray]:
    """Soft spots of strong colours; wide, tall, square and small; BGR uint8."""
    rng = np.random.default_rng(0)
    sizes = [(640, 360), (704, 1216), (512, 512), (61, 97)]
    spots = [rng.integers(0, 256, (height // 24 + 1, width // 24 + 1, 3), dtype=np.uint8) for width, height in sizes]
    return [
        cv2.resize(small, size, interpolation=cv2.INTER_CUBIC) for small, size in zip(spots, sizes, strict=True)
    ]


@torch.no_grad()
def write_random_weights(path: Path) -> Path:
    """A checkpoint of the published layout whose network answers differently to different images.

    With plain random weights the biases outweigh the image and any two images give the same keypoints, so a wrong
    preprocessing would compare equal: here filters sum to 0 and biases are small. A larger gain (2.0 was tried) makes
    the network magnify rounding until float32 and float64 disagree, and then any two libraries differ.
    """
    generator = torch.Generator().manual_seed(0)
    network = RTMPose()
    for key, value in network.state_dict().items():
        if not value.is_floating_point():
            continue
        noise = torch.randn(value.shape, generator=generator)
        if key.endswith("running_var"):
            value.copy_(1 + 0.1 * noise.abs())
        elif value.dim() > 1:
            if value.dim() == 4:
                noise -= noise.mean(dim=(1, 2, 3), keepdim=True)
            value.copy_(1.65 * noise / value[0].numel() ** 0.5)
        else:
            value.copy_(0.02 * noise + (0 if key.endswith(("bias", "running_mean")) else 1))
    torch.save({"state_dict": network.state_dict(), "meta": {}}, path)
    return path


def _read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path))
    if image is None:
        raise InputError(f"{path}: not an image.", "Give image files.")
    return image


def _compare(frames: Sequence[np.ndarray], weights: Path, device: str) -> bool:
    _print_versions()
    equal = True
    for flip_test in (True, False):
        theirs = MMPoseKeypoints(weights, device, flip_test)
        ours = WholeBodyKeypoints(load_rtmpose(weights), device, flip_test=flip_test)
        for frame in frames:
            (their_points,), (their_scores,) = theirs.find([frame])
            (our_points,), (our_scores,) = ours.find([frame])
            distance = float(np.abs(their_points - our_points).max())
            score_distance = float(np.abs(their_scores - our_scores).max())
            landmarks_equal = bool(np.array_equal(face_landmarks(their_points), face_landmarks(our_points)))
            same = distance == 0 and landmarks_equal and score_distance <= SCORE_TOLERANCE
            equal = equal and same
            print(
                f"{frame.shape[1]}x{frame.shape[0]} flip test {'on' if flip_test else 'off'}: "
                f"keypoints differ by {distance:.2e} pixels, scores by {score_distance:.2e}; "
                f"landmarks {'equal' if landmarks_equal else 'differ'}"
            )
    print("mmpose and dwpose give equal keypoints." if equal else "mmpose and dwpose DIFFER.")
    return equal


def _print_versions() -> None:
    from importlib.metadata import PackageNotFoundError, version

    versions = []
    for name in ("torch", "numpy", "mmengine", "mmcv", "mmcv-lite", "mmdet", "mmpose"):
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    backbone = "mmdet" if importlib.util.find_spec("mmdet") else "musetalk"
    print(", ".join(versions) + f"; backbone of {backbone}")


if __name__ == "__main__":
    raise SystemExit(main())
