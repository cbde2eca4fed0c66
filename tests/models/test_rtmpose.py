from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from formula_weights import fill

from musetalk.models.rtmpose import RTMPose, average_with_mirrored, decode, mirrored_keypoints

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "dwpose.npz"


@pytest.fixture(scope="module")
def golden() -> Mapping[str, np.ndarray]:
    return np.load(GOLDEN)


@pytest.fixture(scope="module")
def network() -> RTMPose:
    return fill(RTMPose(), gain=1.4).eval()


def test_state_dict_has_the_published_keys_and_shapes(golden, network):
    shapes = {key: list(value.shape) for key, value in network.state_dict().items()}

    assert shapes == json.loads(str(golden["manifest"]))


def test_features_and_logits_equal_the_published_network(golden, network):
    small = torch.from_numpy(golden["network_input_small"])
    x = F.interpolate(small, size=(384, 288), mode="bilinear", align_corners=False)

    with torch.inference_mode():
        features = network.backbone(x)
        logits_x, logits_y = network(x)

    np.testing.assert_allclose(features[:, ::16].numpy(), golden["features"], atol=1e-3)
    np.testing.assert_allclose(logits_x[:, ::7].numpy(), golden["simcc_x"], atol=1e-3)
    np.testing.assert_allclose(logits_y[:, ::7].numpy(), golden["simcc_y"], atol=1e-3)


def test_mirrored_keypoints_are_the_published_ones(golden):
    order = mirrored_keypoints()

    assert order == golden["flip_indices"].tolist()
    assert [order[i] for i in order] == list(range(133))


def test_decode_takes_the_largest_bin_and_the_smaller_maximum():
    x = torch.zeros(1, 133, 576)
    y = torch.zeros(1, 133, 768)
    x[0, 0, 101], y[0, 0, 40] = 3.0, 2.0
    x[0, 1, 7] = 3.0  # nothing above 0 on y

    points, scores = decode((x, y))

    assert points[0, 0].tolist() == [50.5, 20.0]
    assert scores[0, 0] == 2.0
    assert points[0, 1].tolist() == [-0.5, -0.5]
    assert points.dtype == torch.float64


def test_mirrored_logits_come_back_to_the_image_they_mirror():
    x, y = torch.zeros(1, 133, 576), torch.zeros(1, 133, 768)
    x[0, 1, 100], y[0, 1, 9] = 1.0, 1.0
    mirrored_x, mirrored_y = torch.zeros(1, 133, 576), torch.zeros(1, 133, 768)
    mirrored_x[0, 2, 575 - 100], mirrored_y[0, 2, 9] = 1.0, 1.0  # the left eye seen as the right one

    average_x, average_y = average_with_mirrored((x, y), (mirrored_x, mirrored_y))

    assert torch.equal(average_x, x)
    assert torch.equal(average_y, y)
