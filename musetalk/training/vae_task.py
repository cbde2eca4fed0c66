"""A small VAE learns to draw faces: crops of clips' faces, and procedural pictures for what no rendered face shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from musetalk.errors import ConfigError, InputError
from musetalk.models.config_file import read_network_config
from musetalk.models.vae import build_vae, load_vae, to_bgr, to_unit_range
from musetalk.schema import setting
from musetalk.training.adversary import Adversary, build_adversary
from musetalk.training.clip_meta import read_list, read_meta
from musetalk.training.clip_store import RegionFile
from musetalk.training.color_path import COLOR_SCALE, lay_color_path
from musetalk.training.config import DiscriminatorConfig, DiscriminatorTrainConfig, ListEntry, RunConfig, entries
from musetalk.training.export import export_pretrained
from musetalk.training.image_losses import detail_loss, image_pyramid_loss
from musetalk.training.learning_decoder import LATENT_NOISE, freeze_encoder
from musetalk.training.order import SampleOrder
from musetalk.training.picture_crops import cut_random, other_colors, procedural_picture
from musetalk.training.task import Pass, Validation

LATENT_BOUND = 2.5  # AutoencoderTiny's decoder bends latents beyond about 3
ATTEMPTS = 20  # clips tried for one picture


@dataclass(frozen=True)
class VaeDataConfig:
    """Where pictures come from.

    Attributes:
        train_list, val_list: Lists of clips from scripts.preprocess.
        crop: Side of the crops.
        procedural_share: Share of pictures that show no face (dead leaves: overlapping shapes with the statistics of
            natural images).
    """

    train_list: Path | list[ListEntry] = Path("dataset/HDTF/train.txt")
    val_list: Path | list[ListEntry] = Path("dataset/HDTF/val.txt")
    train_bs: int = setting(12, at_least=1)
    num_workers: int = setting(2, at_least=0)
    crop: int = setting(128, at_least=16)
    procedural_share: float = setting(0.25, at_least=0, at_most=1)


@dataclass(frozen=True)
class VaeLossConfig:
    """Weights by name.

    Attributes:
        image_loss: L1 of the pictures and their gradients at several sizes.
        detail_loss: L1 of the local strength of fine detail, which the other leaves too weak: of two places where an
            edge or a pore may be, it prefers none.
        color_loss: Pulls three latents towards the mean colour of their pixels (AutoencoderTiny only).
        bound_loss: Keeps latents of AutoencoderTiny in the range that its decoder takes.
        gan_loss: A discriminator on the decoded pictures, with as much feature matching.
    """

    image_loss: float = setting(1.0, at_least=0)
    detail_loss: float = setting(0.0, at_least=0)
    color_loss: float = setting(1.0, at_least=0)
    bound_loss: float = setting(0.1, at_least=0)
    gan_loss: float = setting(0.0, at_least=0)


@dataclass(frozen=True)
class VaeConfig(RunConfig):
    """configs/training/vae.yaml.

    Attributes:
        network: JSON of a diffusers AutoencoderTiny or AutoencoderKL.
        init: Folder of a VAE to go on from, in the place of `network`; null: from random weights.
        decoder_only: Leave the encoder of `init` as it is: what was trained on its latents still fits.
    """

    init: Path | None = None
    decoder_only: bool = False
    network: Path = Path("configs/training/networks/mini_vae.json")
    data: VaeDataConfig = field(default_factory=VaeDataConfig)
    loss_params: VaeLossConfig = field(default_factory=VaeLossConfig)
    discriminator_params: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    discriminator_train_params: DiscriminatorTrainConfig = field(default_factory=DiscriminatorTrainConfig)


class FacePictures:
    """Faces of clips, any frame, as BGR uint8 regions.

    Args:
        lists: Lists of clips.
        seed: Of the order.
    """

    def __init__(self, lists: Sequence[ListEntry], seed: int) -> None:
        self._clips = [read_list(entry.path) for entry in lists]
        self.damaged: dict[Path, str] = {}
        self._order = SampleOrder([len(clips) for clips in self._clips], [entry.weight for entry in lists], seed)

    def picture(self, number: int, rng: np.random.Generator) -> np.ndarray:
        """A region around the face of one frame of clip `number`, (h, w, 3).

        Raises:
            InputError: Neither the clip nor several others can be read.
        """
        which, index = self._order.place(number)
        error: InputError | None = None
        for _ in range(ATTEMPTS):
            try:
                return self._any_face(self._clips[which][index], rng)
            except InputError as problem:  # another clip takes the place of a damaged one
                error = error or problem
                self.damaged.setdefault(self._clips[which][index], problem.what)
                index = int(rng.integers(len(self._clips[which])))
        assert error is not None
        raise error

    def _any_face(self, clip: Path, rng: np.random.Generator) -> np.ndarray:
        regions = _regions(clip)
        frames = [frame for frame in range(len(regions)) if regions.has(frame)]
        if not frames:
            raise InputError(f"{regions.path}: no frame has a face", "Take the clip out of the list.")
        return regions.read(frames[int(rng.integers(len(frames)))]).image


@lru_cache(maxsize=512)
def _regions(path: Path) -> RegionFile:
    meta = read_meta(path)
    if meta.regions_path is None:
        raise InputError(f"{path}: has no face regions", "Run scripts.preprocess on its video.")
    return RegionFile(meta.regions_path)


class CropSamples:
    """Random crops (crop, crop, 3) BGR uint8: faces, and procedural pictures for the rest. A function of the number."""

    def __init__(self, faces: FacePictures, data: VaeDataConfig, seed: int, share: float | None = None) -> None:
        self.faces, self.size, self.seed = faces, data.crop, seed
        self.share = data.procedural_share if share is None else share

    def __getitem__(self, number: int) -> np.ndarray:
        rng = np.random.default_rng((self.seed, number))
        if rng.random() < self.share:
            return procedural_picture(self.size, rng)
        return other_colors(cut_random(self.faces.picture(number, rng), self.size, rng), rng)


class Autoencoder(nn.Module):
    """Encoder and decoder in one pass, so that several processes can share the work: images → (images, latents)."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        latents = self.encode(images)
        noise = LATENT_NOISE * torch.randn_like(latents) if self.training else 0.0
        return self.network.decode(latents + noise).sample, latents

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Unscaled latents."""
        encoded = self.network.encode(images)
        return encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()


class VaeTask:
    """Trains an autoencoder on crops; see `Task`."""

    def __init__(
        self,
        config: VaeConfig,
        network: Any,
        adversaries: dict[str, Adversary],
        samples: Any,
        fixed: np.ndarray,
    ) -> None:
        """
        Args:
            network: The autoencoder.
            adversaries: `face`, or none.
            samples: Crops by number.
            fixed: (n, s, s, 3) BGR uint8, on which the PSNR is measured.
        """
        self.networks: dict[str, nn.Module] = {"vae": Autoencoder(network)}
        self.adversaries = adversaries
        self.architecture: dict[str, Any] = {}
        self.samples, self.fixed = samples, fixed
        self._told: set[Path] = set()
        self.batch_size, self.num_workers = config.data.train_bs, config.data.num_workers
        self.start_gan = config.discriminator_train_params.start_gan
        losses = config.loss_params
        tiny = type(network).__name__ == "AutoencoderTiny"
        weights = {"image_loss": losses.image_loss, "detail_loss": losses.detail_loss}
        weights |= {"gan_loss": losses.gan_loss, "fm_loss": losses.gan_loss}
        self.decoder_only = config.decoder_only
        if self.decoder_only:
            freeze_encoder(network)
        elif tiny:
            weights |= {"color_loss": losses.color_loss, "bound_loss": losses.bound_loss}
        self.weights = {name: weight for name, weight in weights.items() if weight}

    def place(self, device: torch.device, dtype: torch.dtype) -> None:
        """Lay the network out channels last."""
        nn.Module.to(self.networks["vae"], memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, batch: torch.Tensor, step: int) -> Pass:
        """Losses of crops (n, s, s, 3) BGR uint8."""
        images = to_unit_range(batch, batch.device).contiguous(memory_format=torch.channels_last)
        decoded, latents = (value.float() for value in self.networks["vae"](images))
        losses: dict[str, torch.Tensor] = {}
        if "image_loss" in self.weights:
            losses["image_loss"] = image_pyramid_loss(decoded, images)
        if "detail_loss" in self.weights:
            losses["detail_loss"] = detail_loss(decoded, images)
        if "color_loss" in self.weights:
            losses["color_loss"] = F.l1_loss(latents[:, :3], COLOR_SCALE * F.avg_pool2d(images, 8))
        if "bound_loss" in self.weights:
            losses["bound_loss"] = F.relu(latents.abs() - LATENT_BOUND).square().mean()
        if not self.adversaries or step < self.start_gan:
            return Pass(losses)
        terms = self.adversaries["face"].generator_losses(images, decoded)
        losses |= {"gan_loss": terms["gan"], "fm_loss": terms["feature_matching"]}
        return Pass(losses, {"face": (images, decoded)})

    def validate(self, networks: Mapping[str, nn.Module], step: int) -> Validation:
        """PSNR in dB on the fixed pictures, and some of them beside their copies."""
        images = to_unit_range(self.fixed, next(networks["vae"].parameters()).device)
        decoded = torch.cat([networks["vae"](piece)[0].float().clamp(-1, 1) for piece in images.split(4)])
        psnr = 10 * torch.log10(4 / (decoded - images).square().mean())
        pairs = np.concatenate([self.fixed[:8], to_bgr(decoded[:8] / 2 + 0.5)], axis=2)
        return Validation({"psnr": float(psnr)}, {"copies": np.concatenate(list(pairs))})

    def export(self, networks: Mapping[str, nn.Module], folder: Path) -> None:
        """The folder of a diffusers network: config.json and safetensors.

        Its scaling_factor gives the latents of the fixed pictures unit deviation, as the published 0.18215 does; with
        decoder_only it stays.
        """
        vae: Any = networks["vae"]
        config = dict(vae.network.config)
        if not self.decoder_only:
            device = next(vae.parameters()).device
            with torch.no_grad():
                latents = torch.cat([vae.encode(piece) for piece in to_unit_range(self.fixed, device).split(4)])
            config["scaling_factor"] = float(1 / latents.float().std())
        export_pretrained(vae.network, folder / "vae", config)

    def warnings(self) -> list[str]:
        """Clips that could not be read, each once; those that worker processes find are not known here."""
        damaged = self.samples.faces.damaged
        new = [f"clip {clip} is skipped: {why}" for clip, why in damaged.items() if clip not in self._told]
        self._told.update(damaged)
        return new


def build_vae_task(config: VaeConfig, accelerator: Any, say: Callable[[str], None]) -> VaeTask:
    """The task of a settings file.

    Raises:
        ConfigError: decoder_only without init.
        WeightsError: init cannot be loaded.
    """
    if config.init is not None:
        network = load_vae(config.init).network.requires_grad_(True)
    elif config.decoder_only:
        raise ConfigError("decoder_only is set, but no VAE whose encoder is kept", "Set init to its folder.")
    else:
        network = build_vae(read_network_config(config.network), config.network)
        if type(network).__name__ == "AutoencoderTiny":
            lay_color_path(network.decoder, torch.eye(3), channels=(0, 1, 2))
    data = config.data
    adversaries = {}
    if config.loss_params.gan_loss:
        weights = [1.0] * config.discriminator_params.num_blocks
        adversaries["face"] = build_adversary(config.discriminator_params, config.discriminator_train_params, weights)
    held_out = CropSamples(FacePictures(entries(data.val_list), config.seed), data, config.seed + 1, share=0.0)
    fixed = np.stack([held_out[number] for number in range(4 * config.num_images_to_keep)])
    samples = CropSamples(FacePictures(entries(data.train_list), config.seed), data, config.seed)
    return VaeTask(config, network, adversaries, samples, fixed)
