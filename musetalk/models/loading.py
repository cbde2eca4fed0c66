"""Loading the networks of a version together, and checking that they fit each other."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from musetalk.errors import WeightsError
from musetalk.models.audio_encoder import AudioEncoder, load_audio_encoder
from musetalk.models.device import Placement
from musetalk.models.refiner import Refiner, load_refiner
from musetalk.models.unet import Unet, load_unet
from musetalk.models.vae import Vae, load_vae
from musetalk.models.versions import NetworkPaths

REFINED_UNIT = 16  # pixels of a side: the refined rows are then a whole number of pairs


@dataclass(frozen=True)
class Networks:
    """What generation needs, on one device."""

    vae: Vae
    unet: Unet
    audio_encoder: AudioEncoder
    refiner: Refiner | None = None


def load_networks(paths: NetworkPaths, placement: Placement) -> Networks:
    """Read, check and place the networks.

    Raises:
        WeightsError: A file is missing, unsafe, of the wrong shape, or the networks do not fit each other.
    """
    networks = Networks(
        load_vae(paths.vae),
        load_unet(paths.unet_config, paths.unet_weights),
        load_audio_encoder(paths.audio_encoder),
        None if paths.refiner is None else load_refiner(paths.refiner),
    )
    check_fit(networks, paths)
    place(networks, placement.device, placement.dtype)
    return networks


def place(networks: Networks, device: torch.device, dtype: torch.dtype) -> None:
    """Move networks to a device, those of images in a dtype and channels last; the audio encoder stays in float32."""
    refining = () if networks.refiner is None else (networks.refiner.network,)
    for image_network in (networks.vae.network, networks.unet.network, *refining):
        # torch's own .to(): the one of diffusers warns of modules that these networks do not have.
        torch.nn.Module.to(image_network, device=device, dtype=dtype)
        torch.nn.Module.to(image_network, memory_format=torch.channels_last)  # type: ignore[call-overload]
    networks.audio_encoder.network.to(device)


def check_fit(networks: Networks, paths: NetworkPaths) -> None:
    """Check that the UNet takes what the VAE and the audio encoder give.

    Raises:
        WeightsError: It does not.
    """
    channels, unet = networks.vae.latent_channels, networks.unet
    if (unet.in_channels, unet.out_channels) != (2 * channels, channels):
        raise WeightsError(
            f"{paths.unet_config}: the UNet takes {unet.in_channels} and gives {unet.out_channels} channels, "
            f"the VAE {paths.vae} has {channels} (needed: {2 * channels} and {channels})",
            "Use the UNet and the VAE of the same version (--version, --unet_config, --vae_type).",
        )
    if networks.refiner is not None and networks.vae.face_size % REFINED_UNIT:
        raise WeightsError(
            f"{paths.vae}: faces of {networks.vae.face_size} pixels, and a refiner takes multiples of {REFINED_UNIT}",
            "Use the VAE of the same version (--version, --vae_type), or no refiner (--refiner none).",
        )
    if unet.audio_width != networks.audio_encoder.width:
        raise WeightsError(
            f"{paths.unet_config}: the UNet listens to {unet.audio_width} numbers a token, "
            f"the audio encoder {paths.audio_encoder} gives {networks.audio_encoder.width}",
            "Use the UNet and the audio encoder of the same version (--version, --unet_config, --whisper_dir).",
        )
