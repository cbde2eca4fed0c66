from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from clip_factory import write_clips
from model_factory import TINY_VAE

from musetalk.errors import ConfigError, InputError
from musetalk.models.vae import build_vae, load_vae
from musetalk.training.color_path import COLOR_SCALE, lay_color_path
from musetalk.training.config import ListEntry
from musetalk.training.image_losses import detail_loss, image_pyramid_loss
from musetalk.training.log import read_rows
from musetalk.training.tasks import train
from musetalk.training.vae_task import CropSamples, FacePictures, VaeDataConfig

MINI = Path("configs/training/networks/mini_vae.json")


def test_trains_and_exports_a_vae_that_inference_loads(tmp_path: Path) -> None:
    clips = write_clips(tmp_path / "data", 2)
    (tmp_path / "vae.json").write_text(json.dumps(TINY_VAE))
    overrides = [
        f"output_dir={tmp_path / 'out'}", f"network={tmp_path / 'vae.json'}", f"data.train_list={clips}",
        f"data.val_list={clips}", "data.train_bs=2", "data.num_workers=0", "data.crop=64", "num_images_to_keep=1",
        "loss_params.gan_loss=0.01", "discriminator_params.block_expansion=2", "discriminator_params.num_blocks=2",
        "discriminator_train_params.start_gan=1", "solver.max_train_steps=3", "solver.mixed_precision=fp32",
        "log_every=1", "val_freq=3",
    ]  # fmt: skip
    assert train("vae", Path("configs/training/vae.yaml"), overrides) == 0
    rows = read_rows(tmp_path / "out/test/losses.jsonl")
    assert {"image_loss", "color_loss", "bound_loss"} < rows[0].keys() and "gan_loss" not in rows[0]
    assert {"gan_loss", "fm_loss", "face_discriminator"} < rows[1].keys()
    assert rows[-1]["psnr"] > 0
    vae = load_vae(tmp_path / "out/test/vae")
    assert vae.encode(torch.zeros(1, 3, 64, 64)).shape == (1, 4, 8, 8)


def test_a_decoder_is_trained_on_for_latents_that_stay(tmp_path: Path) -> None:
    clips = write_clips(tmp_path / "data", 2)
    overrides = [
        f"output_dir={tmp_path / 'out'}", f"data.train_list={clips}", f"data.val_list={clips}", "data.train_bs=2",
        "data.num_workers=0", "data.crop=64", "num_images_to_keep=1", "solver.max_train_steps=2", "val_freq=2",
        "solver.mixed_precision=fp32", "decoder_only=true", "solver.lr_warmup_steps=0",
    ]  # fmt: skip
    settings = Path("configs/training/vae.yaml")
    with pytest.raises(ConfigError, match="decoder_only"):
        train("vae", settings, overrides)
    assert train("vae", settings, [*overrides, "init=models/mini/vae"]) == 0
    before, after = load_vae(Path("models/mini/vae")), load_vae(tmp_path / "out/test/vae")
    assert after.scaling_factor == before.scaling_factor
    pairs = zip(before.network.named_parameters(), after.network.parameters(), strict=True)
    changed = {name.split(".")[0] for (name, old), new in pairs if not torch.allclose(old, new, rtol=1e-3, atol=1e-4)}
    assert changed == {"decoder"}


def test_crops_are_a_function_of_their_number(tmp_path: Path) -> None:
    clips = write_clips(tmp_path, 2)
    data = VaeDataConfig(crop=48)
    first, second = (CropSamples(FacePictures([ListEntry(clips)], 3), data, 3) for _ in range(2))
    whole = [first[number] for number in range(6)]
    assert all(crop.shape == (48, 48, 3) and crop.dtype == np.uint8 for crop in whole)
    np.testing.assert_array_equal(second[5], whole[5])
    assert not np.array_equal(whole[4], whole[5])


def test_a_damaged_clip_is_replaced_and_named(tmp_path: Path) -> None:
    clips = write_clips(tmp_path, 3)
    (tmp_path / "clip1.regions").write_bytes(b"nothing")
    faces = FacePictures([ListEntry(clips)], 0)
    assert all(faces.picture(number, np.random.default_rng(number)).ndim == 3 for number in range(6))
    assert [path.name for path in faces.damaged] == ["clip1.json"]


def test_clips_without_regions_are_named(tmp_path: Path) -> None:
    clips = write_clips(tmp_path, 1)
    for regions in tmp_path.glob("*.regions"):
        regions.unlink()
    with pytest.raises(InputError, match=r"clip0\.regions"):
        FacePictures([ListEntry(clips)], 0).picture(0, np.random.default_rng(0))


def test_an_untrained_decoder_already_paints_the_colour_of_its_latents() -> None:
    torch.manual_seed(0)
    network = build_vae(json.loads(MINI.read_text()), MINI)
    lay_color_path(network.decoder, torch.eye(3), channels=(0, 1, 2))
    color = torch.tensor([0.5, -0.25, -0.6])
    latents = torch.zeros(1, network.config.latent_channels, 8, 8)
    latents[:, :3] = COLOR_SCALE * color[None, :, None, None]
    with torch.no_grad():
        for name, parameter in network.decoder.named_parameters():
            if name.endswith("weight") and parameter.shape[0] == 3:  # the last layer hears the colour path only
                keep = parameter[:, :3].clone()
                parameter.zero_()
                parameter[:, :3] = keep
        painted = network.decode(latents).sample
    inner = painted[0, :, 8:-8, 8:-8].mean(dim=(1, 2))
    torch.testing.assert_close(inner, color, atol=0.06, rtol=0)


def test_pyramid_loss_sees_a_colour_shift_and_a_lost_edge() -> None:
    image = torch.zeros(1, 3, 32, 32)
    image[..., 16:] = 0.5
    shifted = image + torch.tensor([0.1, -0.1, 0.1])[None, :, None, None]
    flat = torch.full_like(image, 0.25)
    assert image_pyramid_loss(image, image) == 0
    torch.testing.assert_close(image_pyramid_loss(shifted, image), torch.tensor(0.5 / 3), atol=1e-6, rtol=0)
    assert image_pyramid_loss(flat, image) > image_pyramid_loss(shifted, image)


def test_the_detail_loss_asks_for_the_strength_of_detail_not_for_its_place() -> None:
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(2, 3, 64, 64, generator=generator)
    elsewhere = torch.randn(2, 3, 64, 64, generator=generator)
    flat = torch.zeros_like(noise)
    assert detail_loss(noise, noise) == 0
    assert float(detail_loss(elsewhere, noise)) < 0.2 * float(detail_loss(flat, noise))
    weak = (noise / 2).requires_grad_(True)
    detail_loss(weak, noise).backward()
    assert weak.grad is not None and float((weak.grad * weak).sum()) < 0  # stronger is better
