import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from formula_weights import fill
from torch import nn

from musetalk.errors import WeightsError
from musetalk.models.discriminator import Discriminator, Judgement
from musetalk.training.adversary import Adversary, build_adversary, cosine_share, crop_resized
from musetalk.training.config import DiscriminatorConfig, DiscriminatorTrainConfig
from musetalk.training.learning_judge import frozen

GOLDEN = np.load(Path(__file__).parents[1] / "data" / "golden" / "losses.npz")
VALUES = json.loads(str(GOLDEN["values"]))
SHAPE = DiscriminatorConfig(block_expansion=2, num_blocks=3, max_features=8)


def golden_images(name):
    return F.interpolate(torch.from_numpy(GOLDEN[name]), (256, 256), mode="bilinear", align_corners=False)


def images(seed, count=2):
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def small(**training):
    adversary = build_adversary(SHAPE, DiscriminatorTrainConfig(**training), (1.0, 1.0, 1.0))
    adversary.generator_size = None
    fill(adversary.network)
    return adversary


def around(discriminator, **values):
    return Adversary(discriminator, torch.optim.SGD(discriminator.parameters()), None, (1.0,), **values)


class Brightness(nn.Module):
    """Scores an image by its mean times a weight; its one feature is the image."""

    scales = (1.0,)

    def __init__(self, weight=1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))
        self.passes = []

    def forward(self, pyramid):
        image = pyramid[1.0]
        self.passes.append((len(image), self.training, self.weight.requires_grad))
        return {1.0: Judgement([image * self.weight], (image * self.weight).mean((1, 2, 3), keepdim=True))}


def flat(*values):
    return torch.tensor(values).view(-1, 1, 1, 1).expand(-1, 3, 2, 2).clone()


def test_losses_equal_the_published_ones():
    adversary = around(fill(Discriminator(), 1.2).eval())
    adversary.feature_weights = (1.0, 1.0, 1.0, 1.0)
    real, fake = golden_images("real_small"), golden_images("generated_small")
    with torch.no_grad():
        losses = adversary.generator_losses(real, fake)
        learning = adversary.own_loss(real, fake)
    assert losses["gan"].item() == pytest.approx(VALUES["generator_gan_loss"], rel=1e-3)
    assert losses["feature_matching"].item() == pytest.approx(VALUES["feature_matching"], rel=1e-3)
    assert learning.item() == pytest.approx(VALUES["discriminator_loss"], rel=1e-3)


def test_losses_by_hand():
    """Real images score 1 and 0.5, fake ones 0 and 0.5; squares of 1 − score and of score, averaged."""
    adversary = around(Brightness(), generator_size=None)
    real, fake = flat(1.0, 0.5), flat(0.0, 0.5)
    losses = adversary.generator_losses(real, fake)
    assert losses["gan"].item() == pytest.approx((1 + 0.25) / 2)
    assert losses["feature_matching"].item() == pytest.approx((1 + 0) / 2)
    assert adversary.own_loss(real, fake).item() == pytest.approx((0 + 0.25) / 2 + (0 + 0.25) / 2)


def test_feature_matching_of_weight_zero_is_not_computed():
    adversary = around(Brightness(), generator_size=None)
    adversary.feature_weights = (0.0,)
    assert set(adversary.generator_losses(flat(1.0), flat(0.0))) == {"gan"}
    assert len(adversary.network.passes) == 1


def test_the_generator_is_judged_at_the_published_size():
    sizes = []
    adversary = around(Brightness())
    adversary.network.register_forward_pre_hook(lambda module, given: sizes.append(given[0][1.0].shape[-1]))
    real, fake = torch.zeros(1, 3, 256, 256), torch.zeros(1, 3, 256, 256)
    adversary.generator_losses(real, fake)
    adversary.own_loss(real, fake)
    assert sizes == [224, 224, 256]


def test_gradients_of_the_generators_losses_reach_fake_images_only():
    adversary = small()
    real, fake = images(1).requires_grad_(), images(2).requires_grad_()
    sum(adversary.generator_losses(real, fake).values()).backward()
    assert torch.isfinite(fake.grad).all() and fake.grad.abs().max() > 0
    assert real.grad is None
    assert all(parameter.grad is None for parameter in adversary.network.parameters())


def test_gradients_of_the_discriminators_loss_reach_all_of_it_and_nothing_else():
    adversary = small()
    real, fake = images(1).requires_grad_(), images(2).requires_grad_()
    adversary.own_loss(real, fake).backward()
    assert real.grad is None and fake.grad is None
    for name, parameter in adversary.network.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
    assert adversary.network.discs["1"].conv.weight_orig.grad.abs().max() > 0


def test_the_generator_sees_a_frozen_discriminator_and_the_discriminator_learns_in_one_pass():
    adversary = around(Brightness(), generator_size=None)
    adversary.generator_losses(flat(1.0), flat(0.0))
    adversary.own_loss(flat(1.0, 1.0), flat(0.0, 0.0))
    assert adversary.network.passes == [(1, False, False), (1, False, False), (4, True, True)]


def test_what_wraps_the_discriminator_is_used_for_its_own_loss_alone():
    adversary, wrapped = around(Brightness(), generator_size=None), Brightness(2.0)
    adversary.trained = wrapped
    adversary.generator_losses(flat(1.0), flat(0.0))
    assert not wrapped.passes
    adversary.own_loss(flat(1.0), flat(0.0))
    assert len(wrapped.passes) == 1


def test_both_losses_in_one_step_in_the_order_of_the_trainer():
    """Backward of the generator, then backward and step of the discriminator, whose estimates change in place."""
    adversary = small()
    fake = images(2).requires_grad_()
    for _ in range(2):
        sum(adversary.generator_losses(images(1), fake).values()).backward()
        adversary.own_loss(images(1), fake).backward()
        adversary.optimizer.step()
        adversary.optimizer.zero_grad(set_to_none=True)
        adversary.scheduler.step()
    assert torch.isfinite(fake.grad).all()


def test_the_discriminator_learns_to_tell_real_from_fake():
    torch.manual_seed(0)
    adversary = small(lr=1e-2, epochs=1000)
    dark, bright = images(1) * 0.3 - 0.5, images(2) * 0.3 + 0.5
    before = adversary.own_loss(bright, dark).item()
    for _ in range(40):
        adversary.optimizer.zero_grad()
        adversary.own_loss(bright, dark).backward()
        adversary.optimizer.step()
    assert adversary.own_loss(bright, dark).item() < 0.5 * before


def test_a_state_holds_everything_that_the_next_steps_depend_on():
    def step(adversary, seed):
        loss = adversary.own_loss(images(seed), images(seed + 1))
        adversary.optimizer.zero_grad()
        loss.backward()
        adversary.optimizer.step()
        adversary.scheduler.step()
        return loss.item(), adversary.optimizer.param_groups[0]["lr"]

    first = small(lr=1e-3, epochs=6)
    step(first, 1)
    state = copy.deepcopy(first.state_dict())
    other = small(lr=1e-3, epochs=6)
    step(other, 50)
    other.load_state_dict(state)
    assert [step(first, seed) for seed in (2, 3)] == [step(other, seed) for seed in (2, 3)]


def test_the_state_of_another_discriminator_is_refused():
    wide = build_adversary(DiscriminatorConfig(num_blocks=3), DiscriminatorTrainConfig(), (1.0, 1.0, 1.0))
    with pytest.raises(WeightsError, match=r"somewhere/face\.pt: checkpoint of the wrong shape"):
        small().load_state_dict(wide.state_dict(), "somewhere/face.pt")


def test_the_published_optimiser():
    adversary = build_adversary(DiscriminatorConfig(), DiscriminatorTrainConfig(), (1, 1, 1, 1))
    group = adversary.optimizer.param_groups[0]
    assert (group["lr"], group["betas"], group["weight_decay"]) == (5e-6, (0.5, 0.999), 0.01)


def test_the_rate_falls_by_a_cosine_to_one_millionth_and_stays():
    adversary = small(lr=5e-6, epochs=10)
    rates = []
    for _ in range(15):
        rates.append(adversary.optimizer.param_groups[0]["lr"])
        adversary.optimizer.step()
        adversary.scheduler.step()
    assert rates[0] == 5e-6 and rates[5] == pytest.approx(3e-6) and rates[10:] == pytest.approx([1e-6] * 5)


@pytest.mark.parametrize(("step", "share"), [(0, 1.0), (5, 0.6), (10, 0.2), (99, 0.2)])
def test_cosine_share(step, share):
    assert cosine_share(step, 10, 0.2) == pytest.approx(share)


def test_a_rate_below_the_lowest_does_not_rise():
    adversary = small(lr=1e-7, epochs=2)
    for _ in range(3):
        adversary.optimizer.step()
        adversary.scheduler.step()
    assert adversary.optimizer.param_groups[0]["lr"] == pytest.approx(1e-7)


def test_one_weight_for_each_block_is_needed():
    with pytest.raises(ValueError, match="3 feature weights are needed, not 4"):
        build_adversary(SHAPE, DiscriminatorTrainConfig(), (1, 1, 1, 1))


def test_under_autocast_losses_are_float32_and_close():
    adversary = small()
    adversary.network.eval()
    fake = images(2).requires_grad_()
    exact = adversary.generator_losses(images(1), fake) | {"own": adversary.own_loss(images(1), fake)}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = adversary.generator_losses(images(1), fake) | {"own": adversary.own_loss(images(1), fake)}
    for name, loss in rough.items():
        assert loss.dtype == torch.float32 and loss.item() == pytest.approx(exact[name].item(), rel=0.02), name
    sum(rough.values()).backward()
    assert torch.isfinite(fake.grad).all()
    assert all(torch.isfinite(parameter.grad).all() for parameter in adversary.network.parameters())


def test_frozen_gives_everything_back_even_after_an_error():
    module = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    module[0].requires_grad_(False)
    with pytest.raises(KeyError), frozen(module):
        assert not module.training and not any(parameter.requires_grad for parameter in module.parameters())
        raise KeyError
    assert module.training
    assert [parameter.requires_grad for parameter in module.parameters()] == [False, False, True, True]


@pytest.mark.parametrize("box", [(10, 20, 50, 40), (0, 0, 64, 64), (0, 3, 1, 4), (5, 5, 7, 60)])
def test_a_crop_equals_cutting_and_interpolating(box):
    x1, y1, x2, y2 = box
    picture = images(3)
    expected = F.interpolate(picture[:, :, y1:y2, x1:x2], (48, 48), mode="bilinear", align_corners=False)
    found = crop_resized(picture, torch.tensor([box, box], dtype=torch.int32), 48)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_each_image_has_its_own_box():
    picture = torch.zeros(2, 3, 8, 8)
    picture[0, :, 2, 1], picture[1, :, 5, 6] = 1.0, 2.0
    found = crop_resized(picture, torch.tensor([[1, 2, 2, 3], [6, 5, 7, 6]]), 4)
    torch.testing.assert_close(found, torch.tensor([1.0, 2.0]).view(2, 1, 1, 1).expand(2, 3, 4, 4))


@pytest.mark.parametrize("box", [(-5, -5, 4, 4), (6, 6, 20, 20), (3, 3, 3, 3), (9, 9, 12, 12)])
def test_boxes_beyond_the_image_or_without_area_give_pixels_of_the_image(box):
    picture = torch.full((1, 3, 8, 8), 0.5)
    found = crop_resized(picture, torch.tensor([box]), 4)
    torch.testing.assert_close(found, torch.full((1, 3, 4, 4), 0.5))


def test_gradients_of_a_crop_stay_inside_its_box():
    picture = images(3, count=1).requires_grad_()
    crop_resized(picture, torch.tensor([[10, 20, 30, 40]]), 32).sum().backward()
    reached = picture.grad.abs().amax(dim=(0, 1)) > 0
    inside = torch.zeros(64, 64, dtype=torch.bool)
    inside[20:40, 10:30] = True
    assert torch.equal(reached, inside)


def test_crops_are_float32_under_autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert crop_resized(images(1).bfloat16(), torch.tensor([[0, 0, 9, 9]] * 2), 8).dtype == torch.float32
