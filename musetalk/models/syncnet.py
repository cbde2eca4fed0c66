"""SyncNet: does this mouth belong to this sound? (StableSyncNet of LatentSync, arXiv 2412.09262; loads its weights.)

Two encoders map a few frames of a face and the sound beside them to vectors of length 1; their cosine is near 1 where
mouth and sound agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from musetalk.audio.mel import BANDS, mel_window_length
from musetalk.checkpoint import load_into, read_state_dict
from musetalk.errors import ConfigError
from musetalk.models.syncnet_config import EncoderConfig, Factor, SyncNetSettings

_EPS = 1e-6
_KERNEL = 3


class DownBlock(nn.Module):
    """Residual block of two convolutions, norm and SiLU before each, then a strided convolution."""

    def __init__(self, channels_in: int, channels_out: int, factor: Factor, groups: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels_in, eps=_EPS)
        self.conv1 = nn.Conv2d(channels_in, channels_out, _KERNEL, padding=1)
        self.norm2 = nn.GroupNorm(groups, channels_out, eps=_EPS)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(channels_out, channels_out, _KERNEL, padding=1)
        self.conv_shortcut = nn.Conv2d(channels_in, channels_out, 1) if channels_in != channels_out else None
        strides = strides_of(factor)
        self.downsample_conv = nn.Conv2d(channels_out, channels_out, _KERNEL, strides) if max(strides) > 1 else None
        # Published: an axis that keeps its length is padded on both sides, a shrinking one at its end only.
        self.padding = [amount for stride in reversed(strides) for amount in ((1, 1) if stride == 1 else (0, 1))]

    def forward(self, x: Tensor) -> Tensor:
        residual = self.conv1(F.silu(self.norm1(x)))
        residual = self.conv2(self.dropout(F.silu(self.norm2(residual))))
        x = residual + (x if self.conv_shortcut is None else self.conv_shortcut(x))
        return x if self.downsample_conv is None else self.downsample_conv(F.pad(x, self.padding))


class Encoder(nn.Module):
    """(n, c, h, w) → (n, d); blocks until one pixel is left.

    Attributes:
        gradient_checkpointing: Compute the blocks again in the backward pass instead of keeping their maps.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        channels, groups = config.block_out_channels, config.norm_num_groups
        self.conv_in = nn.Conv2d(config.in_channels, channels[0], _KERNEL, padding=1)
        self.down_blocks = nn.ModuleList(
            DownBlock(channels_in, channels_out, factor, groups, config.dropout)
            for channels_in, channels_out, factor in zip(
                (channels[0], *channels[:-1]), channels, config.downsample_factors, strict=True
            )
        )
        self.norm_out = nn.GroupNorm(groups, channels[-1], eps=_EPS)
        self.gradient_checkpointing = False

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x.to(self.conv_in.weight.dtype))
        for block in self.down_blocks:
            if self.gradient_checkpointing and torch.is_grad_enabled() and x.requires_grad:
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
        return F.relu(self.norm_out(x)).flatten(1)


@dataclass(frozen=True)
class InputShapes:
    """What a SyncNet takes.

    Attributes:
        num_frames: Consecutive frames of one visual window.
        resolution: Side of the face, square.
        lower_half: Whether only rows from the middle down are seen.
        mel_length: Columns of one mel window.
    """

    num_frames: int
    resolution: int
    lower_half: bool
    mel_length: int

    @property
    def visual(self) -> tuple[int, int, int]:
        height = self.resolution - self.resolution // 2 if self.lower_half else self.resolution
        return 3 * self.num_frames, height, self.resolution

    @property
    def mel(self) -> tuple[int, int, int]:
        return 1, BANDS, self.mel_length


class SyncNet(nn.Module):
    """Both encoders. `forward` takes visual and mel windows and returns both embeddings.

    Args:
        settings: Shapes of the encoders and of what they take.
        where: The file of the settings, for errors.

    Raises:
        ConfigError: The encoders do not fit their inputs or each other; names everything that is wrong.
    """

    def __init__(self, settings: SyncNetSettings, where: str = "SyncNet") -> None:
        super().__init__()
        data, model = settings.data, settings.model
        self.shapes = InputShapes(data.num_frames, data.resolution, data.lower_half, mel_window_length(data.num_frames))
        problems = [
            *_problems("audio_encoder", model.audio_encoder, self.shapes.mel),
            *_problems("visual_encoder", model.visual_encoder, self.shapes.visual),
        ]
        widths = [encoder.block_out_channels[-1:] for encoder in (model.audio_encoder, model.visual_encoder)]
        if widths[0] != widths[1]:
            problems.append("the last block_out_channels of both encoders differ")
        if problems:
            raise ConfigError(f"{where}: {'; '.join(problems)}", "Correct the shapes of the encoders.")
        self.audio_encoder = Encoder(model.audio_encoder)
        self.visual_encoder = Encoder(model.visual_encoder)

    def forward(self, visual: Tensor, mel: Tensor) -> tuple[Tensor, Tensor]:
        return self.embed_visual(visual), self.embed_mel(mel)

    def embed_visual(self, visual: Tensor) -> Tensor:
        """(n, 3 · frames, h, w) windows of `visual_windows` → (n, d) float32 of length 1."""
        return _unit(self.visual_encoder(visual))

    def embed_mel(self, mel: Tensor) -> Tensor:
        """(n, 1, 80, columns) of `musetalk.audio.mel` → (n, d) float32 of length 1."""
        return _unit(self.audio_encoder(mel))

    def visual_windows(self, frames: Tensor) -> Tensor:
        """Faces as the visual encoder takes them; differentiable.

        Args:
            frames: (n, num_frames, 3, h, w) RGB in [-1, 1], whole square faces of any size.

        Returns:
            (n, 3 · num_frames, height, resolution): scaled (bilinear, averaged where they shrink), the lower half of
            each, frames stacked on channels.

        Raises:
            ValueError: The number of frames is another.
        """
        if frames.shape[1] != self.shapes.num_frames:
            raise ValueError(f"{self.shapes.num_frames} frames make a window, not {frames.shape[1]}")
        side = self.shapes.resolution
        flat = frames.flatten(0, 1)
        if flat.shape[-2:] != (side, side):
            flat = F.interpolate(flat.float(), (side, side), mode="bilinear", align_corners=False, antialias=True)
        if self.shapes.lower_half:
            flat = flat[:, :, side // 2 :]
        return flat.reshape(len(frames), -1, *flat.shape[-2:])

    def set_gradient_checkpointing(self, on: bool) -> None:
        self.audio_encoder.gradient_checkpointing = self.visual_encoder.gradient_checkpointing = on


def load_syncnet(settings: SyncNetSettings, path: Path, where: str = "SyncNet") -> SyncNet:
    """A SyncNet with weights, frozen, on the CPU in float32.

    Raises:
        ConfigError: The settings make no SyncNet.
        WeightsError: The file is missing, unsafe or of another shape than the settings say.
    """
    with torch.device("meta"):  # random weights of this size take seconds
        network = SyncNet(settings, where)
    network.to_empty(device="cpu")
    load_into(network, read_state_dict(path), path)
    return network.eval().requires_grad_(False)


def strides_of(factor: Factor) -> tuple[int, int]:
    """(rows, columns) of a downsampling factor: one number for both, or two."""
    return (factor, factor) if isinstance(factor, int) else (factor[0], factor[1])


def _unit(vectors: Tensor) -> Tensor:
    return F.normalize(vectors.float(), dim=1)


def _problems(name: str, config: EncoderConfig, shape: Sequence[int]) -> list[str]:
    """What keeps an encoder from being built, or from taking an input of (c, h, w)."""
    blocks = len(config.block_out_channels)
    if not blocks:
        return [f"{name}: there are no block_out_channels"]
    problems = []
    if config.in_channels != shape[0]:
        problems.append(f"{name}: in_channels is {config.in_channels}, the data has {shape[0]}")
    for key in ("downsample_factors", "attn_blocks"):
        if len(getattr(config, key)) != blocks:
            problems.append(f"{name}: {len(getattr(config, key))} {key} for {blocks} block_out_channels")
    if bad := [width for width in config.block_out_channels if width % config.norm_num_groups]:
        problems.append(f"{name}: {bad[0]} channels cannot be split into {config.norm_num_groups} groups")
    if any(not isinstance(factor, int) and len(factor) != 2 for factor in config.downsample_factors):
        return [*problems, f"{name}: a downsampling factor is one number, or two for rows and columns"]
    size = list(shape[1:])
    for factor in config.downsample_factors:
        # The padding of an axis that shrinks is one pixel, so the kernel of three fits (n + 1 − 3) // stride + 1 times.
        size = [n if stride == 1 else (n - 2) // stride + 1 for n, stride in zip(size, strides_of(factor), strict=True)]
    if prod(size) != 1 or min(size) < 1:
        problems.append(f"{name}: its downsample_factors leave {size[0]}×{size[1]} of {shape[1]}×{shape[2]}, not 1×1")
    return problems
