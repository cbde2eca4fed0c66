import json

import pytest
import torch
from model_factory import TINY_UNET, TINY_WHISPER, write_mini

from musetalk.errors import DeviceError, WeightsError
from musetalk.models import device
from musetalk.models.device import Placement, choose_placement
from musetalk.models.loading import load_networks
from musetalk.models.versions import VERSIONS, network_paths

ON_CPU = Placement(torch.device("cpu"), torch.float32)


@pytest.fixture
def models_dir(tmp_path):
    return write_mini(tmp_path)


def change_config(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_mini_layout_loads(models_dir):
    networks = load_networks(network_paths("mini", models_dir), ON_CPU)
    assert networks.vae.face_size == 256
    assert networks.audio_encoder.states == TINY_WHISPER["encoder_layers"] + 1
    assert networks.audio_encoder.width == networks.unet.audio_width == TINY_WHISPER["d_model"]
    assert not any(parameter.requires_grad for parameter in networks.unet.network.parameters())


def test_an_audio_encoder_without_positions_makes_its_sinusoids(models_dir):
    from safetensors.torch import load_file, save_file
    from transformers.models.whisper.modeling_whisper import sinusoids

    weights = models_dir / "mini/audio_encoder/model.safetensors"
    kept = {key: value for key, value in load_file(weights).items() if key != "embed_positions.weight"}
    save_file(kept, weights)
    positions = load_networks(network_paths("mini", models_dir), ON_CPU).audio_encoder.network.embed_positions.weight
    assert torch.equal(positions, sinusoids(*positions.shape))


def test_images_networks_take_the_dtype_and_the_audio_encoder_stays(models_dir):
    networks = load_networks(network_paths("mini", models_dir), Placement(torch.device("cpu"), torch.bfloat16))
    assert networks.unet.dtype == networks.vae.dtype == torch.bfloat16
    assert networks.refiner is not None
    assert next(networks.refiner.network.parameters()).dtype == torch.bfloat16
    assert next(networks.audio_encoder.network.parameters()).dtype == torch.float32
    assert networks.unet.network.conv_in.weight.is_contiguous(memory_format=torch.channels_last)


def test_unet_of_other_latents_is_refused(models_dir):
    from model_factory import TINY_VAE
    from safetensors.torch import save_file

    from musetalk.models.vae import build_vae

    config = {**TINY_VAE, "latent_channels": 8}
    (models_dir / "mini/vae/config.json").write_text(json.dumps(config))
    weights = models_dir / "mini/vae/diffusion_pytorch_model.safetensors"
    save_file(build_vae(config, weights).state_dict(), weights)
    with pytest.raises(WeightsError, match="needed: 16 and 8"):
        load_networks(network_paths("mini", models_dir), ON_CPU)


def test_faces_that_cannot_be_refined_are_refused(models_dir):
    change_config(models_dir / "mini/vae/config.json", sample_size=200)
    with pytest.raises(WeightsError, match="faces of 200 pixels, and a refiner takes multiples of 16"):
        load_networks(network_paths("mini", models_dir), ON_CPU)
    paths = network_paths("mini", models_dir, refiner="none")
    assert load_networks(paths, ON_CPU).refiner is None


def test_a_refiner_is_that_of_the_version_or_the_one_given(models_dir):
    assert network_paths("mini", models_dir).refiner == models_dir / "mini/refiner"
    assert network_paths("v15", models_dir).refiner is None
    assert network_paths("v15", models_dir, refiner=models_dir / "own").refiner == models_dir / "own"


def test_wrong_shape_names_the_key(models_dir):
    change_config(models_dir / "mini/unet/config.json", cross_attention_dim=48)
    with pytest.raises(WeightsError, match="shape"):
        load_networks(network_paths("mini", models_dir), ON_CPU)


def test_feature_extractor_of_another_length_is_refused(models_dir):
    change_config(models_dir / "mini/audio_encoder/preprocessor_config.json", chunk_length=10)
    with pytest.raises(WeightsError, match="mel frames"):
        load_networks(network_paths("mini", models_dir), ON_CPU)


def test_paths_follow_the_version_unless_given():
    paths = network_paths("v15", "weights", unet_weights="own.pth")
    assert paths.unet_config.as_posix() == "weights/musetalkV15/musetalk.json"
    assert paths.unet_weights.as_posix() == "own.pth"
    assert paths.vae.as_posix() == "weights/sd-vae"
    assert network_paths("v1", "weights").unet_weights.as_posix() == "weights/musetalk/pytorch_model.bin"
    assert network_paths("v15", "weights", vae_type="other").vae.as_posix() == "weights/other"
    assert set(VERSIONS) == {"v1", "v15", "mini"}
    assert TINY_UNET["in_channels"] == 8


@pytest.mark.parametrize(("has_bfloat16", "best"), [(True, torch.bfloat16), (False, torch.float32)])
def test_dtype_on_a_cpu(monkeypatch, has_bfloat16, best):
    monkeypatch.setattr(device, "cpu_has_bfloat16", lambda: has_bfloat16)
    assert choose_placement(-1).dtype == best
    assert choose_placement(-1, "float32").dtype == torch.float32
    placement = choose_placement(-1, use_float16=True)
    assert placement.dtype == best
    assert str(best).removeprefix("torch.") in placement.notes[0]


def test_dtype_on_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_placement(1) == Placement(torch.device("cuda", 1), torch.float16)
    assert choose_placement(0, "bfloat16").dtype == torch.bfloat16
    assert choose_placement(0, "float32", use_float16=True).dtype == torch.float32
    with pytest.raises(DeviceError, match="no GPU 2"):
        choose_placement(2)
