"""BiSeNet against the published network, filled with the same formula weights."""

from __future__ import annotations

import json
from pathlib import Path

import formula_weights
import numpy as np
import torch

from musetalk.models.bisenet import BiSeNet

GOLDEN = Path(__file__).parents[1] / "data/golden"


def test_state_dict_is_that_of_the_published_checkpoint() -> None:
    manifest = json.loads((GOLDEN / "state_dict_manifests.json").read_text(encoding="utf-8"))["bisenet"]
    assert {key: list(value.shape) for key, value in BiSeNet().state_dict().items()} == manifest


def test_logits_equal_the_published_ones() -> None:
    network = formula_weights.fill(BiSeNet(), 1.2).eval()
    with np.load(GOLDEN / "bisenet.npz") as data:
        seed = torch.from_numpy(data["seed_image"])
        image = torch.nn.functional.interpolate(seed, (512, 512), mode="bilinear", align_corners=False)
        with torch.inference_mode():
            heads = network.all_heads(image)
            assert torch.equal(network(image), heads[0])
        for head, name in zip(heads, ("logits_sub", "logits16_sub", "logits32_sub"), strict=True):
            np.testing.assert_allclose(head[:, :, ::16, ::16].numpy(), data[name], atol=1e-3, rtol=0)
        labels = heads[0].argmax(1)[:, ::8, ::8].numpy()
        assert (labels == data["labels_sub"]).mean() >= 0.999


def test_any_size_in_same_size_out() -> None:
    with torch.inference_mode():
        assert BiSeNet().eval()(torch.zeros(2, 3, 96, 130)).shape == (2, 19, 96, 130)
