"""The UNet that paints the lower face: one step, from masked and reference latents and audio tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from musetalk.checkpoint import load_into, read_state_dict
from musetalk.errors import WeightsError
from musetalk.models.config_file import read_network_config, without_private_keys
from musetalk.models.positional_encoding import add_positional_encoding

RESIDUAL = "reference_residual"
"""Key of our own in musetalk.json: the network gives what is added to the reference's latents."""


class Unet:
    """One step at timestep 0.

    Two settings of musetalk.json, which the published versions leave out, make a small network learn faster. With
    `reference_residual` what it gives is added to the reference's latents, so that it need not learn to copy them. With
    class_embed_type, it has the audio window beside its timestep as well as in its cross-attention.

    Args:
        network: A diffusers UNet2DConditionModel in eval mode.
    """

    def __init__(self, network: Any) -> None:
        self.network = network
        self.in_channels = int(network.config.in_channels)
        self.out_channels = int(network.config.out_channels)
        self.audio_width = int(network.config.cross_attention_dim)
        self._residual = bool(network.config.get(RESIDUAL, False))
        self._labelled = network.config.class_embed_type is not None
        self._timestep: torch.Tensor | None = None

    @property
    def dtype(self) -> torch.dtype:
        return next(self.network.parameters()).dtype

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def __call__(self, latents: torch.Tensor, windows: torch.Tensor) -> torch.Tensor:
        """Latents of the generated faces, (n, out_channels, h, w).

        Args:
            latents: (n, in_channels, h, w), masked then reference, scaled.
            windows: (n, tokens, audio_width) audio windows as the encoder gives them; positions are added here, so that
                training and inference cannot differ in it.
        """
        tokens = add_positional_encoding(windows.to(device=self.device, dtype=torch.float32)).to(self.dtype)
        latents = latents.to(device=self.device, dtype=self.dtype, memory_format=torch.channels_last)
        if self._timestep is None or self._timestep.device != latents.device:
            self._timestep = torch.zeros(1, dtype=torch.long, device=latents.device)
        labels = tokens.flatten(1) if self._labelled else None
        given = {"encoder_hidden_states": tokens, "class_labels": labels, "return_dict": False}
        painted = self.network(latents, self._timestep, **given)[0]
        return painted + latents[:, -self.out_channels :] if self._residual else painted


def load_unet(config_path: Path, weights_path: Path) -> Unet:
    """The UNet of a configuration and a weight file, in float32 on the CPU.

    Raises:
        WeightsError: A file is missing, unsafe or of another architecture.
    """
    network = build_unet(read_network_config(config_path), config_path)
    load_into(network, read_state_dict(weights_path), weights_path)
    return Unet(network.eval().requires_grad_(False))


def build_unet(config: dict[str, Any], path: Path) -> Any:
    """An untrained UNet2DConditionModel.

    Raises:
        WeightsError: Settings that the class does not take.
    """
    from diffusers import UNet2DConditionModel

    settings = without_private_keys(config)
    residual = bool(settings.pop(RESIDUAL, False))
    try:
        network: Any = UNet2DConditionModel(**settings)
    except (TypeError, ValueError) as error:
        raise WeightsError(
            f"{path}: not a configuration of UNet2DConditionModel: {error}", "Use the musetalk.json of the weights."
        ) from None
    if residual:
        network.register_to_config(**{RESIDUAL: True})
        torch.nn.init.zeros_(network.conv_out.weight)  # training begins with the reference as it is
        torch.nn.init.zeros_(network.conv_out.bias)
    return network
