import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from musetalk.training.perceptual import scaled_to
from musetalk.training.pyramid import ImagePyramid, gaussian_kernel, shrink, stride_of

GOLDEN = np.load(Path(__file__).parents[1] / "data" / "golden" / "losses.npz")
SCALES = (1.0, 0.5, 0.25, 0.125)


def test_pyramid_equals_the_published_one():
    images = F.interpolate(torch.from_numpy(GOLDEN["real_small"]), (256, 256), mode="bilinear", align_corners=False)
    pyramid = ImagePyramid(SCALES)(scaled_to(images, 224))
    assert [pyramid[scale].shape[-1] for scale in SCALES] == [224, 112, 56, 28]
    for scale in SCALES:
        np.testing.assert_allclose(pyramid[scale][:, :, ::8, ::8], GOLDEN[f"pyramid_{scale:g}"], atol=1e-5)
    assert "1" in json.loads(str(GOLDEN["values"]))["vgg_per_scale"]


def test_kernel_by_hand():
    """sigma ½: five values e^(−2k²), so neighbours are e⁻² of the middle."""
    kernel = gaussian_kernel(0.5)
    assert len(kernel) == 5 and kernel.sum().item() == pytest.approx(1)
    assert (kernel[1] / kernel[2]).item() == pytest.approx(np.exp(-2))


def test_a_dot_becomes_the_kernel_at_every_other_pixel():
    image = torch.zeros(1, 1, 1, 9)
    image[..., 4] = 1
    kernel = gaussian_kernel(0.5)
    expected = kernel[2] * torch.stack([torch.tensor(0.0), kernel[0], kernel[2], kernel[4], torch.tensor(0.0)])
    torch.testing.assert_close(shrink(image, 0.5)[0, 0, 0], expected)


def test_a_flat_image_stays_flat_inside():
    small = shrink(torch.full((2, 3, 64, 64), 0.7), 0.25)
    torch.testing.assert_close(small[:, :, 4:-4, 4:-4], torch.full((2, 3, 8, 8), 0.7))


def test_fine_stripes_vanish_instead_of_turning_into_coarse_ones():
    stripes = torch.tensor([-1.0, 1.0]).repeat(32).expand(1, 1, 64, 64)
    assert shrink(stripes, 0.25)[..., 4:-4, 4:-4].abs().max() < 0.02


def test_scale_one_is_the_image_itself():
    image = torch.rand(1, 3, 5, 7)
    assert shrink(image, 1.0) is image


@pytest.mark.parametrize("scale", [0.4, 0.75])
def test_scales_that_are_no_fractions_are_refused(scale):
    with pytest.raises(ValueError, match="not one over a whole number"):
        ImagePyramid([1.0, scale])


@pytest.mark.parametrize(("scale", "stride"), [(1, 1), (0.5, 2), (1 / 3, 3), (0.125, 8)])
def test_strides(scale, stride):
    assert stride_of(scale) == stride


def test_stays_float32_under_autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ImagePyramid([0.5])(torch.rand(1, 3, 8, 8, dtype=torch.bfloat16))[0.5].dtype == torch.float32
