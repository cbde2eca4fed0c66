"""The autoencoder between face images and latents."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from musetalk.checkpoint import load_into, read_state_dict
from musetalk.errors import WeightsError
from musetalk.models.config_file import first_existing, read_network_config, without_private_keys
from musetalk.models.partial_decoding import can_decode_rows, decode_from_row

WEIGHT_NAMES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
DEFAULT_FACE_SIZE = 256  # published: faces are generated at 256×256
LATENT_PIXELS = 8
_MARGIN_ROWS = 2  # scaling a face into its place looks at neighbouring rows
_ROW_UNIT = 16  # few different shapes
CPU_BATCH = 2  # images a pass on a CPU: the activations of more fall out of its caches (mini: twice as slow at 16)

_LEGACY_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_LEGACY_KEY = re.compile(r"(.*\.attentions\.\d+)\.(query|key|value|proj_attn)\.(weight|bias)")


def rename_legacy_attention(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same tensors under today's attention key names.

    sd-vae-ft-mse was written before diffusers renamed its attention (query → to_q, …); some files of that age hold the
    projections as 1×1 convolutions, whose weights lose their two last dimensions here.
    """
    renamed = {}
    for key, value in state_dict.items():
        match = _LEGACY_KEY.fullmatch(key)
        if match:
            block, name, kind = match.groups()
            key = f"{block}.{_LEGACY_ATTENTION[name]}.{kind}"
        if re.search(r"\.attentions\.\d+\.to_(q|k|v|out\.0)\.weight$", key) and value.dim() == 4:
            value = value[:, :, 0, 0]
        renamed[key] = value
    return renamed


class Vae:
    """Encodes face images to scaled latents and decodes them.

    Args:
        network: A diffusers AutoencoderKL or AutoencoderTiny in eval mode.
        face_size: Side of the square face images in pixels.
    """

    def __init__(self, network: Any, face_size: int = DEFAULT_FACE_SIZE) -> None:
        self.network = network
        self.face_size = face_size
        self.scaling_factor = float(network.config.scaling_factor)
        self.latent_channels = int(network.config.latent_channels)

    @property
    def dtype(self) -> torch.dtype:
        return next(self.network.parameters()).dtype

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Latents (n, c, h/8, w/8), times the scaling factor, in the network's dtype.

        The posterior's mode is taken (the published inference samples; its training takes the mode).

        Args:
            images: (n, 3, h, w) RGB in [-1, 1], any float dtype.
        """
        return self._in_pieces(self._encode, images) * self.scaling_factor

    def decode(self, latents: torch.Tensor, visible_from: float = 0.0) -> torch.Tensor:
        """Images (n, 3, h, w) RGB in [0, 1], in the network's dtype.

        Args:
            latents: (n, c, h/8, w/8), scaled.
            visible_from: Share of the height; what lies above is not looked at and may be black.
        """
        latents, height = latents / self.scaling_factor, latents.shape[2] * LATENT_PIXELS
        row = max(int(visible_from * height) - _MARGIN_ROWS, 0) // _ROW_UNIT * _ROW_UNIT
        if not row or not can_decode_rows(self.network):
            return (self._in_pieces(self._decode, latents) / 2 + 0.5).clamp(0, 1)
        lower = self._in_pieces(lambda piece: decode_from_row(self.network.decoder, piece, row), latents)
        return functional.pad((lower / 2 + 0.5).clamp(0, 1), (0, 0, row, 0))

    def decode_for_loss(self, latents: torch.Tensor, pieces_of: int, recompute: bool) -> torch.Tensor:
        """Images (n, 3, h, w) RGB, about [-1, 1] but not clamped, so that every pixel keeps its gradient.

        Args:
            latents: (n, c, h/8, w/8), scaled.
            pieces_of: Images a pass.
            recompute: Keep nothing of a pass for the backward one, but do it again: memory of one piece at a time.
        """
        from torch.utils.checkpoint import checkpoint

        pieces = (latents / self.scaling_factor).split(pieces_of)
        if not (recompute and torch.is_grad_enabled()):
            return torch.cat([self._decode(self._place(piece)) for piece in pieces])
        return torch.cat([checkpoint(self._decode, self._place(piece), use_reentrant=False) for piece in pieces])

    def _decode(self, latents: torch.Tensor) -> torch.Tensor:
        return self.network.decode(latents).sample

    def _encode(self, images: torch.Tensor) -> torch.Tensor:
        encoded = self.network.encode(images)
        return encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()

    def _in_pieces(self, run: Callable[[torch.Tensor], torch.Tensor], batch: torch.Tensor) -> torch.Tensor:
        size = CPU_BATCH if self.device.type == "cpu" else len(batch)
        return torch.cat([run(self._place(piece)) for piece in batch.split(size)])

    def _place(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(device=self.device, dtype=self.dtype, memory_format=torch.channels_last)


def to_unit_range(images: np.ndarray | torch.Tensor, device: torch.device | str = "cpu") -> torch.Tensor:
    """BGR uint8 images (n, h, w, 3) as RGB float32 in [-1, 1], (n, 3, h, w) laid out channels last."""
    tensor = torch.from_numpy(np.ascontiguousarray(images)) if isinstance(images, np.ndarray) else images
    tensor = tensor.to(device)
    return (tensor.permute(0, 3, 1, 2).flip(1).float() / 127.5) - 1.0


def to_bgr(images: torch.Tensor) -> np.ndarray:
    """RGB images (n, 3, h, w) in [0, 1] as BGR uint8 (n, h, w, 3), rounded (published)."""
    pixels = (images.float() * 255).round().to(torch.uint8).flip(1).permute(0, 2, 3, 1)
    return pixels.contiguous().cpu().numpy()


def load_vae(folder: Path) -> Vae:
    """The VAE of a folder with config.json and its weights, in float32 on the CPU.

    Raises:
        WeightsError: A file is missing, unsafe or of another architecture.
    """
    path = folder / "config.json"
    config = read_network_config(path)
    face_size = config.get("sample_size", DEFAULT_FACE_SIZE)
    network = build_vae(config, path)
    weights = first_existing(folder, WEIGHT_NAMES)
    load_into(network, rename_legacy_attention(read_state_dict(weights)), weights)
    return Vae(network.eval().requires_grad_(False), int(face_size))


def build_vae(config: dict[str, Any], path: Path) -> Any:
    """An untrained network for a diffusers configuration; `_class_name` tells which (AutoencoderKL when absent).

    Raises:
        WeightsError: Another class, or settings that the class does not take.
    """
    from diffusers import AutoencoderKL, AutoencoderTiny

    classes: dict[str, Any] = {"AutoencoderKL": AutoencoderKL, "AutoencoderTiny": AutoencoderTiny}
    name = config.get("_class_name", "AutoencoderKL")
    if name not in classes:
        raise WeightsError(f"{path}: unknown autoencoder {name!r}", f"Use one of {', '.join(classes)}.")
    settings = without_private_keys(config)
    if name == "AutoencoderTiny":
        for key in ("sample_size", "block_out_channels"):  # ours: the face size; the class's own: a derived value
            settings.pop(key, None)
    try:
        return classes[name](**settings)
    except (TypeError, ValueError) as error:
        raise WeightsError(
            f"{path}: not a configuration of {name}: {error}", "Use the file that belongs to it."
        ) from None
