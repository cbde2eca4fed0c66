import json
from pathlib import Path

import pytest
import torch
from formula_weights import fill

from musetalk.errors import WeightsError
from musetalk.models.vgg import FEATURE_CHANNELS, VGG19, load_vgg

MANIFEST = Path(__file__).parents[1] / "data" / "golden" / "state_dict_manifests.json"


@pytest.fixture(scope="module")
def network():
    return fill(VGG19(), 1.4).eval().requires_grad_(False)


def test_keys_and_shapes_are_torchvisions(network):
    shapes = {key: list(value.shape) for key, value in network.state_dict().items()}
    assert shapes == json.loads(MANIFEST.read_text())["vgg19_features"]


def test_features_halve_in_size_from_depth_to_depth(network):
    features = network(torch.zeros(1, 3, 32, 32))
    assert [tuple(found.shape[1:]) for found in features] == [
        (channels, 32 // 2**depth, 32 // 2**depth) for depth, channels in enumerate(FEATURE_CHANNELS)
    ]
    assert all((found >= 0).all() for found in features)  # each behind its ReLU


def test_the_mean_of_imagenet_is_removed_from_images_as_they_are(network):
    """A picture in the mean's colour is zero to the network: the first features are those of its biases alone."""
    picture = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    first = network(picture)[0]
    expected = network.features[0].bias.clamp(min=0).view(1, -1, 1, 1).expand_as(first)
    torch.testing.assert_close(first, expected, atol=1e-5, rtol=0)


def test_gradient_checkpointing_changes_nothing_but_memory(network):
    gradients = []
    for on in (False, True):
        network.gradient_checkpointing = on
        images = torch.linspace(-1, 1, 3 * 32 * 32).reshape(1, 3, 32, 32).requires_grad_()
        sum(found.mean() for found in network(images)).backward()
        gradients.append(images.grad)
    torch.testing.assert_close(*gradients)


def test_weights_load_from_torchvisions_file_without_its_classifier(network, tmp_path):
    state = {**network.state_dict(), "classifier.0.weight": torch.zeros(2, 2), "classifier.0.bias": torch.zeros(2)}
    torch.save(state, tmp_path / "vgg19-dcbb9e9d.pth")
    loaded = load_vgg(tmp_path / "vgg19-dcbb9e9d.pth")
    assert torch.equal(loaded.features[28].weight, network.features[28].weight)
    assert not loaded.training and not any(parameter.requires_grad for parameter in loaded.parameters())


def test_a_file_without_the_features_is_refused(tmp_path):
    torch.save({"classifier.0.bias": torch.zeros(2)}, tmp_path / "vgg.pth")
    with pytest.raises(WeightsError, match=r"vgg\.pth: checkpoint of the wrong shape: features\.0\.weight is missing"):
        load_vgg(tmp_path / "vgg.pth")
