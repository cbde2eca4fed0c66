"""Faces to UNet inputs, where the UNet first gives every reference a resting mouth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from formula_weights import fill
from model_factory import TINY_MOUTH_UNET, write_mini
from safetensors.torch import save_file

from musetalk.models.device import Placement
from musetalk.models.loading import load_networks
from musetalk.models.unet import build_unet
from musetalk.models.vae import to_unit_range
from musetalk.models.versions import network_paths
from musetalk.pipeline.generator import Generator


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    models = write_mini(tmp_path_factory.mktemp("models"))
    config = {**TINY_MOUTH_UNET, "resting_mouth": [1.0] * 13}
    folder = models / "mini" / "unet"
    (folder / "config.json").write_text(json.dumps(config))
    save_file(fill(build_unet(config, Path())).state_dict(), folder / "diffusion_pytorch_model.safetensors")
    return Generator(load_networks(network_paths("mini", models), Placement(torch.device("cpu"), torch.float32)))


def plain(generator: Generator, face: np.ndarray, seen: np.ndarray) -> torch.Tensor:
    """The inputs of one face before its reference is touched."""
    vae = generator.networks.vae
    masked, reference = (to_unit_range(image[None], vae.device) for image in (face, seen))
    masked[:, :, generator.face_size // 2 :] = -1
    return torch.cat([vae.encode(masked), vae.encode(reference)], dim=1).float()


@torch.inference_mode()
def test_references_get_a_resting_mouth_before_they_are_kept(generator: Generator) -> None:
    rng, size = np.random.default_rng(0), generator.face_size
    one, other = (rng.integers(0, 255, (size, size, 3), dtype=np.uint8) for _ in range(2))
    unet = generator.networks.unet
    given = torch.cat([plain(generator, face, face) for face in (one, other)])
    latents = generator.encode_faces([one, other])
    assert latents.dtype == torch.float32
    assert torch.allclose(latents, unet.rest_references(given), atol=1e-4)
    assert not torch.allclose(latents, given, atol=1e-2)

    seen = generator.with_references(latents[:1], [other])
    assert torch.allclose(seen, unet.rest_references(plain(generator, one, other)), atol=1e-4)
    assert torch.equal(seen[:, : seen.shape[1] // 2], latents[:1, : seen.shape[1] // 2])
