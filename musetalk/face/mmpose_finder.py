"""The face finder `mmpose`: the published way to landmarks, through mmpose itself. An extra.

`sh scripts/install_mmlab.sh` installs mmpose, which is imported only when this finder is made. The landmarks equal
those of `dwpose`, which needs none of it (scripts/compare_mmpose.py shows that).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from musetalk.checkpoint import load_into, read_state_dict
from musetalk.errors import DeviceError
from musetalk.face.dwpose_finder import BOX_PADDING, MEAN, STD, WEIGHTS, faces_with_landmarks
from musetalk.face.landmarks import Face
from musetalk.face.s3fd import WEIGHTS as S3FD_WEIGHTS
from musetalk.face.s3fd import S3FDDetector
from musetalk.models.rtmpose import INPUT_HEIGHT, INPUT_WIDTH, KEYPOINTS, SIMCC_SPLIT, CSPNeXt

_BACKBONE_OF_OURS = "MuseTalkCSPNeXt"
_INPUT_SIZE = (INPUT_WIDTH, INPUT_HEIGHT)
_CODEC = {
    "type": "SimCCLabel",
    "input_size": _INPUT_SIZE,
    "sigma": (6.0, 6.93),
    "simcc_split_ratio": float(SIMCC_SPLIT),
    "normalize": False,
    "use_dark": False,
}
_MMDET_BACKBONE = {
    "_scope_": "mmdet",
    "type": "CSPNeXt",
    "arch": "P5",
    "expand_ratio": 0.5,
    "deepen_factor": 1.0,
    "widen_factor": 1.0,
    "out_indices": (4,),
    "channel_attention": True,
    "norm_cfg": {"type": "BN"},
    "act_cfg": {"type": "SiLU"},
}


def mmpose_config(with_mmdet: bool, flip_test: bool = True) -> dict:
    """mmpose's configuration of RTMPose-l whole-body at 288×384 (published), for inference.

    Args:
        with_mmdet: Take mmdet's backbone, as published; otherwise the one of this project under its own name.
        flip_test: Average with the mirrored image (published).
    """
    head = {
        "type": "RTMCCHead",
        "in_channels": 1024,
        "out_channels": KEYPOINTS,
        "input_size": _INPUT_SIZE,
        "in_featuremap_size": (INPUT_WIDTH // 32, INPUT_HEIGHT // 32),
        "simcc_split_ratio": float(SIMCC_SPLIT),
        "final_layer_kernel_size": 7,
        "gau_cfg": {
            "hidden_dims": 256,
            "s": 128,
            "expansion_factor": 2,
            "dropout_rate": 0.0,
            "drop_path": 0.0,
            "act_fn": "SiLU",
            "use_rel_bias": False,
            "pos_enc": False,
        },
        "loss": {"type": "KLDiscretLoss", "use_target_weight": True, "beta": 10.0, "label_softmax": True},
        "decoder": _CODEC,
    }
    pipeline = [
        {"type": "LoadImage"},
        {"type": "GetBBoxCenterScale", "padding": BOX_PADDING},
        {"type": "TopdownAffine", "input_size": _INPUT_SIZE},
        {"type": "PackPoseInputs"},
    ]
    dataset = {"type": "CocoWholeBodyDataset", "data_mode": "topdown", "pipeline": pipeline}
    return {
        "default_scope": "mmpose",
        "model": {
            "type": "TopdownPoseEstimator",
            "data_preprocessor": {
                "type": "PoseDataPreprocessor",
                "mean": list(MEAN),
                "std": list(STD),
                "bgr_to_rgb": True,
            },
            "backbone": _MMDET_BACKBONE if with_mmdet else {"type": _BACKBONE_OF_OURS},
            "head": head,
            "test_cfg": {"flip_test": flip_test},
        },
        "train_dataloader": {"dataset": dataset},  # mmpose takes the joints' mirror pairs from here
        "test_dataloader": {"dataset": dataset},
    }


class MMPoseKeypoints:
    """133 keypoints of whole frames, by mmpose's `inference_topdown`."""

    def __init__(self, weights: Path, device: str | torch.device = "cpu", flip_test: bool = True) -> None:
        """
        Args:
            weights: dw-ll_ucoco_384.pth. It is read by this project's reader: mmengine's would run code in it.
            device: Where the network runs, in float32.
            flip_test: Average with the mirrored image (published).

        Raises:
            DeviceError: mmpose is not installed.
            WeightsError: The file is missing, damaged or of the wrong shape.
        """
        missing = [name for name in ("mmengine", "mmcv", "mmpose") if importlib.util.find_spec(name) is None]
        if missing:
            raise DeviceError(
                f"The face finder mmpose needs {', '.join(missing)}, not installed here.",
                "Install them with `sh scripts/install_mmlab.sh .venv`, or use dwpose, which gives the same landmarks.",
            )
        from mmengine.config import Config
        from mmpose.apis import inference_topdown, init_model

        with_mmdet = importlib.util.find_spec("mmdet") is not None
        if not with_mmdet:
            _register_backbone()
        self._model = init_model(Config(mmpose_config(with_mmdet, flip_test)), device=str(device))
        load_into(self._model, read_state_dict(weights, inert=True), weights)
        self._infer = inference_topdown

    def find(self, frames: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Keypoints (frames, 133, 2) in frame pixels and scores (frames, 133) of BGR uint8 frames."""
        found = [self._infer(self._model, frame)[0].pred_instances for frame in frames]
        if not found:
            return np.zeros((0, KEYPOINTS, 2)), np.zeros((0, KEYPOINTS), dtype=np.float32)
        return np.stack([one.keypoints[0] for one in found]), np.stack([one.keypoint_scores[0] for one in found])


def _register_backbone() -> None:
    """Gives mmpose the backbone that otherwise comes with mmdet, which needs mmcv's compiled operators."""
    from mmpose.registry import MODELS

    class Backbone(CSPNeXt):
        def __init__(self, init_cfg: None = None) -> None:
            super().__init__()

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:  # type: ignore[override]
            return (super().forward(x),)

    if _BACKBONE_OF_OURS not in MODELS:
        MODELS.register_module(name=_BACKBONE_OF_OURS, module=Backbone)


class MMPoseFinder:
    """Face finder: S3FD says whether there is a face, mmpose gives its 68 landmarks."""

    name = "mmpose"

    def __init__(self, keypoints: MMPoseKeypoints, detector: S3FDDetector) -> None:
        self._keypoints = keypoints
        self._detector = detector

    @classmethod
    def load(
        cls, models_dir: str | Path, device: str | torch.device = "cpu", flip_test: bool = True
    ) -> MMPoseFinder:
        """The finder with the published weights under models_dir.

        Raises:
            DeviceError: mmpose is not installed.
            WeightsError: A weight file is missing, damaged or of the wrong shape.
        """
        keypoints = MMPoseKeypoints(Path(models_dir) / WEIGHTS, device, flip_test)
        return cls(keypoints, S3FDDetector(Path(models_dir) / S3FD_WEIGHTS, device))

    def find(self, frames: Sequence[np.ndarray]) -> list[Face | None]:
        """The face of each frame (BGR uint8), None where S3FD sees none. Landmarks are whole pixels (published)."""
        return faces_with_landmarks(frames, self._detector, lambda with_face: self._keypoints.find(with_face)[0])

    def count(self, frames: Sequence[np.ndarray], faces: Sequence[Face]) -> list[int]:
        """See `musetalk.face.landmarks.FaceCounter.count`."""
        return self._detector.count(frames, faces)
