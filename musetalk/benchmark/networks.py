"""Times the networks of a version with any weights: how long a face takes, per dtype and batch size."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from musetalk.models.config_file import read_network_config
from musetalk.models.unet import Unet, build_unet
from musetalk.models.vae import Vae, build_vae
from musetalk.models.versions import VERSIONS

PUBLISHED_UNET: dict[str, Any] = {
    "sample_size": 64,
    "in_channels": 8,
    "out_channels": 4,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "attention_head_dim": 8,
    "cross_attention_dim": 384,
}
"""musetalk.json of v1 and v15, as far as it differs from diffusers' defaults."""
PUBLISHED_VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 4,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "sample_size": 256,
}
"""sd-vae-ft-mse."""
TOKENS = 50


@dataclass(frozen=True)
class FaceTime:
    """Milliseconds a face of each network; `encode` is for both images of a face, masked and reference."""

    dtype: str
    batch: int
    encode: float
    unet: float
    decode: float

    @property
    def generate(self) -> float:
        """UNet and decoder, which is what the published frame rates count."""
        return self.unet + self.decode


def build_networks(version: str, models_dir: Path) -> tuple[Unet, Vae]:
    """UNet and VAE of a version's size with random weights, on the CPU in float32."""
    spec = VERSIONS[version]
    if spec.bundled:
        unet_path, vae_path = models_dir / spec.unet_config, models_dir / spec.vae / "config.json"
        unet_config, vae_config = read_network_config(unet_path), read_network_config(vae_path)
        face_size = int(vae_config.get("sample_size", 256))
    else:
        unet_path = vae_path = Path(version)
        unet_config, vae_config, face_size = PUBLISHED_UNET, PUBLISHED_VAE, 256
    unet = Unet(build_unet(unet_config, unet_path).eval().requires_grad_(False))
    return unet, Vae(build_vae(vae_config, vae_path).eval().requires_grad_(False), face_size)


def place(unet: Unet, vae: Vae, device: torch.device, dtype: torch.dtype) -> None:
    """Move both networks as `load_networks` does."""
    for network in (unet.network, vae.network):
        network.to(device=device, dtype=dtype)
        network.to(memory_format=torch.channels_last)


def milliseconds(run: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Median of `repeats` runs after one to warm up."""
    times = []
    for _ in range(repeats + 1):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        began = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(1000 * (time.perf_counter() - began))
    return median(times[1:])


@torch.inference_mode()
def time_faces(unet: Unet, vae: Vae, batch: int, repeats: int) -> FaceTime:
    """Time the placed networks on random inputs."""
    size = vae.face_size // 8
    device = unet.device
    images = torch.rand(2 * batch, 3, vae.face_size, vae.face_size, device=device) * 2 - 1
    latents = torch.randn(batch, unet.in_channels, size, size, device=device)
    windows = torch.randn(batch, TOKENS, unet.audio_width, device=device)
    predicted = torch.randn(batch, unet.out_channels, size, size, device=device)
    return FaceTime(
        str(unet.dtype).removeprefix("torch."),
        batch,
        milliseconds(lambda: vae.encode(images), device, repeats) / batch,
        milliseconds(lambda: unet(latents, windows), device, repeats) / batch,
        milliseconds(lambda: vae.decode(predicted), device, repeats) / batch,
    )
