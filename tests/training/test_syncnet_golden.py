"""The published SyncNet, filled by formula: its embeddings, and the sync loss. One network for all, for it is large."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from formula_weights import fill

from musetalk.models.syncnet import SyncNet
from musetalk.models.syncnet_config import read_syncnet_settings
from musetalk.training.sync_loss import SyncLoss

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "golden"
GOLDEN = np.load(DATA / "syncnet.npz")
MEL = torch.from_numpy(GOLDEN["mel"])


@pytest.fixture(scope="module")
def network():
    path = ROOT / "configs" / "training" / "syncnet.yaml"
    with torch.device("meta"):
        network = SyncNet(read_syncnet_settings(path), str(path))
    return fill(network.to_empty(device="cpu"), 1.2).eval()


@pytest.fixture(scope="module")
def visual():
    return F.interpolate(torch.from_numpy(GOLDEN["visual_small"]), (128, 256), mode="bilinear", align_corners=False)


def test_keys_and_shapes_are_the_published_ones(network):
    shapes = {key: list(value.shape) for key, value in network.state_dict().items()}
    assert shapes == json.loads((DATA / "state_dict_manifests.json").read_text())["syncnet"]


def test_sound_embeddings_equal_the_published_ones(network):
    with torch.inference_mode():
        embedded = network.embed_mel(MEL)
    np.testing.assert_allclose(embedded.numpy(), GOLDEN["audio_embed"], atol=1e-4)


def test_sync_loss_and_visual_embeddings_equal_the_published_ones(network, visual):
    """Frames 4 … 11 are the generated ones; upper halves are noise, which nobody sees."""
    faces = torch.rand(2, 16, 3, 256, 256) * 2 - 1
    faces[..., 128:, :] = visual.unflatten(1, (16, 3))
    generated = torch.zeros_like(faces)
    generated[:, 4:12] = faces[:, 4:12]
    seen = []
    network.visual_encoder.register_forward_hook(lambda module, given, found: seen.append(found))
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: None, lambda none: none):  # nothing goes back
        loss = SyncLoss(network, backward_frames=8)(generated, faces, MEL[:, 0], first=4)
    assert loss.item() == pytest.approx(float(GOLDEN["sync_loss_frames_4_12"]), rel=1e-4)
    embedded = F.normalize(seen[0].detach(), dim=1)
    np.testing.assert_allclose(embedded.numpy(), GOLDEN["visual_embed"], atol=1e-4)
