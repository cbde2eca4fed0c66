"""The UNet that paints the lower face: one step, from masked and reference latents and audio tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from musetalk.audio.windows import DEFAULT_PADDING, window_length
from musetalk.checkpoint import load_into, read_state_dict
from musetalk.errors import UsageError, WeightsError
from musetalk.models.config_file import read_network_config, without_private_keys
from musetalk.models.positional_encoding import add_positional_encoding

BLENDED = "reference_blended"
"""Key of our own in musetalk.json: the network's last channel says where what it paints replaces the reference."""
_MOSTLY_REFERENCE = -2.0  # logit with which training begins


class Unet:
    """One step at timestep 0.

    Two settings of musetalk.json, which the published versions leave out, are meant for small networks. With
    `reference_blended` the network has one channel more, a logit of how much of what it paints is laid over the
    reference's latents: what is to stay need not be painted, and what is to go need not be known. With
    class_embed_type `projection` it has the audio window beside its timestep as well as in its cross-attention.

    Args:
        network: A diffusers UNet2DConditionModel in eval mode.

    Attributes:
        in_channels: Of masked and reference latents together.
        out_channels: Of the latents that it gives.
        audio_width: Of a token.
        window_tokens: Tokens that a window must have; None: any number.
    """

    def __init__(self, network: Any) -> None:
        self.network = network
        config = network.config
        self._blended = bool(config.get(BLENDED, False))
        self.in_channels = int(config.in_channels)
        self.out_channels = int(config.out_channels) - self._blended
        self.audio_width = int(config.cross_attention_dim)
        labels = config.projection_class_embeddings_input_dim
        self.window_tokens: int | None = None if labels is None else int(labels) // self.audio_width
        self._timestep: torch.Tensor | None = None

    def check_padding(self, left: int, right: int, states: int) -> None:
        """Check that the network takes windows with this padding.

        Args:
            left: Sound before a frame, in 25 fps frames.
            right: Sound after it.
            states: Hidden states of the audio encoder, each of which gives a token for every step.

        Raises:
            UsageError: It takes windows of one length only, and this is another.
        """
        tokens = window_length(left, right) * states
        if self.window_tokens is not None and tokens != self.window_tokens:
            raise UsageError(
                f"this UNet takes windows of {self.window_tokens} tokens; {left} frames of sound before and {right} "
                f"after a frame give {tokens}",
                f"Leave audio_padding_length_left and _right at {DEFAULT_PADDING}, or use another UNet.",
            )

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
        labels = None if self.window_tokens is None else tokens.flatten(1)
        given = {"encoder_hidden_states": tokens, "class_labels": labels, "return_dict": False}
        painted = self.network(latents, self._timestep, **given)[0]
        if not self._blended:
            return painted
        reference = latents[:, -self.out_channels :]
        return reference + torch.sigmoid(painted[:, -1:]) * (painted[:, :-1] - reference)


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
    blended = bool(settings.pop(BLENDED, False))
    try:
        network: Any = UNet2DConditionModel(**settings)
    except (TypeError, ValueError) as error:
        raise WeightsError(
            f"{path}: not a configuration of UNet2DConditionModel: {error}", "Use the musetalk.json of the weights."
        ) from None
    if blended:
        network.register_to_config(**{BLENDED: True})
        torch.nn.init.zeros_(network.conv_out.weight)
        torch.nn.init.zeros_(network.conv_out.bias)
        torch.nn.init.constant_(network.conv_out.bias[-1:], _MOSTLY_REFERENCE)
    return network
