"""Weight folders with untrained networks, in the layouts that the project reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from formula_weights import fill
from safetensors.torch import save_file

from musetalk.models.audio_encoder import build_audio_encoder
from musetalk.models.refiner import build_refiner
from musetalk.models.unet import build_unet
from musetalk.models.vae import build_vae

PREPROCESSOR = {"feature_size": 80, "sampling_rate": 16000, "hop_length": 160, "chunk_length": 30, "n_fft": 400}

TINY_WIDTH = 32
TINY_VAE: dict[str, Any] = {
    "_class_name": "AutoencoderTiny",
    "encoder_block_out_channels": [8, 8, 8, 8],
    "decoder_block_out_channels": [8, 8, 8, 8],
    "num_encoder_blocks": [1, 1, 1, 1],
    "num_decoder_blocks": [1, 1, 1, 1],
    "latent_channels": 4,
    "scaling_factor": 0.5,
}
TINY_UNET: dict[str, Any] = {
    "_class_name": "UNet2DConditionModel",
    "sample_size": 32,
    "in_channels": 8,
    "out_channels": 4,
    "block_out_channels": [8, 16],
    "layers_per_block": 1,
    "cross_attention_dim": TINY_WIDTH,
    "attention_head_dim": 2,
    "norm_num_groups": 4,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
}
TINY_MOUTH_UNET: dict[str, Any] = {
    **TINY_UNET,
    "class_embed_type": "projection",
    "projection_class_embeddings_input_dim": 13,
    "mouth_reader": {"window_tokens": 30, "hidden": 8},
    "lower_half": True,
}
"""Paints mouths that it is told; for the windows of TINY_WHISPER."""
TINY_WHISPER: dict[str, Any] = {
    "d_model": TINY_WIDTH,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 32,
    "num_mel_bins": 80,
    "vocab_size": 16,
    "max_source_positions": 1500,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
TINY_REFINER: dict[str, Any] = {"widths": [8, 16]}
_OLD_NAMES = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}


def write_mini(models_dir: Path, vae: dict[str, Any] = TINY_VAE) -> Path:
    """The layout of models/mini with tiny networks; returns models_dir."""
    root, here = models_dir / "mini", Path()
    _write(root / "vae", vae, "diffusion_pytorch_model.safetensors", fill(build_vae(vae, here)))
    _write(root / "unet", TINY_UNET, "diffusion_pytorch_model.safetensors", fill(build_unet(TINY_UNET, here)))
    _write(root / "audio_encoder", TINY_WHISPER, "model.safetensors", fill(build_audio_encoder(TINY_WHISPER, here)))
    (root / "audio_encoder" / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    refiner = fill(build_refiner(TINY_REFINER, here))
    _write(root / "refiner", TINY_REFINER, "model.safetensors", refiner)
    return models_dir


def _write(folder: Path, config: dict[str, Any], name: str, network: torch.nn.Module) -> None:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, folder / name)


def write_published(models_dir: Path, vae: dict[str, Any], unet: dict[str, Any], whisper: dict[str, Any]) -> Path:
    """The published layout of v1 and v15, with the formats and key names of the published files; returns models_dir."""
    from transformers import WhisperConfig, WhisperModel

    folders = {name: models_dir / name for name in ("musetalk", "musetalkV15", "sd-vae", "whisper")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    unet_state = fill(build_unet(unet, Path())).state_dict()
    for folder, name in (("musetalk", "pytorch_model.bin"), ("musetalkV15", "unet.pth")):
        (folders[folder] / "musetalk.json").write_text(json.dumps({"_class_name": "UNet2DConditionModel", **unet}))
        torch.save(unet_state, folders[folder] / name)
    (folders["sd-vae"] / "config.json").write_text(json.dumps({"_class_name": "AutoencoderKL", **vae}))
    vae_state = fill(build_vae(vae, Path())).state_dict()
    torch.save(with_old_names(vae_state), folders["sd-vae"] / "diffusion_pytorch_model.bin")
    torch.save(fill(WhisperModel(WhisperConfig(**whisper))).state_dict(), folders["whisper"] / "pytorch_model.bin")
    (folders["whisper"] / "config.json").write_text(json.dumps(whisper))
    (folders["whisper"] / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    return models_dir


def with_old_names(state_dict: dict[str, torch.Tensor], convolutions: bool = False) -> dict[str, torch.Tensor]:
    """Attention keys as sd-vae-ft-mse has them; with `convolutions`, projections as 1×1 convolutions."""
    old = {}
    for key, value in state_dict.items():
        for new, name in _OLD_NAMES.items():
            if new in key and ".attentions." in key:
                key = key.replace(new, name)
                if convolutions and key.endswith(".weight"):
                    value = value[:, :, None, None]
        old[key] = value
    return old
