"""An opponent of the generator: discriminator, its optimiser, its schedule, both losses, and all of it in one state."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from musetalk.models.discriminator import Discriminator, Judgement, channels_of
from musetalk.models.latent_discriminator import LatentDiscriminator
from musetalk.models.vgg import IMAGE_SIZE
from musetalk.training.config import DiscriminatorConfig, DiscriminatorTrainConfig
from musetalk.training.learning_judge import LearningJudge, frozen, sum_of
from musetalk.training.perceptual import mean_difference, scaled_to
from musetalk.training.pyramid import ImagePyramid

LOWEST_RATE = 1e-6
"""Published: where the cosine schedule of the discriminators ends."""


class Adversary(LearningJudge):
    """Least-squares GAN with feature matching (Mao et al. 2016, arXiv 1611.04076).

    The two losses see two sides of one discriminator, the `network`. The generator's go through it in evaluation mode;
    its own in one pass over real and fake images together. Instance norm looks at each image alone, so one pass gives
    what two would.

    Args:
        discriminator: On its device.
        optimizer: Of the discriminator's parameters.
        scheduler: Of the optimiser, one step with each of its own.
        feature_weights: Of each block's feature map in feature matching (published: 1 each); all 0: none is computed.
        generator_size: Side of the squares that larger images are scaled to for the generator's losses; None: not at
            all. Published: 224, as for the perceptual loss, while the discriminator learns from images as they are.
    """

    role = "discriminator"

    def __init__(
        self,
        discriminator: Discriminator | LatentDiscriminator,
        optimizer: torch.optim.Optimizer,
        scheduler: torch.optim.lr_scheduler.LRScheduler,
        feature_weights: Sequence[float],
        generator_size: int | None = IMAGE_SIZE,
    ) -> None:
        super().__init__(discriminator, optimizer, scheduler)
        self.feature_weights = tuple(feature_weights)
        self.generator_size = generator_size
        self._pyramid = ImagePyramid(discriminator.scales)

    def generator_losses(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """`gan`: how far fake images are from passing as real; `feature_matching`: from having real ones' features.

        Args:
            real: (n, 3, h, w) RGB in [-1, 1].
            fake: The same shape; gradients reach it, and nothing else.

        Returns:
            float32 scalars, summed over scales. `feature_matching` is absent where its weights are 0.
        """
        real, fake = real.float(), fake.float()
        with frozen(self.network), _exact(real.device):
            of_fake = self.network(self._scaled(fake))
            losses = {"gan": sum_of(_squares(judged.score, 1.0) for judged in of_fake.values())}
            if any(self.feature_weights):
                with torch.no_grad():
                    of_real = self.network(self._scaled(real))
                losses["feature_matching"] = sum_of(self._matching(of_real[at], of_fake[at]) for at in of_fake)
        return losses

    def own_loss(self, real: Tensor, beside: Tensor) -> Tensor:
        """How far the discriminator is from giving 1 to real and 0 to fake images; both are detached.

        Args:
            real: (n, 3, h, w) RGB in [-1, 1].
            beside: Fake ones, the same shape.

        Returns:
            A float32 scalar, summed over scales; gradients reach the discriminator only.
        """
        both = torch.cat([real.detach(), beside.detach()]).float()
        with _exact(real.device):
            judged = self.trained(self._pyramid(both))
        count = len(real)
        return sum_of(_squares(at.score[:count], 1.0) + _squares(at.score[count:], 0.0) for at in judged.values())

    def _scaled(self, images: Tensor) -> dict[float, Tensor]:
        size = self.generator_size
        return self._pyramid(scaled_to(images, size) if size and images.shape[-1] > size else images)

    def _matching(self, real: Judgement, fake: Judgement) -> Tensor:
        pairs = zip(self.feature_weights, real.features, fake.features, strict=True)
        return sum_of(weight * mean_difference(ours, theirs) for weight, theirs, ours in pairs if weight)


def build_adversary(
    shape: DiscriminatorConfig,
    training: DiscriminatorTrainConfig,
    feature_weights: Sequence[float],
    device: torch.device | str = "cpu",
) -> Adversary:
    """An untrained opponent with the settings of a stage.

    Args:
        shape: Of the discriminator.
        training: Its AdamW and schedule: from `lr` by half a cosine over `epochs` steps to 1e-6, where it stays.
        feature_weights: As for `Adversary`, `num_blocks` of them.
        device: Where the discriminator lies.

    Raises:
        ValueError: The number of feature weights is another.
    """
    if len(feature_weights) != shape.num_blocks:
        raise ValueError(f"{shape.num_blocks} feature weights are needed, not {len(feature_weights)}")
    channels = channels_of(shape.block_expansion, shape.num_blocks, shape.max_features)
    discriminator = Discriminator(channels, shape.scales, shape.image_channel, shape.sn).to(device)
    return Adversary(discriminator, *_optimizer(discriminator, training), feature_weights)


def build_latent_adversary(channels: int, training: DiscriminatorTrainConfig) -> Adversary:
    """An untrained opponent that judges latents.

    Args:
        channels: Of the latents and what they are judged beside.
        training: As for `build_adversary`.
    """
    discriminator = LatentDiscriminator(channels)
    return Adversary(discriminator, *_optimizer(discriminator, training), (1.0,), generator_size=None)


def _optimizer(
    discriminator: nn.Module, training: DiscriminatorTrainConfig
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    optimizer = torch.optim.AdamW(
        discriminator.parameters(),
        lr=training.lr,
        betas=(training.betas[0], training.betas[1]),
        eps=training.eps,
        weight_decay=training.weight_decay,
    )
    lowest = min(1.0, LOWEST_RATE / training.lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: cosine_share(step, training.epochs, lowest))
    return optimizer, schedule


def cosine_share(step: int, steps: int, lowest: float) -> float:
    """Share of the first learning rate: 1 at step 0, then half a cosine down to `lowest` at `steps`, which stays."""
    return lowest + (1 - lowest) * 0.5 * (1 + math.cos(math.pi * min(step / steps, 1.0)))


def crop_resized(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """A box of each image, scaled to a square by bilinear interpolation as `F.interpolate` does it; differentiable.

    Args:
        images: (n, c, h, w).
        boxes: (n, 4) integers x1, y1, x2, y2, end exclusive, in pixels of the images; parts outside an image are cut
            off, and what is left has at least one pixel.
        size: Side of the result.

    Returns:
        (n, c, size, size), float32.
    """
    height, width = images.shape[-2:]
    boxes = boxes.to(images.device)
    columns = _sampled(boxes[:, 0], boxes[:, 2], width, size)
    rows = _sampled(boxes[:, 1], boxes[:, 3], height, size)
    grid = torch.stack(
        [columns[:, None, :].expand(-1, size, -1), rows[:, :, None].expand(-1, -1, size)], dim=-1
    )
    with torch.autocast(images.device.type, enabled=False):
        return F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)


def _sampled(first: Tensor, end: Tensor, length: int, size: int) -> Tensor:
    """(n, size) positions along one axis in the units of `grid_sample`, never beyond the box's own pixels."""
    first = first.clamp(0, length - 1).float()
    extent = (end.clamp(max=length).float() - first).clamp(min=1)
    steps = (torch.arange(size, device=first.device, dtype=torch.float32) + 0.5) / size
    inside = torch.minimum((steps * extent[:, None] - 0.5).clamp(min=0), extent[:, None] - 1)
    return (2 * (first[:, None] + inside) + 1) / length - 1


def _exact(device: torch.device) -> torch.autocast:
    """float32 whatever the precision of the rest: least squares multiply rounding errors, and the network is small."""
    return torch.autocast(device.type, enabled=False)


def _squares(score: Tensor, wanted: float) -> Tensor:
    return (score.float() - wanted).square().mean()
