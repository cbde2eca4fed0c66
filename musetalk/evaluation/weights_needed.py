"""Where the trained networks of the scorer lie under the models folder, and what to say when one is missing."""

from __future__ import annotations

from pathlib import Path

from musetalk.evaluation.evidence import Evidence
from musetalk.evaluation.values import NotMeasurable
from musetalk.weights import download_command

LSE_SYNCNET = Path("evaluation/syncnet_v2.model")
INCEPTION = Path("evaluation/pt_inception-2015-12-05-6726825d.pth")
ALEXNET = Path("evaluation/alexnet-owt-7be5be79.pth")
LPIPS_LINEAR = Path("evaluation/lpips_alex_v0.1.pth")
SFACE = Path("evaluation/face_recognition_sface_2021dec.onnx")
ARCFACE = Path("evaluation/arcface.pth")
"""backbone.pth of an iresnet of arcface_torch; taken before SFace where it is. It is not downloaded."""
SYNCNET_CONFIG = Path("mini/syncnet/syncnet.yaml")
SYNCNET_WEIGHTS = Path("mini/syncnet/model.safetensors")
"""The project's own, trained on its rendered heads."""


def needed(evidence: Evidence, *files: Path) -> list[Path]:
    """The files under the models folder.

    Raises:
        NotMeasurable: Names all that are missing, and how to get those that can be downloaded.
    """
    paths = [evidence.models_dir / file for file in files]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise lacking(evidence, " and ".join(str(path) for path in missing), SYNCNET_CONFIG not in files)
    return paths


def lacking(evidence: Evidence, names: str, downloaded: bool = True) -> NotMeasurable:
    """The reason of a metric without its files."""
    command = download_command(["evaluation"], evidence.models_dir)
    return NotMeasurable(f"lacks {names}" + (f" (`{command}`)" if downloaded else ""))
