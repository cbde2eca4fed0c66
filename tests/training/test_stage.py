from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clip_factory import write_clip, write_clips
from formula_weights import fill
from model_factory import TINY_MOUTH_UNET, write_mini
from safetensors.torch import load_file, save_file

from musetalk.errors import ConfigError, InputError, WeightsError
from musetalk.models.mouth_unet import MouthUnet
from musetalk.models.refiner import RefinerNetwork, read_refiner
from musetalk.models.unet import Unet, build_unet, load_unet
from musetalk.models.vae import load_vae
from musetalk.synthetic.mouth_channels import SPREAD
from musetalk.training.clip_meta import read_list, read_meta, write_list
from musetalk.training.config import LossConfig
from musetalk.training.log import read_rows
from musetalk.training.stage import blacken, loss_weights, rested
from musetalk.training.tasks import train


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny networks and five clips, four of them to train on."""
    folder = tmp_path_factory.mktemp("world")
    write_mini(folder / "models")
    write_clips(folder / "data", 4)
    write_list(folder / "data" / "val.txt", [write_clip(folder / "data", "held_out", 60, 9)])
    return folder


def settings(world: Path, out: Path, **changes: Any) -> list[str]:
    root = world / "models"
    values = {
        "output_dir": out / "stage1",
        "pretrained_model_name_or_path": root,
        "unet_sub_folder": "mini/unet",
        "vae_type": "mini/vae",
        "whisper_path": root / "mini" / "audio_encoder",
        "data.train_list": world / "data" / "train.txt",
        "data.val_list": world / "data" / "val.txt",
        "data.image_size": 64,
        "data.train_bs": 2,
        "data.num_workers": 0,
        "data.min_face_size": 60,
        "loss_params.vgg_loss": 0,
        "num_images_to_keep": 2,
        "solver.max_train_steps": 4,
        "solver.lr_warmup_steps": 0,
        "checkpointing_steps": 2,
        "val_freq": 2,
        "log_every": 1,
    }
    return [f"{name}={value}" for name, value in (values | changes).items()]


def rows(folder: Path, kind: str = "train") -> list[dict[str, Any]]:
    return [row for row in read_rows(folder / "losses.jsonl") if row["kind"] == kind]


STAGE1, STAGE2 = Path("configs/training/stage1.yaml"), Path("configs/training/stage2.yaml")


def test_stage_1_trains_validates_and_exports_what_inference_loads(world: Path, tmp_path: Path) -> None:
    assert train("stage1", STAGE1, settings(world, tmp_path)) == 0
    folder = tmp_path / "stage1" / "test"
    assert [row["step"] for row in rows(folder)] == [1, 2, 3, 4]
    measured = rows(folder, "validation")[-1]
    assert {"l1_loss", "mouth_l1", "mouth_l1_reference", "mouth_l1_inference", "mouth_l1_other_sound"} < measured.keys()
    strip = next((folder / "images").iterdir())
    import cv2

    assert cv2.imread(str(strip)).shape == (2 * 64, 5 * 64, 3)
    unet = load_unet(folder / "musetalk.json", folder / "unet.pth")
    assert unet.in_channels == 8


def test_stage_2_begins_with_stage_1_and_learns_from_every_loss(world: Path, tmp_path: Path) -> None:
    train("stage1", STAGE1, settings(world, tmp_path, **{"solver.max_train_steps": 1}))
    changes = {
        "output_dir": tmp_path / "stage2",
        "data.train_bs": 1,
        "data.n_sample_frames": 4,
        "model_params.discriminator_params.block_expansion": 2,
        "model_params.discriminator_params.num_blocks": 3,
        "loss_params.fm_loss": "[1,1,1]",
        "loss_params.sync_loss": 0,
        "loss_params.mouth_l1_loss": 0.5,
        "loss_params.latent_loss": 0.5,
        "discriminator_train_params.start_gan": 1,
        "solver.gradient_accumulation_steps": 2,
        "solver.max_train_steps": 2,
    }
    train("stage2", STAGE2, settings(world, tmp_path, **changes))
    first, second = rows(tmp_path / "stage2" / "test")
    assert {"l1_loss", "mouth_l1_loss", "latent_loss"} < first.keys()
    assert "gan_loss" not in first
    adversarial = {"gan_loss", "fm_loss", "mouth_gan_loss", "mouth_fm_loss"}
    adversarial |= {"face_discriminator", "mouth_discriminator"}
    assert adversarial < second.keys()
    # The first loss is that of stage 1's weights: a fresh network would give another.
    checkpoint = tmp_path / "stage2/test/checkpoints/checkpoint-2"
    assert {"unet.pt", "optimizer.pt", "face.pt", "mouth.pt", "config.yaml"} < {p.name for p in checkpoint.iterdir()}


def test_losses_in_latents_alone_decode_nothing(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("musetalk.models.vae.Vae.decode_for_loss", refuse)
    changes = {"loss_params.l1_loss": 0, "loss_params.latent_loss": 1, "data.val_list": world / "none.txt"}
    assert train("stage1", STAGE1, settings(world, tmp_path, **changes)) == 0


@pytest.mark.parametrize("encoded", [0, 6])
def test_a_loss_on_the_decoded_mouth_is_learnt_from(world: Path, tmp_path: Path, encoded: int) -> None:
    """With samples that were encoded once too; the decoder stays frozen, and gradients go through it."""
    changes = {"loss_params.l1_loss": 0, "loss_params.decoded_mouth_loss": 1, "data.val_list": world / "none.txt"}
    changes |= {"data.encoded_samples": encoded, "data.audio_features": tmp_path / "features"}
    changes |= {"solver.learning_rate": 2e-3, "solver.mixed_precision": "fp32", "solver.max_train_steps": 12}
    assert train("stage1", STAGE1, settings(world, tmp_path, **changes)) == 0
    losses = [row["decoded_mouth_loss"] for row in rows(tmp_path / "stage1" / "test")]
    assert np.mean(losses[-3:]) < 0.97 * np.mean(losses[:3])


def test_the_refiner_learns_from_faces_as_they_are_seen(world: Path, tmp_path: Path) -> None:
    (tmp_path / "refiner.json").write_text('{"widths": [8, 16, 24]}')
    names = ("decoded_mouth_loss", "draft_mouth_loss", "lower_face_loss", "latent_loss")
    changes = {"loss_params.l1_loss": 0, **{f"loss_params.{name}": 1 for name in names}, "train_decoder": True}
    changes |= {"refiner_config": tmp_path / "refiner.json", "solver.learning_rate": 2e-3, "val_freq": 12}
    changes |= {"solver.mixed_precision": "fp32", "solver.max_train_steps": 12}
    assert train("stage1", STAGE1, settings(world, tmp_path, **changes)) == 0
    folder = tmp_path / "stage1" / "test"
    learnt = rows(folder)
    drafts = [row["draft_mouth_loss"] for row in learnt]
    assert np.mean(drafts[-3:]) < 0.97 * np.mean(drafts[:3])
    # What is seen shows some of the frame from the start, and more of it in the end: here most is the same.
    assert all(row["decoded_mouth_loss"] < row["draft_mouth_loss"] for row in learnt)
    bias, untrained = (network.head.bias for network in (read_refiner(folder / "refiner"), RefinerNetwork((8, 16, 24))))
    assert bias is not None and untrained is not None and bias[::4].mean() > untrained[::4].mean() + 0.005
    # A run does not go on with another one.
    (tmp_path / "refiner.json").write_text('{"widths": [8, 16, 32]}')
    with pytest.raises(WeightsError, match="its networks work otherwise"):
        train("stage1", STAGE1, settings(world, tmp_path, **{**changes, "solver.max_train_steps": 13}))


def test_refined_mouths_are_compared_with_those_of_their_frames(told: Path, tmp_path: Path) -> None:
    (tmp_path / "refiner.json").write_text('{"widths": [8, 16]}')
    changes = {**MOUTHS, "unet_config": told / "unet.json", "init_mouth_reader": told / "reader.safetensors"}
    changes |= {"loss_params.l1_loss": 0, "data.val_list": told / "none.txt", "train_decoder": True}
    changes |= {"refiner_config": tmp_path / "refiner.json", "loss_params.decoded_mouth_loss": 1}
    changes |= {"loss_params.lip_copying_loss": 1, "loss_params.lip_reading_loss": 1, "solver.max_train_steps": 1}
    assert train("stage1", STAGE1, settings(told, tmp_path, **changes)) == 0
    logged = rows(tmp_path / "stage1" / "test")[0]
    assert {"decoded_mouth_loss", "lip_reading_loss", "lip_copying_loss", "lip_reader"} < logged.keys()


def test_the_decoder_learns_beside_the_unet_and_the_encoder_does_not(world: Path, tmp_path: Path) -> None:
    names = ("decoded_mouth_loss", "mouth_ssim_loss", "mouth_detail_loss", "latent_loss", "reconstruction_loss")
    changes = {"loss_params.l1_loss": 0, **{f"loss_params.{name}": 1 for name in names}, "train_decoder": True}
    changes |= {"solver.learning_rate": 2e-3, "solver.mixed_precision": "fp32", "solver.max_train_steps": 12}
    changes |= {"solver.ema_decay": 0.5, "val_freq": 12}
    assert train("stage1", STAGE1, settings(world, tmp_path, **changes)) == 0
    folder = tmp_path / "stage1" / "test"
    for name in ("decoded_mouth_loss", "reconstruction_loss"):
        losses = [row[name] for row in rows(folder)]
        assert np.mean(losses[-3:]) < 0.97 * np.mean(losses[:3])
    before, after = load_vae(world / "models" / "mini" / "vae"), load_vae(folder / "vae")
    assert after.face_size == before.face_size and after.scaling_factor == before.scaling_factor
    weights = after.network.state_dict()
    same = {name for name, weight in before.network.state_dict().items() if torch.equal(weight, weights[name])}
    assert {name for name in weights if name.startswith("encoder.")} <= same
    assert "decoder.layers.0.weight" not in same
    # Interrupted and gone on with, it comes to the same weights.
    halves = settings(world, tmp_path / "halves", **{**changes, "solver.lr_scheduler": "constant"})
    whole = settings(world, tmp_path / "whole", **{**changes, "solver.lr_scheduler": "constant"})
    train("stage1", STAGE1, [*halves, "solver.max_train_steps=2"])
    train("stage1", STAGE1, [*halves, "solver.max_train_steps=4"])
    train("stage1", STAGE1, [*whole, "solver.max_train_steps=4"])
    ends = [load_vae(tmp_path / name / "stage1/test/vae").network.state_dict() for name in ("halves", "whole")]
    for name, weight in ends[0].items():
        torch.testing.assert_close(weight, ends[1][name])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"rest_references": True}, "rest_references needs data.true_mouths"),
        ({"train_decoder": True, "data.encoded_samples": 6}, "train_decoder learns from true faces"),
        ({"loss_params.reconstruction_loss": 1}, "reconstruction_loss needs train_decoder"),
        ({"refiner_config": "refiner.json"}, "refiner_config needs train_decoder and loss_params.decoded_mouth_loss"),
        ({"loss_params.lower_face_loss": 1}, "lower_face_loss need refiner_config"),
        ({"loss_params.lip_copying_loss": 1}, "lip_copying_loss needs train_decoder"),
    ],
)
def test_what_a_learning_decoder_needs_is_said(
    world: Path, tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    given = {"loss_params.l1_loss": 0, "loss_params.latent_loss": 1, **changes}
    with pytest.raises(ConfigError, match=problem):
        train("stage1", STAGE1, settings(world, tmp_path, **given))


def test_samples_encoded_once_train_as_well(world: Path, tmp_path: Path) -> None:
    latents = {"loss_params.l1_loss": 0, "loss_params.latent_loss": 1, "solver.max_train_steps": 12, "log_every": 1}
    given = {**latents, "data.encoded_samples": 6, "data.audio_features": tmp_path / "features"}
    given |= {"solver.learning_rate": 2e-3, "solver.mixed_precision": "fp32", "val_freq": 12}
    assert train("stage1", STAGE1, settings(world, tmp_path, **given)) == 0
    losses = [row["latent_loss"] for row in rows(tmp_path / "stage1" / "test")]
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])
    (chunk,) = tmp_path.glob("features/encoded/*/chunk_*.safetensors")
    before = chunk.stat().st_mtime_ns
    again = settings(world, tmp_path / "again", **{**given, "solver.max_train_steps": 1})
    assert train("stage1", STAGE1, again) == 0
    assert chunk.stat().st_mtime_ns == before
    assert rows(tmp_path / "again" / "stage1" / "test")[0]["latent_loss"] == pytest.approx(losses[0], rel=1e-4)
    other = settings(world, tmp_path / "other", **{**given, "data.twin_probability": 0.5, "solver.max_train_steps": 1})
    assert train("stage1", STAGE1, other) == 0
    assert len(list(tmp_path.glob("features/encoded/*"))) == 2
    with pytest.raises(ConfigError, match="encoded_samples is for losses of latents alone"):
        train("stage1", STAGE1, settings(world, tmp_path, **{**given, "loss_params.l1_loss": 1}))


PAIRED = {"loss_params.consistency_loss": 1, "loss_params.lip_consistency_loss": 1, "data.sources_per_target": 2}


def test_what_is_painted_over_two_sources_of_a_target_is_compared(told: Path, tmp_path: Path) -> None:
    """Over the same mouth twice it is the same; over two mouths it is not."""
    others = [write_clip(tmp_path / "data", f"other{n}", 60, n) for n in (3, 3, 4)]
    mouths = np.zeros((60, 13), np.float32)
    lists = {}
    for name, twins in (("alike", others[:2]), ("apart", others[1:])):
        clip = write_clip(tmp_path / "data", name, 60, 1, mouths=mouths, twins=twins)
        lists[name] = tmp_path / "data" / f"{name}.txt"
        write_list(lists[name], [clip])
    changes = {**MOUTHS, **PAIRED, "unet_config": told / "unet.json", "init_mouth_reader": told / "reader.safetensors"}
    changes |= {"loss_params.l1_loss": 0, "loss_params.latent_loss": 1, "data.train_bs": 1}
    found = {}
    for name, path in lists.items():
        given = {**changes, "data.train_list": path, "data.val_list": tmp_path / "none.txt"}
        assert train("stage1", STAGE1, settings(told, tmp_path / name, **given)) == 0
        found[name] = rows(tmp_path / name / "stage1" / "test")[-1]
    for loss in ("consistency_loss", "lip_consistency_loss"):
        assert found["alike"][loss] < 1e-6 < found["apart"][loss], loss


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"data.sources_per_target": 1}, "need several data.sources_per_target"),
        ({"data.twin_probability": 0.5}, "a twin_probability of 1"),
        ({"data.true_mouths": False}, "begin with lip_ need data.true_mouths"),
    ],
)
def test_what_several_sources_need_is_said(told: Path, tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        train("stage1", STAGE1, settings(told, tmp_path, **{**MOUTHS, **PAIRED, **changes}))


def test_clips_with_too_few_twins_are_left_out(told: Path, tmp_path: Path) -> None:
    changes = {**MOUTHS, "data.sources_per_target": 2, "init_mouth_reader": told / "reader.safetensors"}
    with pytest.raises(InputError, match="fewer than 2 twins"):
        train("stage1", STAGE1, settings(told, tmp_path, **changes, unet_config=told / "unet.json"))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips with true mouths, and a UNet and a reader for them."""
    folder = tmp_path_factory.mktemp("told")
    write_mini(folder / "models")
    (folder / "unet.json").write_text(json.dumps(TINY_MOUTH_UNET))
    reader = fill(build_unet(TINY_MOUTH_UNET, Path())).reader
    save_file(reader.state_dict(), folder / "reader.safetensors")
    rng = np.random.default_rng(0)
    mouths = [rng.uniform(0, 0.3, (60, 13)).astype(np.float32) for _ in range(3)]
    clips = [write_clip(folder / "data", f"clip{n}", 60, n, mouths=mouths[n]) for n in range(3)]
    write_list(folder / "data" / "train.txt", clips[:2])
    write_list(folder / "data" / "val.txt", clips[2:])
    return folder


MOUTHS = {"data.true_mouths": True, "solver.mixed_precision": "fp32", "solver.max_train_steps": 2}


@pytest.mark.parametrize("encoded", [0, 6])
def test_a_unet_that_is_told_true_mouths_keeps_the_reader_that_it_was_given(
    told: Path, tmp_path: Path, encoded: int
) -> None:
    changes = {**MOUTHS, "unet_config": told / "unet.json", "init_mouth_reader": told / "reader.safetensors"}
    changes |= {"loss_params.l1_loss": 0, "loss_params.latent_loss": 1} if encoded else {}
    changes |= {"data.encoded_samples": encoded, "data.audio_features": tmp_path / "features"}
    assert train("stage1", STAGE1, settings(told, tmp_path, **changes)) == 0
    folder = tmp_path / "stage1" / "test"
    trained = load_unet(folder / "musetalk.json", folder / "unet.pth").network.state_dict()
    for name, value in load_file(told / "reader.safetensors").items():
        assert torch.equal(trained[f"reader.{name}"], value)
    fresh = build_unet(TINY_MOUTH_UNET, Path()).state_dict()
    assert not torch.equal(trained["unet.conv_out.bias"], fresh["unet.conv_out.bias"])


@pytest.mark.parametrize("encoded", [0, 6])
def test_a_unet_learns_to_paint_over_resting_references(told: Path, tmp_path: Path, encoded: int) -> None:
    """What it exports says so; and it is not what it would have learnt over the references themselves."""
    changes = {**MOUTHS, "unet_config": told / "unet.json", "init_mouth_reader": told / "reader.safetensors"}
    changes |= {"loss_params.l1_loss": 0, "loss_params.latent_loss": 1, "data.audio_features": tmp_path / "features"}
    changes |= {"data.val_list": told / "none.txt"}
    losses = {}
    for rests in (False, True):
        more = {"rest_references": rests, "exp_name": f"rests{rests}", "data.encoded_samples": encoded}
        assert train("stage1", STAGE1, settings(told, tmp_path, **changes, **more)) == 0
        folder = tmp_path / "stage1" / f"rests{rests}"
        losses[rests] = rows(folder)[0]["latent_loss"]
        unet = load_unet(folder / "musetalk.json", folder / "unet.pth")
        latents = torch.randn(1, unet.in_channels, 8, 8, generator=torch.Generator().manual_seed(0))
        assert torch.equal(unet.rest_references(latents), latents) is not rests
    assert losses[False] != losses[True]
    with pytest.raises(WeightsError, match="its networks work otherwise"):
        train("stage1", STAGE1, settings(told, tmp_path, **changes, **{**more, "rest_references": False}))


def test_only_in_training_some_references_keep_their_mouths() -> None:
    network = build_unet({**TINY_MOUTH_UNET, "resting_mouth": [1.0] * 13}, Path())
    unet, latents = Unet(network), torch.randn(200, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    resting = unet.rest_references(latents).detach()
    assert torch.allclose(rested(Unet(network.eval()), latents), resting, atol=1e-5)
    given = rested(Unet(network.train()), latents)
    assert not given.requires_grad
    kept = (given == latents).flatten(1).all(dim=1)
    assert 0.2 < kept.float().mean() < 0.4
    assert torch.allclose(given[~kept], resting[~kept], atol=1e-5)


@pytest.mark.parametrize("encoded", [0, 6])
def test_latents_are_judged_beside_the_reference_and_the_mouth(told: Path, tmp_path: Path, encoded: int) -> None:
    """From start_gan on; the discriminator is part of the checkpoint, and nothing is decoded."""
    changes = {**MOUTHS, "unet_config": told / "unet.json", "init_mouth_reader": told / "reader.safetensors"}
    changes |= {"loss_params.l1_loss": 0, "loss_params.latent_loss": 1, "data.val_list": told / "none.txt"}
    changes |= {"loss_params.latent_gan_loss": 0.1, "loss_params.latent_fm_loss": 0.5}
    changes |= {"discriminator_train_params.start_gan": 1, "discriminator_train_params.lr": 1e-3}
    changes |= {"data.encoded_samples": encoded, "data.audio_features": tmp_path / "features"}
    assert train("stage1", STAGE1, settings(told, tmp_path, **changes)) == 0
    folder = tmp_path / "stage1" / "test"
    first, second = rows(folder)
    assert "latent_gan_loss" not in first
    assert {"latent_loss", "latent_gan_loss", "latent_fm_loss", "latent_discriminator"} < second.keys()
    assert (folder / "checkpoints" / "checkpoint-2" / "latent.pt").is_file()
    assert train("stage1", STAGE1, settings(told, tmp_path, **{**changes, "solver.max_train_steps": 3})) == 0
    assert rows(folder)[-1]["step"] == 3


@pytest.mark.parametrize("encoded", [0, 6])
def test_lips_are_read_by_a_network_that_learns_beside(told: Path, tmp_path: Path, encoded: int) -> None:
    """From the first step, and it is part of the checkpoint; without true mouths it would have nothing to learn."""
    changes = {**MOUTHS, "unet_config": told / "unet.json", "init_mouth_reader": told / "reader.safetensors"}
    changes |= {"loss_params.l1_loss": 0, "loss_params.latent_loss": 1, "data.val_list": told / "none.txt"}
    changes |= {"loss_params.lip_reading_loss": 0.5, "loss_params.lip_feature_loss": 0.3}
    changes |= {"loss_params.mouth_ssim_loss": 0.5}
    changes |= {"data.encoded_samples": encoded, "data.audio_features": tmp_path / "features"}
    assert train("stage1", STAGE1, settings(told, tmp_path, **changes)) == 0
    folder = tmp_path / "stage1" / "test"
    logged = {"latent_loss", "mouth_ssim_loss", "lip_reading_loss", "lip_feature_loss", "lip_reader"}
    assert logged < rows(folder)[0].keys()
    assert "decoded_mouth_loss" not in rows(folder)[0]
    assert (folder / "checkpoints" / "checkpoint-2" / "lip.pt").is_file()
    assert train("stage1", STAGE1, settings(told, tmp_path, **{**changes, "solver.max_train_steps": 3})) == 0
    assert rows(folder)[-1]["step"] == 3
    with pytest.raises(ConfigError, match=r"need data\.true_mouths"):
        train("stage1", STAGE1, settings(told, tmp_path / "untold", **{**changes, "data.true_mouths": False}))


def test_copying_is_a_loss_by_itself(told: Path, tmp_path: Path) -> None:
    """What lies between truth and reference is given with the samples, those that were encoded once too."""
    for encoded in (0, 6):
        changes = {"loss_params.l1_loss": 0, "loss_params.latent_loss": 1, "data.val_list": told / "none.txt"}
        changes |= {"loss_params.copying_loss": 0.5, "data.encoded_samples": encoded, "solver.max_train_steps": 2}
        changes |= {"data.audio_features": tmp_path / "features"}
        assert train("stage1", STAGE1, settings(told, tmp_path / str(encoded), **changes)) == 0
        assert rows(tmp_path / str(encoded) / "stage1" / "test")[0]["copying_loss"] > 0


def test_what_is_told_is_painted(told: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The UNet is given the true mouths of the very frames, not what it would read."""
    given: list[torch.Tensor | None] = []
    forward = MouthUnet.forward

    def watched(self: MouthUnet, *latents: Any, mouths: Any = None, **more: Any) -> Any:
        given.append(mouths)
        return forward(self, *latents, mouths=mouths, **more)

    monkeypatch.setattr(MouthUnet, "forward", watched)
    changes = {**MOUTHS, "unet_config": told / "unet.json", "init_mouth_reader": told / "reader.safetensors"}
    changes |= {"val_freq": 100, "data.val_list": told / "none.txt"}
    assert train("stage1", STAGE1, settings(told, tmp_path, **changes)) == 0
    true = np.concatenate([read_meta(clip).mouths for clip in read_list(told / "data" / "train.txt")]) / SPREAD
    assert len(given) == 2
    for mouths in given:
        assert mouths is not None
        for mouth in mouths.numpy():
            assert np.abs(true - mouth).max(axis=1).min() < 1e-4


def test_true_mouths_need_a_reader_and_a_unet_that_has_one(told: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="true_mouths needs init_mouth_reader"):
        train("stage1", STAGE1, settings(told, tmp_path, **MOUTHS))
    changes = {**MOUTHS, "init_mouth_reader": told / "reader.safetensors"}
    with pytest.raises(ConfigError, match="the UNet has no mouth_reader"):
        train("stage1", STAGE1, settings(told, tmp_path, **changes))
    with pytest.raises(WeightsError, match=r"gone\.safetensors"):
        train("stage1", STAGE1, settings(told, tmp_path, **{**changes, "init_mouth_reader": told / "gone.safetensors"}))


def test_an_interrupted_stage_goes_on_to_the_same_losses(world: Path, tmp_path: Path) -> None:
    gan = {
        "loss_params.gan_loss": 0.01,
        "model_params.discriminator_params.block_expansion": 2,
        "model_params.discriminator_params.num_blocks": 3,
        "loss_params.fm_loss": "[1,1,1]",
        "discriminator_train_params.start_gan": 0,
        "solver.ema_decay": 0.9,
    }
    train("stage1", STAGE1, settings(world, tmp_path / "whole", **gan))
    train("stage1", STAGE1, settings(world, tmp_path / "cut", **gan))
    newest = tmp_path / "cut/stage1/test/checkpoints/checkpoint-4"
    for path in sorted(newest.iterdir(), reverse=True):
        path.unlink()
    newest.rmdir()
    train("stage1", STAGE1, settings(world, tmp_path / "cut", **gan))
    whole, cut = rows(tmp_path / "whole/stage1/test"), rows(tmp_path / "cut/stage1/test")
    for a, b in zip(whole, cut, strict=True):
        for name in ("loss", "l1_loss", "gan_loss", "face_discriminator"):
            assert a[name] == b[name]


def test_the_published_settings_name_every_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        train("stage2", STAGE2, [f"pretrained_model_name_or_path={tmp_path}", f"output_dir={tmp_path / 'stage2'}"])
    for name in ("sd-vae", "vgg19-dcbb9e9d.pth", "musetalk.json", "latentsync_syncnet.pt", "stage1/test/unet.pth"):
        assert name in caught.value.what
    assert "scripts.download_weights --parts" in caught.value.fix and "stage1" in caught.value.fix


def test_an_empty_list_and_unusable_clips_are_said(world: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("\n# nothing\n")
    with pytest.raises(InputError, match="names no clip"):
        train("stage1", STAGE1, settings(world, tmp_path, **{"data.train_list": empty}))
    with pytest.raises(InputError, match=r"can be used|narrow|small"):
        train("stage1", STAGE1, settings(world, tmp_path, **{"data.min_face_size": 250}))
    for changes, problem in (
        ({"loss_params.l1_loss": 0}, "all weights are 0"),
        ({"loss_params.sync_loss": 1}, "needs several frames"),
        ({"data.image_size": 100}, "not a multiple of 64"),
        ({"data.train_list": "[]"}, "a list of clips is empty"),
        ({"discriminator_train_params.betas": "[0.5]"}, "has 1 entries, not 2"),
        ({"solver.adam_beta1": 1.0}, "is not below 1"),
        ({"loss_params.pyramid_scale": "[0.3]"}, "is none of"),
    ):
        with pytest.raises(ConfigError, match=problem):
            train("stage1", STAGE1, settings(world, tmp_path, **changes))
    with pytest.raises(ConfigError, match="fm_loss has 2 weights"):
        few = {"loss_params.gan_loss": 1, "loss_params.fm_loss": "[1,1]"}
        train("stage1", STAGE1, settings(world, tmp_path, **few))
    with pytest.raises(ConfigError, match="did you mean train_bs"):
        train("stage1", STAGE1, settings(world, tmp_path, **{"data.trian_bs": 2}))


def test_a_corrupt_clip_is_skipped_and_named(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = [write_clip(tmp_path / "data", f"clip{n}", 60, n) for n in range(2)]
    write_list(tmp_path / "data" / "train.txt", clips)
    regions = (tmp_path / "data" / "clip1.regions").read_bytes()
    (tmp_path / "data" / "clip1.regions").write_bytes(regions[: len(regions) // 4] + bytes(len(regions) * 3 // 4 + 1))
    changes = {"data.train_list": tmp_path / "data" / "train.txt", "solver.max_train_steps": 12}
    assert train("stage1", STAGE1, settings(world, tmp_path, **changes)) == 0
    assert "clip1" in capsys.readouterr().out


def test_networks_that_do_not_fit_are_refused(world: Path, tmp_path: Path) -> None:
    config = json.loads((world / "models/mini/unet/config.json").read_text())
    config["cross_attention_dim"] = 64
    (tmp_path / "other.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="sound of width 64"):
        train("stage1", STAGE1, settings(world, tmp_path, unet_config=tmp_path / "other.json"))


def test_a_weight_of_zero_is_no_loss_at_all() -> None:
    assert loss_weights(LossConfig(vgg_loss=0)) == {"l1_loss": 1.0}
    both = loss_weights(LossConfig(gan_loss=0.01, mouth_gan_loss=0.02))
    assert (both["fm_loss"], both["mouth_fm_loss"]) == (0.01, 0.02)
    assert "fm_loss" not in loss_weights(LossConfig(gan_loss=0.01, fm_loss=[0.0, 0.0]))


def test_the_lower_half_is_black() -> None:
    faces = torch.ones(1, 3, 6, 4)
    masked = blacken(faces)
    assert np.unique(masked[:, :, 3:]).tolist() == [-1] and np.unique(masked[:, :, :3]).tolist() == [1]
    assert float(faces.min()) == 1


def test_bf16_with_checkpointing_keeps_the_loss(world: Path, tmp_path: Path) -> None:
    """The forward pass of the first step: rounding changes the loss by less than a hundredth."""
    losses = {"solver.max_train_steps": 1, "loss_params.gan_loss": 0.01, "discriminator_train_params.start_gan": 0}
    small = {"model_params.discriminator_params.block_expansion": 2, "data.image_size": 128, "data.val_list": "none"}
    for name, precision, recompute in (("exact", "fp32", False), ("small", "bf16", True)):
        changes = {"solver.mixed_precision": precision, "solver.gradient_checkpointing": recompute, "exp_name": name}
        train("stage1", STAGE1, settings(world, tmp_path, **losses, **small, **changes))
    exact, rounded = (rows(tmp_path / "stage1" / name)[0] for name in ("exact", "small"))
    for name in ("l1_loss", "fm_loss", "face_discriminator"):  # gan_loss of an untrained one is large and steep
        assert rounded[name] == pytest.approx(exact[name], rel=0.01)
