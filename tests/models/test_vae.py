import json
from pathlib import Path

import numpy as np
import pytest
import torch
from formula_weights import fill
from model_factory import TINY_VAE, with_old_names

from musetalk.errors import WeightsError
from musetalk.models.vae import Vae, build_vae, load_vae, rename_legacy_attention, to_bgr, to_unit_range

KL = {
    "_class_name": "AutoencoderKL",
    "_diffusers_version": "0.4.2",
    "block_out_channels": [8, 8],
    "down_block_types": ["DownEncoderBlock2D"] * 2,
    "up_block_types": ["UpDecoderBlock2D"] * 2,
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "latent_channels": 4,
    "scaling_factor": 0.25,
    "sample_size": 64,
}


def faces(size=64):
    return np.random.default_rng(0).integers(0, 256, (2, size, size, 3), np.uint8)


@pytest.mark.parametrize("convolutions", [False, True], ids=["linear", "1x1 convolutions"])
def test_old_attention_names_become_todays(convolutions):
    today = build_vae(KL, Path()).state_dict()
    old = with_old_names(today, convolutions)
    assert any(".query." in key for key in old) and not any(".to_q." in key for key in old)
    renamed = rename_legacy_attention(old)
    assert {key: value.shape for key, value in renamed.items()} == {key: value.shape for key, value in today.items()}
    assert all(torch.equal(renamed[key], today[key]) for key in today)


def test_todays_names_stay():
    today = build_vae(KL, Path()).state_dict()
    assert list(rename_legacy_attention(today)) == list(today)


def test_a_file_with_old_names_loads(tmp_path):
    network = fill(build_vae(KL, Path())).eval()
    (tmp_path / "config.json").write_text(json.dumps(KL))
    torch.save(with_old_names(network.state_dict()), tmp_path / "diffusion_pytorch_model.bin")
    vae = load_vae(tmp_path)
    assert vae.face_size == 64
    images = to_unit_range(faces())
    with torch.inference_mode():
        torch.testing.assert_close(vae.encode(images), Vae(network).encode(images))


def test_encoding_takes_the_mode_and_scales():
    network = fill(build_vae(KL, Path())).eval()
    images = to_unit_range(faces())
    with torch.inference_mode():
        mean = network.encode(images).latent_dist.mean
        torch.testing.assert_close(Vae(network).encode(images), mean * 0.25)
        decoded = Vae(network).decode(mean * 0.25)
        torch.testing.assert_close(decoded, (network.decode(mean).sample / 2 + 0.5).clamp(0, 1))


def test_the_tiny_autoencoder_works_alike():
    network = fill(build_vae(TINY_VAE, Path())).eval()
    vae = Vae(network)
    with torch.inference_mode():
        latents = vae.encode(to_unit_range(faces()))
        assert latents.shape == (2, 4, 8, 8)
        torch.testing.assert_close(latents, network.encode(to_unit_range(faces())).latents * 0.5)
        assert vae.decode(latents).shape == (2, 3, 64, 64)


def test_pixels_survive_the_way_to_the_network_and_back():
    images = faces()
    tensor = to_unit_range(images)
    assert tensor.min() >= -1 and tensor.max() <= 1
    blue = np.zeros((1, 2, 2, 3), np.uint8)
    blue[..., 0] = 255
    assert to_unit_range(blue)[0, :, 0, 0].tolist() == [-1, -1, 1]  # RGB
    np.testing.assert_array_equal(to_bgr(tensor / 2 + 0.5), images)


def test_unknown_autoencoder_is_named():
    with pytest.raises(WeightsError, match="VQModel"):
        build_vae({"_class_name": "VQModel"}, Path("config.json"))


def test_unknown_setting_is_named():
    with pytest.raises(WeightsError, match="latent_chanels"):
        build_vae({**KL, "latent_chanels": 4}, Path("config.json"))


def test_config_that_is_no_json(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(WeightsError, match=r"config\.json"):
        load_vae(tmp_path)
