import json
from pathlib import Path

import pytest
import torch
from formula_weights import fill

from musetalk.models.discriminator import Discriminator, SpectralConv2d, channels_of, scale_name

MANIFEST = Path(__file__).parents[1] / "data" / "golden" / "state_dict_manifests.json"


def images(count=2, side=64, seed=1):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def small(**values):
    return fill(Discriminator((4, 8, 8), **values))


def test_keys_and_shapes_are_the_published_ones_in_their_order():
    shapes = {key: list(value.shape) for key, value in Discriminator().state_dict().items()}
    manifest = json.loads(MANIFEST.read_text())["discriminator"]
    assert shapes == manifest and sorted(shapes) == sorted(manifest)


def test_channels_from_the_published_keys():
    assert channels_of(32, 4, 512) == (64, 128, 256, 512)
    assert channels_of(32, 5, 300) == (64, 128, 256, 300, 300)


@pytest.mark.parametrize(("scale", "name"), [(1, "1"), (1.0, "1"), (0.5, "0-5"), (0.125, "0-125")])
def test_names_of_scales(scale, name):
    assert scale_name(scale) == name


def test_maps_of_each_block_and_one_score_for_each_patch():
    """64 → 61 → 30 → 27 → 13 → 10: a convolution takes 3 pixels, pooling half; the last block does not pool."""
    judged = small()({1.0: images()})[1.0]
    assert [tuple(found.shape) for found in judged.features] == [(2, 4, 30, 30), (2, 8, 13, 13), (2, 8, 10, 10)]
    assert judged.score.shape == (2, 1, 10, 10)


def test_each_scale_has_a_network_of_its_own():
    judged = small(scales=(1.0, 0.5))({1.0: images(), 0.5: images(side=32)})
    assert set(judged) == {1.0, 0.5} and judged[0.5].score.shape == (2, 1, 2, 2)


def test_one_pass_over_both_is_two_passes():
    """Instance norm looks at each image alone."""
    network = small().eval()
    real, fake = images(seed=1), images(seed=2)
    both = network({1.0: torch.cat([real, fake])})[1.0]
    for part, alone in ((slice(0, 2), network({1.0: real})[1.0]), (slice(2, 4), network({1.0: fake})[1.0])):
        torch.testing.assert_close(both.score[part], alone.score)
        for ours, theirs in zip(both.features, alone.features, strict=True):
            torch.testing.assert_close(ours[part], theirs)


def test_spectral_norm_by_hand():
    """A 1×1 convolution with the weight diag(3, 4): its largest singular value is 4, found by power iteration."""
    conv = SpectralConv2d(2, 2, 1)
    with torch.no_grad():
        conv.weight_orig.copy_(torch.diag(torch.tensor([3.0, 4.0]))[:, :, None, None])
        conv.bias.zero_()
        for _ in range(60):
            conv(torch.ones(1, 2, 1, 1))
    assert conv(torch.ones(1, 2, 1, 1)).flatten().tolist() == pytest.approx([0.75, 1.0], abs=1e-5)


def test_spectral_norm_equals_torchs_over_steps_of_training():
    torch.manual_seed(3)
    ours = SpectralConv2d(3, 5, 4)
    theirs = torch.nn.utils.spectral_norm(torch.nn.Conv2d(3, 5, 4))
    theirs.load_state_dict(ours.state_dict())
    for _ in range(4):
        results = []
        for conv in (ours, theirs):
            found = conv(images(side=8))
            conv.zero_grad()
            found.square().sum().backward()
            results.append(found.detach())
            with torch.no_grad():
                for parameter in conv.parameters():
                    parameter -= 0.01 * parameter.grad
        torch.testing.assert_close(*results)
        torch.testing.assert_close(ours.weight_orig.grad, theirs.weight_orig.grad)
    for key, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[key], value)


def test_estimates_change_in_training_only():
    conv = SpectralConv2d(3, 5, 4)
    before = conv.weight_u.clone()
    conv.eval()(images(side=8))
    assert torch.equal(conv.weight_u, before)
    conv.train()(images(side=8))
    assert not torch.equal(conv.weight_u, before)


def test_the_singular_value_is_exact_under_autocast():
    conv = fill(SpectralConv2d(3, 5, 4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = conv(images(side=8))
    u, v = conv.weight_u.clone(), conv.weight_v.clone()
    exact = fill(SpectralConv2d(3, 5, 4))
    exact(images(side=8))
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close((u, v), (exact.weight_u, exact.weight_v))


def test_without_spectral_norm_the_keys_are_plain():
    keys = small(spectral=False).state_dict()
    assert "discs.1.down_blocks.0.conv.weight" in keys and not any("weight_u" in key for key in keys)
