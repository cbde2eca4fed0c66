"""What distinguishes the model versions: files and published settings, in one table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from musetalk.errors import UsageError

NONE = "none"
"""The value of --refiner for none."""


@dataclass(frozen=True)
class VersionSpec:
    """One model version.

    Attributes:
        name: Value of --version.
        unet_config: File, relative to the models folder.
        unet_weights: File, relative to the models folder.
        vae: Folder, relative to the models folder.
        audio_encoder: Folder, relative to the models folder.
        parsing_mode: Mask for blending when --parsing_mode is not given.
        lowers_chin: Whether the box is lowered by extra_margin before it is cut out.
        shifts_box: Whether bbox_shift applies.
        face_finder: What `--face_finder auto` takes when the published weights are not there, or for mini always.
        parser: Likewise for `--parser auto`.
        fades_inside_box: Whether the mask fades out inside the box, alike in dubbing and prepared avatars; published
            versions leave half of it at the edge, and prepared avatars fade out wider.
        refiner: Folder, relative to the models folder, of the network that gives faces the sharpness of their frames.
        keeps_tone: Whether films without colours keep their tones.
        bundled: Whether the weights come with the project.
    """

    name: str
    unet_config: str
    unet_weights: str
    vae: str
    audio_encoder: str
    parsing_mode: str
    lowers_chin: bool
    shifts_box: bool
    face_finder: str = "mediapipe"
    parser: str = "landmarks"
    fades_inside_box: bool = False
    refiner: str | None = None
    keeps_tone: bool = False
    bundled: bool = False


VERSIONS: dict[str, VersionSpec] = {
    spec.name: spec
    for spec in (
        VersionSpec(
            "v1",
            unet_config="musetalk/musetalk.json",
            unet_weights="musetalk/pytorch_model.bin",
            vae="sd-vae",
            audio_encoder="whisper",
            parsing_mode="raw",
            lowers_chin=False,
            shifts_box=True,
        ),
        VersionSpec(
            "v15",
            unet_config="musetalkV15/musetalk.json",
            unet_weights="musetalkV15/unet.pth",
            vae="sd-vae",
            audio_encoder="whisper",
            parsing_mode="jaw",
            lowers_chin=True,
            shifts_box=False,
        ),
        VersionSpec(
            "mini",
            unet_config="mini/unet/config.json",
            unet_weights="mini/unet/diffusion_pytorch_model.safetensors",
            vae="mini/vae",
            audio_encoder="mini/audio_encoder",
            parsing_mode="jaw",
            lowers_chin=True,
            shifts_box=False,
            fades_inside_box=True,
            refiner="mini/refiner",
            keeps_tone=True,
            bundled=True,
        ),
    )
}


def find_version(name: str) -> VersionSpec:
    """The version of a name.

    Raises:
        UsageError: There is none.
    """
    if name not in VERSIONS:
        raise UsageError(f"there is no model version {name!r}", f"Use {', '.join(VERSIONS)}.")
    return VERSIONS[name]


@dataclass(frozen=True)
class NetworkPaths:
    """The files of the networks, after --models_dir and the path flags."""

    unet_config: Path
    unet_weights: Path
    vae: Path
    audio_encoder: Path
    refiner: Path | None = None


def network_paths(
    version: str,
    models_dir: Path | str = "models",
    *,
    unet_config: Path | str | None = None,
    unet_weights: Path | str | None = None,
    vae_type: str | None = None,
    audio_encoder: Path | str | None = None,
    refiner: Path | str | None = None,
) -> NetworkPaths:
    """Where a version's networks lie; each argument that is given replaces the version's own.

    Args:
        version: Name of a version.
        models_dir: Folder of all weights.
        unet_config: musetalk.json (--unet_config).
        unet_weights: --unet_model_path.
        vae_type: Name of the VAE's folder under models_dir (--vae_type).
        audio_encoder: Whisper's folder (--whisper_dir).
        refiner: The refiner's folder, or NONE (--refiner).
    """
    spec, root = find_version(version), Path(models_dir)
    return NetworkPaths(
        unet_config=Path(unet_config) if unet_config is not None else root / spec.unet_config,
        unet_weights=Path(unet_weights) if unet_weights is not None else root / spec.unet_weights,
        vae=root / (vae_type if vae_type is not None else spec.vae),
        audio_encoder=Path(audio_encoder) if audio_encoder is not None else root / spec.audio_encoder,
        refiner=_refiner(spec, root, refiner),
    )


def _refiner(spec: VersionSpec, root: Path, given: Path | str | None) -> Path | None:
    if given is not None:
        return None if str(given) == NONE else Path(given)
    return root / spec.refiner if spec.refiner is not None else None
