"""The weight files of the published system: where each lies under models/, where it comes from, who needs it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from musetalk.errors import UsageError

DEFAULT_MODELS_DIR = Path("models")


@dataclass(frozen=True)
class HuggingFace:
    """A file of a Hugging Face repository."""

    repository: str
    file: str


@dataclass(frozen=True)
class GoogleDrive:
    """A shared file of Google Drive."""

    identifier: str


@dataclass(frozen=True)
class Url:
    """A file at an address of its own."""

    address: str


@dataclass(frozen=True)
class WeightFile:
    """One file of the published layout.

    Attributes:
        path: Below the models folder, with forward slashes.
        source: Where it is fetched from.
        part: The part of the system that reads it.
        sha256_prefix: How the file's SHA-256 begins, as far as its published name says.
        holds_logs: Whether it may hold objects of other packages beside its tensors.
    """

    path: str
    source: HuggingFace | GoogleDrive | Url
    part: str
    sha256_prefix: str | None = None
    holds_logs: bool = False

    def under(self, models_dir: str | Path) -> Path:
        return Path(models_dir, *self.path.split("/"))


_MUSETALK = "TMElyralab/MuseTalk"
_VAE = "stabilityai/sd-vae-ft-mse"
_WHISPER = "openai/whisper-tiny"

FILES: tuple[WeightFile, ...] = (
    WeightFile("musetalk/musetalk.json", HuggingFace(_MUSETALK, "musetalk/musetalk.json"), "v1"),
    WeightFile("musetalk/pytorch_model.bin", HuggingFace(_MUSETALK, "musetalk/pytorch_model.bin"), "v1"),
    WeightFile("musetalkV15/musetalk.json", HuggingFace(_MUSETALK, "musetalkV15/musetalk.json"), "v15"),
    WeightFile("musetalkV15/unet.pth", HuggingFace(_MUSETALK, "musetalkV15/unet.pth"), "v15"),
    WeightFile("sd-vae/config.json", HuggingFace(_VAE, "config.json"), "vae"),
    WeightFile("sd-vae/diffusion_pytorch_model.bin", HuggingFace(_VAE, "diffusion_pytorch_model.bin"), "vae"),
    WeightFile("whisper/config.json", HuggingFace(_WHISPER, "config.json"), "whisper"),
    WeightFile("whisper/pytorch_model.bin", HuggingFace(_WHISPER, "pytorch_model.bin"), "whisper"),
    WeightFile("whisper/preprocessor_config.json", HuggingFace(_WHISPER, "preprocessor_config.json"), "whisper"),
    WeightFile(
        "dwpose/dw-ll_ucoco_384.pth", HuggingFace("yzd-v/DWPose", "dw-ll_ucoco_384.pth"), "dwpose", holds_logs=True
    ),
    WeightFile(
        "s3fd/s3fd-619a316812.pth",
        Url("https://www.adrianbulat.com/downloads/python-fan/s3fd-619a316812.pth"),
        "s3fd",
        sha256_prefix="619a316812",
    ),
    WeightFile("face-parse-bisent/79999_iter.pth", GoogleDrive("154JgKpzCPW82qINcVieuPH3fZ2e0P812"), "bisenet"),
    WeightFile(
        # Only for the layout's sake: 79999_iter.pth holds these weights too, so nothing here reads this file.
        "face-parse-bisent/resnet18-5c106cde.pth",
        Url("https://download.pytorch.org/models/resnet18-5c106cde.pth"),
        "resnet18",
        sha256_prefix="5c106cde",
    ),
    WeightFile(
        "syncnet/latentsync_syncnet.pt", HuggingFace("ByteDance/LatentSync", "latentsync_syncnet.pt"), "training"
    ),
    WeightFile(
        "vgg19/vgg19-dcbb9e9d.pth",
        Url("https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"),
        "training",
        sha256_prefix="dcbb9e9d",
    ),
    # Only scripts.evaluate reads these.
    WeightFile(
        "evaluation/syncnet_v2.model",
        Url("http://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model"),
        "evaluation",
    ),
    WeightFile(
        "evaluation/pt_inception-2015-12-05-6726825d.pth",
        Url(
            "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth"
        ),
        "evaluation",
    ),
    WeightFile(
        "evaluation/alexnet-owt-7be5be79.pth",
        Url("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"),
        "evaluation",
        sha256_prefix="7be5be79",
    ),
    WeightFile(
        "evaluation/lpips_alex_v0.1.pth",
        Url("https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1/alex.pth"),
        "evaluation",
    ),
    WeightFile(
        "evaluation/face_recognition_sface_2021dec.onnx",
        Url(
            "https://github.com/opencv/opencv_zoo/raw/main/models/face_recognition_sface/"
            "face_recognition_sface_2021dec.onnx"
        ),
        "evaluation",
    ),
)

# What a user chooses, and the parts of FILES that it needs. `mini` ships with the project; `mediapipe` and `landmarks`
# need no weight file.
CHOICES: dict[str, tuple[str, ...]] = {
    "v1": ("v1", "vae", "whisper"),
    "v15": ("v15", "vae", "whisper"),
    "mini": (),
    "mediapipe": (),
    "dwpose": ("dwpose", "s3fd"),
    "mmpose": ("dwpose", "s3fd"),
    "s3fd": ("s3fd",),
    "landmarks": (),
    "bisenet": ("bisenet",),
    "training": ("training",),
    "evaluation": ("evaluation", "s3fd"),
    "resnet18": ("resnet18",),
}


def files_for(choices: Iterable[str]) -> list[WeightFile]:
    """The files that versions, face finders, parsers and training need together, in the manifest's order.

    Args:
        choices: Keys of CHOICES, e.g. `["v15", "dwpose", "bisenet"]`.

    Raises:
        UsageError: A choice is unknown.
    """
    parts: set[str] = set()
    for choice in choices:
        if choice not in CHOICES:
            raise UsageError(f"There are no weights for {choice!r}.", f"Choose from {', '.join(CHOICES)}.")
        parts.update(CHOICES[choice])
    return [file for file in FILES if file.part in parts]


def missing_files(choices: Iterable[str], models_dir: str | Path = DEFAULT_MODELS_DIR) -> list[WeightFile]:
    """Those files that do not exist under models_dir, or are empty."""
    return [file for file in files_for(choices) if not _is_there(file.under(models_dir))]


def download_command(choices: Iterable[str], models_dir: str | Path = DEFAULT_MODELS_DIR) -> str:
    """The command line that fetches what the choices need."""
    words = ["python", "-m", "scripts.download_weights", "--parts", *dict.fromkeys(choices)]
    if Path(models_dir) != DEFAULT_MODELS_DIR:
        words += ["--models_dir", str(models_dir)]
    return shlex.join(words)


def _is_there(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0
