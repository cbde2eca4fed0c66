"""Networks to time: those of the weight files, or untrained ones of the size of a published version."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import torch

from musetalk.models.audio_encoder import AudioEncoder, build_audio_encoder, build_feature_extractor
from musetalk.models.device import Placement
from musetalk.models.loading import Networks, load_networks
from musetalk.models.unet import Unet, build_unet
from musetalk.models.vae import DEFAULT_FACE_SIZE, Vae, build_vae
from musetalk.models.versions import find_version, network_paths
from musetalk.pipeline.backends import BackendChoice
from musetalk.pipeline.requirements import check_weights, weight_files

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
PUBLISHED_AUDIO_ENCODER: dict[str, Any] = {
    "d_model": 384,
    "encoder_layers": 4,
    "encoder_attention_heads": 6,
    "encoder_ffn_dim": 1536,
    "decoder_layers": 4,
    "decoder_attention_heads": 6,
    "decoder_ffn_dim": 1536,
    "num_mel_bins": 80,
    "max_source_positions": 1500,
}
"""whisper-tiny."""
PUBLISHED_EXTRACTOR: dict[str, Any] = {
    "feature_size": 80,
    "sampling_rate": 16000,
    "hop_length": 160,
    "chunk_length": 30,
    "n_fft": 400,
}
"""preprocessor_config.json of whisper-tiny."""

_CPU = Placement(torch.device("cpu"), torch.float32)


def obtain_networks(version: str, models_dir: Path, backends: BackendChoice) -> tuple[Networks, bool]:
    """The networks of a version on the CPU in float32, and whether their weights are from files.

    Raises:
        WeightsError: Files are missing of a version that comes with the project, or are unusable.
    """
    spec, paths = find_version(version), network_paths(version, models_dir)
    files = weight_files(paths, backends, models_dir)
    there = all(path.is_file() for path in chain(files["unet"], files["vae"], files["audio_encoder"]))
    if there or spec.bundled:
        check_weights(spec, paths, backends, models_dir)
        return load_networks(paths, _CPU), True
    return published_networks(), False


def published_networks() -> Networks:
    """Untrained networks of the published size, on torch's current default device in float32."""
    here = Path()
    encoder = build_audio_encoder(PUBLISHED_AUDIO_ENCODER, here).eval().requires_grad_(False)
    return Networks(
        Vae(build_vae(PUBLISHED_VAE, here).eval().requires_grad_(False), DEFAULT_FACE_SIZE),
        Unet(build_unet(PUBLISHED_UNET, here).eval().requires_grad_(False)),
        AudioEncoder(encoder, build_feature_extractor(PUBLISHED_EXTRACTOR, here)),
    )


def without_weights(networks: Networks) -> Networks:
    """The same networks on torch's meta device: shapes alone, on which nothing is computed."""
    vae, unet, audio = networks.vae, networks.unet, networks.audio_encoder
    here = Path()
    with torch.device("meta"):
        return Networks(
            Vae(build_vae(_config(vae.network), here).eval(), vae.face_size),
            Unet(build_unet(_config(unet.network), here).eval()),
            AudioEncoder(type(audio.network)(audio.network.config).eval(), audio.extractor),
        )


def _config(network: Any) -> dict[str, Any]:
    return {**network.config, "_class_name": type(network).__name__}
