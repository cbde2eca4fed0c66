"""The UNet that paints the lower face: one step, from masked and reference latents and audio tokens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from musetalk.audio.windows import DEFAULT_PADDING, window_length
from musetalk.checkpoint import load_into, read_state_dict
from musetalk.errors import UsageError, WeightsError
from musetalk.models.config_file import read_network_config, without_private_keys
from musetalk.models.mouth_reader import MouthReader
from musetalk.models.mouth_unet import MouthUnet
from musetalk.models.positional_encoding import add_positional_encoding

BLENDED = "reference_blended"
"""Key of our own in musetalk.json: the network's last channel says where what it paints replaces the reference."""
LOWER_HALF = "lower_half"
"""Another one: the network is given the lower half of the latents, and paints it."""
READER = "mouth_reader"
"""Another one: {window_tokens, hidden} of a MouthReader; its channels are those of the class embedding."""
WARP = "reference_warp"
"""Another one, beside a reader: {width, hidden, heads, blocks} of a ReferenceWarp."""
RESTING = "resting_mouth"
"""Another one, beside a reader: the C numbers of the mouth that a first pass gives every reference."""
_MOSTLY_REFERENCE = -2.0  # logit with which training begins


class Unet:
    """One step at timestep 0.

    Five settings of musetalk.json, which the published versions leave out, are meant for small networks. With
    `reference_blended` the network has one channel more, a logit of how much of what it paints is laid over the
    reference's latents: what is to stay need not be painted, and what is to go need not be known. With `lower_half` it
    works on the half of the face that is replaced, and the upper half is the reference's: enough where the reference is
    the frame itself, as in inference, and half the work. With a `mouth_reader` it paints the mouth that is read off the
    sound (see `mouth_unet.MouthUnet`); a `reference_warp` then moves parts of the reference to where they belong. With
    `resting_mouth` it first paints every reference that mouth (see `rest_references`), so that what is painted then
    does not show how the source's own mouth stood. That depends on the frame alone: a prepared avatar stores it.

    Args:
        network: A diffusers UNet2DConditionModel, or a MouthUnet, in eval mode.

    Attributes:
        in_channels: Of masked and reference latents together.
        out_channels: Of the latents that it gives.
        audio_width: Of a token.
        window_tokens: Tokens that a window must have; None: any number.
        rests_references: `rest_references` takes a pass.
    """

    def __init__(self, network: Any) -> None:
        self.network = network
        config = network.config
        self._blended, self._lower_half = bool(config.get(BLENDED, False)), bool(config.get(LOWER_HALF, False))
        self.in_channels = int(config.in_channels)
        self.out_channels = int(config.out_channels) - self._blended
        self.audio_width = int(config.cross_attention_dim)
        reader = config.get(READER)
        self.window_tokens: int | None = None if reader is None else int(reader["window_tokens"])
        self._resting = config.get(RESTING)
        self.rests_references = self._resting is not None
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

    def rest_references(self, latents: torch.Tensor) -> torch.Tensor:
        """Inputs whose references have the resting mouth; without `resting_mouth` those given.

        Args:
            latents: (n, in_channels, h, w), masked then reference, scaled.

        Returns:
            The same shape and dtype, on the network's device where something was painted.
        """
        if self._resting is None:
            return latents
        count = len(latents)
        unheard = torch.zeros(count, 0, self.audio_width, device=self.device)  # it is told the mouth
        mouths = torch.tensor(self._resting, dtype=torch.float32, device=self.device).expand(count, -1)
        painted = self(latents, unheard, mouths)
        return torch.cat([latents[:, : -self.out_channels].to(painted.device), painted.to(latents.dtype)], dim=1)

    @property
    def dtype(self) -> torch.dtype:
        return next(self.network.parameters()).dtype

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def __call__(
        self, latents: torch.Tensor, windows: torch.Tensor, mouths: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Latents of the generated faces, (n, out_channels, h, w).

        Args:
            latents: (n, in_channels, h, w), masked then reference, scaled, as `rest_references` gives them.
            windows: (n, tokens, audio_width) audio windows as the encoder gives them; positions are added here, so that
                training and inference cannot differ in it.
            mouths: (n, C) to be painted in the place of what the windows say; only for a network with a mouth reader.
        """
        tokens = windows.to(device=self.device, dtype=torch.float32)
        if self.window_tokens is None:  # a reader knows the positions of its tokens
            tokens = add_positional_encoding(tokens)
        tokens = tokens.to(self.dtype)
        latents = latents.to(device=self.device, dtype=self.dtype)
        top = latents.shape[2] // 2 if self._lower_half else 0
        given = latents[:, :, top:].contiguous(memory_format=torch.channels_last)
        if self._timestep is None or self._timestep.device != latents.device:
            self._timestep = torch.zeros(1, dtype=torch.long, device=latents.device)
        told = {} if mouths is None else {"mouths": mouths}
        painted = self.network(given, self._timestep, encoder_hidden_states=tokens, return_dict=False, **told)[0]
        if self._blended:
            reference = given[:, -self.out_channels :]
            painted = reference + torch.sigmoid(painted[:, -1:]) * (painted[:, :-1] - reference)
        return torch.cat([latents[:, -self.out_channels :, :top], painted], dim=2) if top else painted


def load_unet(config_path: Path, weights_path: Path) -> Unet:
    """The UNet of a configuration and a weight file, in float32 on the CPU.

    Raises:
        WeightsError: A file is missing, unsafe or of another architecture.
    """
    network = build_unet(read_network_config(config_path), config_path)
    load_into(network, read_state_dict(weights_path), weights_path)
    return Unet(network.eval().requires_grad_(False))


def own_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a configuration that are not of UNet2DConditionModel."""
    return {key: config[key] for key in (BLENDED, LOWER_HALF, READER, WARP, RESTING) if key in config}


def build_unet(config: dict[str, Any], path: Path) -> Any:
    """An untrained UNet2DConditionModel, or MouthUnet.

    Raises:
        WeightsError: Settings that the class does not take.
    """
    from diffusers import UNet2DConditionModel

    settings = without_private_keys(config)
    ours = own_settings(settings)
    settings = {key: value for key, value in settings.items() if key not in ours}
    reader, warp = ours.get(READER), ours.get(WARP)
    for key in (WARP, RESTING):
        if ours.get(key) is not None and reader is None:
            raise WeightsError(f"{path}: {key} without {READER}", "Give both, or leave both out.")
    try:
        network: Any = UNet2DConditionModel(**settings)
        if ours.get(BLENDED, False):
            _show_the_reference(network.conv_out)
        network.register_to_config(**ours)
        if reader is not None:
            channels = int(network.config.projection_class_embeddings_input_dim)
            if len(ours.get(RESTING) or [0.0] * channels) != channels:
                raise ValueError(f"{RESTING} has {len(ours[RESTING])} numbers, mouths have {channels}")
            read = MouthReader(width=int(network.config.cross_attention_dim), channels=channels, **reader)
            return MouthUnet(network, read, warp)
    except (TypeError, ValueError) as error:
        raise WeightsError(
            f"{path}: not a configuration of UNet2DConditionModel: {error}", "Use the musetalk.json of the weights."
        ) from None
    return network


def _show_the_reference(layer: torch.nn.Conv2d) -> None:
    """Let training begin with hardly anything painted over it."""
    torch.nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    torch.nn.init.zeros_(layer.bias)
    torch.nn.init.constant_(layer.bias[-1:], _MOSTLY_REFERENCE)
