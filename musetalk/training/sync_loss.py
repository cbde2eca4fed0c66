"""The sync loss: a frozen SyncNet hears whether generated mouths belong to the sound."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from musetalk.audio.mel import COLUMNS_PER_SECOND
from musetalk.models.syncnet import SyncNet

FPS = 25
_WHOLE_FRAMES = 5  # so many frames take a whole number of mel columns, 16
_MARGIN = 1e-6


class SyncLoss(nn.Module):
    """Binary cross-entropy of the cosine between mouths and sound, against 1.

    Args:
        network: SyncNet; it is frozen here.
        backward_frames: Frames of a sample that gradients go through, a run of them drawn for each call; the others
            are taken from the real images, as published. None: all.
        gradient_checkpointing: Trade time for memory.
    """

    def __init__(
        self, network: SyncNet, backward_frames: int | None = None, gradient_checkpointing: bool = False
    ) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.network.set_gradient_checkpointing(gradient_checkpointing)
        self.backward_frames = backward_frames

    def forward(self, generated: Tensor, real: Tensor, mel: Tensor, first: int | None = None) -> Tensor:
        """The loss, a float32 scalar; gradients reach generated frames only.

        Where a sample has more frames than SyncNet sees at once, the mean over windows of it, five frames apart.

        Args:
            generated: (b, t, 3, h, w) RGB, about [-1, 1], consecutive frames of whole faces.
            real: The same shape: the true faces.
            mel: (b, 80, columns) that begin with the first frame.
            first: First frame that gradients go through; None: drawn from torch's generator. Where none are asked for
                (torch.no_grad), every frame is a generated one.

        Raises:
            ValueError: There are too few frames or columns for one window.
        """
        frames = mixed_frames(generated, real, self._span(generated.shape[1], first))
        shapes = self.network.shapes
        at = window_frames(frames.shape[1], mel.shape[-1], shapes.num_frames, shapes.mel_length)
        seen = torch.cat([self.network.visual_windows(frames[:, k : k + shapes.num_frames]) for k in at])
        heard = torch.cat([mel[..., None, :, c : c + shapes.mel_length] for c in map(columns_before, at)])
        with torch.no_grad():
            sound = self.network.embed_mel(heard)
        return cosine_loss(cosine(self.network.embed_visual(seen), sound), 1.0)

    def _span(self, frames: int, first: int | None) -> range:
        if self.backward_frames is None or self.backward_frames >= frames or not torch.is_grad_enabled():
            return range(frames)
        if first is None:
            first = int(torch.randint(frames - self.backward_frames + 1, ()))
        return range(first, first + self.backward_frames)


def mixed_frames(generated: Tensor, real: Tensor, span: range) -> Tensor:
    """Generated frames within the span, real ones outside; (b, t, …) all."""
    real = real.to(generated.dtype)
    return torch.cat(
        [real[:, : span.start], generated[:, span.start : span.stop], real[:, span.stop :]], dim=1
    )


def window_frames(frames: int, columns: int, num_frames: int, mel_length: int) -> list[int]:
    """First frames of the windows in a sample of so many frames and mel columns.

    Every fifth, since five frames take a whole number of columns.

    Raises:
        ValueError: There is not one.
    """
    starts = range(0, frames - num_frames + 1, _WHOLE_FRAMES)
    found = [start for start in starts if columns_before(start) + mel_length <= columns]
    if not found:
        raise ValueError(
            f"a window takes {num_frames} frames and {mel_length} columns of mel, the sample has {frames} and {columns}"
        )
    return found


def columns_before(frame: int) -> int:
    """Mel columns from the beginning of a sample to one of its frames."""
    return COLUMNS_PER_SECOND * frame // FPS


def cosine(one: Tensor, other: Tensor) -> Tensor:
    """(n,) float32 cosines of vectors (n, d) of length 1."""
    return (one.float() * other.float()).sum(1)


def cosine_loss(cosines: Tensor, belongs: Tensor | float) -> Tensor:
    """Mean binary cross-entropy of cosines, clamped to [0, 1], as probabilities.

    Args:
        cosines: (n,).
        belongs: 1 for pairs that belong together, 0 for others; (n,) or one number for all.

    Returns:
        A float32 scalar, at most 13.8: cosines are kept 1e-6 away from 0 and 1.
    """
    with torch.autocast(cosines.device.type, enabled=False):
        share = cosines.float().clamp(_MARGIN, 1 - _MARGIN)
        return -(belongs * share.log() + (1 - belongs) * (-share).log1p()).mean()
