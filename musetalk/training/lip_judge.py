"""Whether lips can be read: a network learns to read true mouths, and painted ones are to be read as those are."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from musetalk.models.lip_reader import LipReader
from musetalk.training.learning_judge import LearningJudge, frozen, sum_of

LEARNING_RATE, WEIGHT_DECAY = 1e-3, 0.01
LEAST_WAY = 0.04
"""Mean square of how far two mouths lie apart, in each channel, below which they are much the same."""


class LipJudge(LearningJudge):
    """Reads decoded mouths. Unlike a discriminator it learns from true ones alone, so that it is no moving target.

    Losses in pixels hardly ask for a closed mouth to look closed where lips are pale or blurred; this one does. It
    compares what is read of two pictures, so that what the reader does not see yet costs nothing.
    """

    role = "reader"

    def generator_losses(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """`reading`: smooth L1 of the mouths read; `feature`: L1 of the features, a share of their mean size.

        Args:
            real: (n, 3, h, w) RGB, about [-1, 1].
            fake: The same shape; gradients reach it, and nothing else.
        """
        with frozen(self.network):
            found = self.network(fake)
            with torch.no_grad():
                wanted = self.network(real)
        pairs = [(ours.float(), theirs.float()) for ours, theirs in zip(found.features, wanted.features, strict=True)]
        differences = ((ours - theirs).abs().mean() / (theirs.abs().mean() + 1e-3) for ours, theirs in pairs)
        return {
            "reading": F.smooth_l1_loss(found.mouths.float(), wanted.mouths.float()),
            "feature": sum_of(differences) / len(pairs),
        }

    def consistency(self, one: Tensor, other: Tensor) -> Tensor:
        """Smooth L1 between the mouths read of two pictures (n, 3, h, w); gradients reach both, and nothing else."""
        with frozen(self.network):
            mouths = [self.network(pictures).mouths.float() for pictures in (one, other)]
        return F.smooth_l1_loss(*mouths)

    def copying(self, real: Tensor, fake: Tensor, source: Tensor) -> Tensor:
        """How far mouths are read on the way from the true ones back to the frames' own: a share of that way, squared.

        The mean over pictures, each in all channels, and over channels, each in all pictures: what little each picture
        shows of its own mouth, all show alike.

        Args:
            real, source: (n, 3, h, w) RGB, about [-1, 1].
            fake: The same shape; gradients reach it, and nothing else.
        """
        with frozen(self.network):
            found = self.network(fake).mouths.float()
            with torch.no_grad():
                wanted, own = (self.network(pictures).mouths.float() for pictures in (real, source))
        way, error = own - wanted, found - wanted
        shares = ((way * error).mean(axis) / (way.square().mean(axis) + LEAST_WAY) for axis in (0, 1))
        return sum_of(share.square().mean() for share in shares)

    def own_loss(self, real: Tensor, beside: Tensor) -> Tensor:
        """Smooth L1 of what is read of real pictures.

        Args:
            real: (n, 3, h, w) RGB, about [-1, 1].
            beside: (n, C) their true mouths.
        """
        read: Tensor = self.trained(real.detach()).mouths
        return F.smooth_l1_loss(read.float(), beside.detach().float())


def build_lip_judge(channels: int) -> LipJudge:
    """An untrained one.

    Args:
        channels: Numbers of a mouth, C.
    """
    network = LipReader(channels)
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    return LipJudge(network, optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0))
