import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from formula_weights import fill

from musetalk.models.vgg import VGG19
from musetalk.training.perceptual import PerceptualLoss, mean_difference, scaled_to

GOLDEN = np.load(Path(__file__).parents[1] / "data" / "golden" / "losses.npz")
VALUES = json.loads(str(GOLDEN["values"]))
SIDE = 32


@pytest.fixture(scope="module")
def vgg():
    return fill(VGG19(), 1.4)


@pytest.fixture
def small_loss(vgg):
    """Of images as small as the network takes them."""
    return PerceptualLoss(vgg, scales=(1.0, 0.5), image_size=SIDE)


def golden_images(name):
    return F.interpolate(torch.from_numpy(GOLDEN[name]), (256, 256), mode="bilinear", align_corners=False)


def pair():
    generator = torch.Generator().manual_seed(4)
    return [torch.rand(2, 3, SIDE, SIDE, generator=generator) * 2 - 1 for _ in range(2)]


def test_loss_equals_the_published_one_at_every_scale_and_layer(vgg):
    loss = PerceptualLoss(vgg)
    with torch.no_grad():
        distances = loss.distances(golden_images("generated_small"), golden_images("real_small"))
    expected = [VALUES["vgg_per_scale"][scale] for scale in ("1", "0.5", "0.25", "0.125")]
    np.testing.assert_allclose(distances, expected, rtol=1e-3)
    assert distances.mean(1).sum().item() == pytest.approx(VALUES["vgg_loss"], rel=1e-3)


def test_l1_equals_the_published_one():
    difference = mean_difference(golden_images("generated_small"), golden_images("real_small"))
    assert difference.item() == pytest.approx(VALUES["l1"], rel=1e-3)


def test_mean_difference_by_hand():
    assert mean_difference(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 0.0, 4.0])).item() == 1.0


def test_equal_images_are_no_distance_apart(small_loss):
    image = pair()[0]
    assert small_loss(image, image).item() == 0


def test_layers_are_averaged_with_their_weights_and_scales_are_summed(vgg):
    predicted, target = pair()
    distances = PerceptualLoss(vgg, (1.0, 0.5), image_size=SIDE).distances(predicted, target)
    loss = PerceptualLoss(vgg, (1.0, 0.5), layer_weights=(0, 0, 10, 0, 0), image_size=SIDE)(predicted, target)
    assert distances.shape == (2, 5)
    assert loss.item() == pytest.approx(2 * distances[:, 2].sum().item(), rel=1e-5)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_reach_the_predicted_images_only(vgg, checkpointing):
    loss = PerceptualLoss(vgg, (1.0, 0.5), image_size=SIDE, gradient_checkpointing=checkpointing)
    predicted, target = (image.requires_grad_() for image in pair())
    loss(predicted, target).backward()
    assert torch.isfinite(predicted.grad).all() and predicted.grad.abs().max() > 0
    assert target.grad is None
    assert all(parameter.grad is None for parameter in loss.parameters())


def test_a_step_against_the_gradient_brings_the_images_closer(small_loss):
    predicted, target = pair()
    predicted.requires_grad_()
    before = small_loss(predicted, target)
    before.backward()
    with torch.no_grad():
        assert small_loss(predicted - 10 * predicted.grad, target) < before


def test_under_autocast_and_in_bfloat16_the_loss_is_float32_and_within_one_percent(vgg):
    predicted, target = pair()
    loss = PerceptualLoss(vgg, (1.0, 0.5), image_size=SIDE)
    exact = loss(predicted, target).item()
    predicted.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = loss(predicted, target)
    rough.backward()
    assert rough.dtype == torch.float32 and rough.item() == pytest.approx(exact, rel=0.01)
    assert torch.isfinite(predicted.grad).all()


def test_images_of_the_right_size_are_not_scaled():
    image = torch.rand(1, 3, 8, 8)
    assert scaled_to(image, 8) is image
    assert scaled_to(image, 4).shape == (1, 3, 4, 4)
