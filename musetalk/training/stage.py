"""Stages 1 and 2: the UNet learns to paint the lower half of a face from its upper half, a reference and the sound."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from musetalk.face.refinement import first_row
from musetalk.models.refiner import RefinerNetwork, refiner_settings
from musetalk.models.unet import Unet, own_settings
from musetalk.models.vae import LATENT_PIXELS, Vae, to_unit_range
from musetalk.training.adversary import crop_resized
from musetalk.training.config import LossConfig, StageConfig
from musetalk.training.encoded import LATENTS
from musetalk.training.export import export_pretrained, export_refiner, export_unet
from musetalk.training.latent_losses import DECODED_LOSSES, LATENT_LOSSES, pyramid_distance
from musetalk.training.learning_decoder import LearningDecoder, procedural_pictures, reconstruction_loss
from musetalk.training.learning_judge import LearningJudge
from musetalk.training.learning_refiner import refined_faces
from musetalk.training.lip_judge import LipJudge
from musetalk.training.mouth import mouth_cells, mouth_mean, mouth_pixels, mouth_weights
from musetalk.training.task import Pass, Validation
from musetalk.training.validation import StageSamples, measure

ENCODE_BATCH = 16  # faces in one pass of the frozen encoder: more do not make a GPU faster, only fuller

MOUTH_CELLS = (12, 24)
"""Rows and columns of the latents of 256×256 that the discriminator of latents sees: the lips, and some of what is
around them."""
DECODED_CELLS = (12, 22)
"""Those that are decoded for decoded_mouth_loss: the lips wide open, and little else."""
BORDER_CELLS = 1
"""Around them, where the decoder learns: what it decodes at the edge of a crop lacks what lies beyond it."""
BORDERED_CELLS = (DECODED_CELLS[0] + 2 * BORDER_CELLS, DECODED_CELLS[1] + 2 * BORDER_CELLS)
RECONSTRUCTED_SHARE, PROCEDURAL_SHARE = 4, 8
"""One mouth in so many samples is decoded from its true latents, and one procedural picture is shown."""
PROCEDURAL_SIZE, PROCEDURAL_WEIGHT = 96, 0.5
AS_GIVEN = 0.3
"""See `rested`."""
LOSS_NAMES = {"gan": "gan_loss", "feature_matching": "fm_loss"}


@dataclass(frozen=True)
class LossNetworks:
    """The frozen networks that judge; None where their loss has weight 0.

    Attributes:
        perceptual: (generated, real) (n, 3, h, w) RGB in [-1, 1] → 0-d.
        sync: (generated, real (b, t, 3, h, w), mel (b, 80, 52)) → 0-d.
    """

    perceptual: Any = None
    sync: Any = None


@dataclass(frozen=True)
class TrueFaces:
    """What is to be painted, and the faces it is painted over, (n, 3, h, w) RGB in [-1, 1]."""

    target: torch.Tensor
    source: torch.Tensor


class StageTask:
    """The task of both stages; they differ in settings alone.

    Args:
        config: The settings.
        unet: Network to train.
        vae: Frozen; with config.train_decoder its decoder learns.
        refiner: Learns with the decoder; None: there is none.
        judges: Frozen networks of the losses.
        adversaries: `face`, `mouth`, `latent` and `lip`, those whose loss has a weight.
        samples: Training samples by number.
        fixed: Validation samples.
        warnings: Gives what went wrong with samples since the last call.
    """

    def __init__(
        self,
        config: StageConfig,
        unet: Any,
        vae: Vae,
        judges: LossNetworks,
        adversaries: Mapping[str, LearningJudge],
        samples: Any,
        fixed: StageSamples,
        warnings: Callable[[], list[str]] = list,
        refiner: RefinerNetwork | None = None,
    ) -> None:
        self.config, self.vae, self.judges, self.fixed = config, vae, judges, fixed
        self.networks: dict[str, nn.Module] = {"unet": unet}
        if config.train_decoder:
            self.networks["decoder"] = LearningDecoder(vae, config.decode_batch, config.solver.gradient_checkpointing)
        self.adversaries = adversaries
        self.architecture = {"unet": own_settings(unet.config)}
        if refiner is not None:
            self.networks["refiner"] = refiner
            self.architecture["refiner"] = refiner_settings(refiner)
        self.weights = loss_weights(config.loss_params)
        self.samples = samples
        self.batch_size, self.num_workers = config.data.train_bs, config.data.num_workers
        self.warnings = warnings
        self._timestep_network = Unet(unet)
        if config.solver.gradient_checkpointing:
            unet.enable_gradient_checkpointing()

    def place(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move the frozen networks to the device in the dtype of mixed precision."""
        nn.Module.to(self.vae.network, device=device, dtype=torch.float32 if self.config.train_decoder else dtype)
        nn.Module.to(self.vae.network, memory_format=torch.channels_last)  # type: ignore[call-overload]
        for network in (self.networks["unet"], self.networks.get("refiner", nn.Identity())):
            nn.Module.to(network, memory_format=torch.channels_last)  # type: ignore[call-overload]
        for judge in (self.judges.perceptual, self.judges.sync):
            if judge is not None:
                judge.to(device=device, dtype=dtype)
        if device.type == "cpu":
            from diffusers.models.attention_processor import AttnProcessor

            unet: Any = self.networks["unet"]
            unet.set_attn_processor(AttnProcessor())  # on a CPU faster backward than fused attention

    def forward(self, batch: Mapping[str, torch.Tensor], step: int) -> Pass:
        """Losses of a batch (see ClipDataset) and, from start_gan on, the images that the discriminators learn from."""
        return self._forward(self.networks["unet"], batch, step >= self.config.discriminator_train_params.start_gan)

    def validate(self, networks: Mapping[str, nn.Module], step: int) -> Validation:
        """Losses on the fixed samples, beside those of copying the reference and of another sample's sound."""
        return measure(self, networks["unet"], self.fixed, networks.get("decoder"), networks.get("refiner"))

    def export(self, networks: Mapping[str, nn.Module], folder: Path) -> None:
        """unet.pth and musetalk.json, which `scripts.inference --unet_model_path` takes; what else learnt."""
        export_unet(networks["unet"], folder)
        if "decoder" in networks:
            autoencoder: Any = networks["decoder"].network
            export_pretrained(autoencoder, folder / "vae", {**autoencoder.config, "sample_size": self.vae.face_size})
        if "refiner" in networks:
            refiner = networks["refiner"]
            assert isinstance(refiner, RefinerNetwork)
            export_refiner(refiner, folder / "refiner")

    def paint(
        self,
        unet: nn.Module,
        masked: torch.Tensor,
        reference: torch.Tensor,
        windows: torch.Tensor,
        mouths: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Latents (n, c, h/8, w/8) of generated faces.

        Args:
            unet: The network, wrapped or bare.
            masked: Faces (n, 3, h, w) RGB in [-1, 1]; their lower half is blackened here.
            reference: Faces alike.
            windows: (n, tokens, D) audio windows.
            mouths: (n, C) true mouths; None: what the windows say.
        """
        return self._predict(unet, self.encode(blacken(masked)), self.encode(reference), windows, mouths)

    def _predict(
        self,
        unet: nn.Module,
        masked: torch.Tensor,
        reference: torch.Tensor,
        windows: torch.Tensor,
        mouths: torch.Tensor | None,
    ) -> torch.Tensor:
        view = self._timestep_network
        view.network = unet
        return view(rested(view, torch.cat([masked, reference], dim=1)), windows, mouths)

    @torch.no_grad()
    def encode(self, faces: torch.Tensor) -> torch.Tensor:
        """Scaled latents of faces (n, 3, h, w) in [-1, 1]."""
        return torch.cat([self.vae.encode(piece) for piece in faces.split(ENCODE_BATCH)]).float()

    def decode(self, latents: torch.Tensor, decoder: nn.Module | None = None) -> torch.Tensor:
        """Faces (n, 3, h, w) RGB, about [-1, 1], float32, with gradients; `decoder`: the one that learns."""
        if decoder is not None:
            faces: torch.Tensor = decoder(latents)
            return faces.float()
        config = self.config
        return self.vae.decode_for_loss(latents, config.decode_batch, config.solver.gradient_checkpointing).float()

    def encode_faces(self, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Latents of a batch's faces, by names of LATENTS."""
        source, reference, target = (faces_of(batch, name) for name in ("mask_source", "reference", "target"))
        given = zip(LATENTS, (blacken(source), reference, target), strict=True)
        return {name: self.encode(faces) for name, faces in given}

    def _in_latents(self, unet: nn.Module, batch: Mapping[str, torch.Tensor], adversarial: bool) -> Pass:
        """The loss of samples that were encoded before."""
        masked, reference, target = (batch[name].flatten(0, 1).float() for name in LATENTS)
        predicted = self._predict(unet, masked, reference, batch["windows"].flatten(0, 1), true_mouths(batch))
        return self._judged_latents(predicted, target, reference, batch, adversarial)

    def _decoded_mouths(
        self, predicted: torch.Tensor, target: torch.Tensor, faces: TrueFaces | None, boxes: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What is decoded of the latents around the mouths, and what it is to look like, (n, 3, h, w) RGB.

        That is what a frozen decoder makes of the true latents: what the VAE loses, the UNet cannot paint. A decoder
        that learns is shown the true faces.
        """
        size = (self.config.data.image_size,) * 2
        decoder = self.networks.get("decoder")
        if decoder is None or faces is None:
            fake, real = (mouth_cells(x.float(), boxes, size, DECODED_CELLS) for x in (predicted, target))
            with torch.no_grad():
                shown = self.decode(real)
            return self.decode(fake), shown
        painted = self.decode(mouth_cells(predicted.float(), boxes, size, BORDERED_CELLS), decoder)
        return within_border(painted), within_border(self._true_mouths(faces.target, target, boxes))

    def _refined_mouths(
        self, predicted: torch.Tensor, faces: TrueFaces, boxes: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
        """Mouths as they are seen, and true ones, (n, 3, h, w) RGB; losses of the whole lower face, and of drafts."""
        first, height = first_row(predicted.shape[2]), faces.source.shape[2]
        decoded = self.decode(predicted[:, :, first - BORDER_CELLS :].float(), self.networks["decoder"])
        lower = decoded[:, :, BORDER_CELLS * LATENT_PIXELS :]
        drafts = torch.cat([faces.source[:, :, : height - lower.shape[2]], lower], dim=2)
        refined = refined_faces(self.networks["refiner"], drafts, faces.source)
        draft, seen, shown = (
            within_border(self._true_mouths(images, predicted, boxes)) for images in (drafts, refined, faces.target)
        )
        half = height // 2
        losses = {
            "draft_mouth_loss": pyramid_distance(draft, shown),
            "lower_face_loss": pyramid_distance(refined[:, :, half:], faces.target[:, :, half:]),
        }
        return seen, shown, {name: loss for name, loss in losses.items() if name in self.weights}

    def _true_mouths(self, faces: torch.Tensor, latents: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
        return mouth_pixels(faces, boxes, (latents.shape[-2], latents.shape[-1]), BORDERED_CELLS)

    def _reconstruction(self, target: torch.Tensor, faces: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
        """How the decoder shows what the encoder saw: some true mouths, and pictures of no face."""
        decoder, scale = self.networks["decoder"], self.vae.scaling_factor
        mouths, pictures = (max(1, len(faces) // share) for share in (RECONSTRUCTED_SHARE, PROCEDURAL_SHARE))
        faces, target, boxes = faces[:mouths], target[:mouths], boxes[:mouths]
        cells = mouth_cells(target.float(), boxes, (self.config.data.image_size,) * 2, BORDERED_CELLS)
        loss = reconstruction_loss(decoder, cells, self._true_mouths(faces, target, boxes), scale)
        seed = int(torch.randint(2**31, ()))  # follows from the position in the run
        shown = procedural_pictures(pictures, PROCEDURAL_SIZE, seed, faces.device)
        return loss + PROCEDURAL_WEIGHT * reconstruction_loss(decoder, self.encode(shown), shown, scale)

    def _judged_latents(
        self,
        predicted: torch.Tensor,
        target: torch.Tensor,
        reference: torch.Tensor,
        batch: Mapping[str, torch.Tensor],
        adversarial: bool,
        faces: TrueFaces | None = None,
    ) -> Pass:
        boxes, size = batch["mouth_box"].flatten(0, 1), self.config.data.image_size
        known = {name: loss for name, loss in LATENT_LOSSES.items() if name in self.weights}
        shares = mouth_weights(boxes, (size, size), predicted.shape[-2:])
        losses = {name: loss(predicted.float(), target, reference, shares) for name, loss in known.items()}
        pairs: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        mouths = true_mouths(batch)
        if self.weights.keys() & OF_DECODED_MOUTH:
            if faces is not None and "refiner" in self.networks:
                painted, shown, refined = self._refined_mouths(predicted, faces, boxes)
                losses |= refined
            else:
                painted, shown = self._decoded_mouths(predicted, target, faces, boxes)
            losses |= {name: loss(painted, shown) for name, loss in DECODED_LOSSES.items() if name in self.weights}
            losses |= self._consistency(painted)
            if "lip" in self.adversaries and mouths is not None:
                terms = self.adversaries["lip"].generator_losses(shown, painted)
                named = {f"lip_{term}_loss": loss for term, loss in terms.items()}
                losses |= {name: loss for name, loss in named.items() if name in self.weights}
                if "lip_copying_loss" in self.weights and faces is not None:
                    own = within_border(self._true_mouths(faces.source, predicted, boxes))
                    losses["lip_copying_loss"] = self._lip_judge.copying(shown, painted, own)
                pairs["lip"] = shown, mouths
        if not adversarial or "latent" not in self.adversaries:
            return Pass(losses, pairs)
        beside = reference
        if mouths is not None:
            planes = mouths.to(reference)[:, :, None, None].expand(-1, -1, *reference.shape[-2:])
            beside = torch.cat([reference, planes], dim=1)
        real, fake = (
            mouth_cells(torch.cat([latents.float(), beside], dim=1), boxes, (size, size), MOUTH_CELLS)
            for latents in (target, predicted)
        )
        terms = self.adversaries["latent"].generator_losses(real, fake)
        named = {f"latent_{LOSS_NAMES[term]}": loss for term, loss in terms.items()}
        losses |= {name: loss for name, loss in named.items() if name in self.weights}
        return Pass(losses, pairs | {"latent": (real, fake)})

    def _consistency(self, painted: torch.Tensor) -> dict[str, torch.Tensor]:
        """How far what is painted of each target over one source differs from what is painted over the next."""
        if not self.weights.keys() & CONSISTENCY:
            return {}
        rows = painted.unflatten(0, (-1, self.config.data.sources_per_target))
        one, other = rows.flatten(0, 1), rows.roll(1, dims=1).flatten(0, 1)
        losses = {}
        if "consistency_loss" in self.weights:
            losses["consistency_loss"] = pyramid_distance(one, other)
        if "lip_consistency_loss" in self.weights:
            losses["lip_consistency_loss"] = self._lip_judge.consistency(one, other)
        return losses

    @property
    def _lip_judge(self) -> LipJudge:
        judge = self.adversaries["lip"]
        assert isinstance(judge, LipJudge)
        return judge

    def _forward(self, unet: nn.Module, batch: Mapping[str, torch.Tensor], adversarial: bool) -> Pass:
        if "target_latents" in batch:
            return self._in_latents(unet, batch, adversarial)
        frames = batch["target"].shape[1]
        target, reference, source = (faces_of(batch, name) for name in ("target", "reference", "mask_source"))
        known = self.encode(reference)
        windows = batch["windows"].flatten(0, 1)
        predicted = self._predict(unet, self.encode(blacken(source)), known, windows, true_mouths(batch))
        boxes = batch["mouth_box"].flatten(0, 1)
        weights, losses, pairs = self.weights, dict[str, torch.Tensor](), dict[str, tuple[torch.Tensor, torch.Tensor]]()
        if weights.keys() & IN_LATENTS:
            true = self.encode(target)
            judged = self._judged_latents(predicted, true, known, batch, adversarial, TrueFaces(target, source))
            losses, pairs = dict(judged.losses), dict(judged.pairs)
            if "reconstruction_loss" in weights:
                losses["reconstruction_loss"] = self._reconstruction(true, target, boxes)
        if weights.keys() <= IN_LATENTS:
            return Pass(losses, pairs)
        generated = self.decode(predicted, self.networks.get("decoder"))
        if "refiner" in self.networks:
            generated = refined_faces(self.networks["refiner"], generated, source)
        if "l1_loss" in weights:
            losses["l1_loss"] = F.l1_loss(generated, target)
        if "mouth_l1_loss" in weights:
            losses["mouth_l1_loss"] = mouth_mean((generated - target).abs(), boxes)
        if "vgg_loss" in weights:
            losses["vgg_loss"] = self.judges.perceptual(generated, target)
        if "sync_loss" in weights:
            losses["sync_loss"] = self.judges.sync(
                generated.unflatten(0, (-1, frames)), target.unflatten(0, (-1, frames)), batch["mel"]
            )
        for name, adversary in self.adversaries.items():
            if name not in ("face", "mouth"):
                continue
            prefix = "" if name == "face" else f"{name}_"
            if adversarial:
                real, fake = (target, generated) if name == "face" else (
                    crop_resized(image, boxes, image.shape[-1]) for image in (target, generated)
                )
                pairs[name] = (real, fake)
                for term, loss in adversary.generator_losses(real, fake).items():
                    losses[f"{prefix}{LOSS_NAMES[term]}"] = loss
        return Pass(losses, pairs)


CONSISTENCY = {"consistency_loss", "lip_consistency_loss"}
"""Losses between what is painted over several sources of one target."""
REFINED = {"draft_mouth_loss", "lower_face_loss"}
"""Losses that need a refiner."""
LIPS = {"lip_reading_loss", "lip_feature_loss", "lip_copying_loss"}
"""Losses between what is read of mouths."""
OF_DECODED_MOUTH = DECODED_LOSSES.keys() | CONSISTENCY | REFINED | LIPS
"""Losses for which the latents around the mouth are decoded."""
IN_LATENTS = LATENT_LOSSES.keys() | OF_DECODED_MOUTH | {"latent_gan_loss", "latent_fm_loss", "reconstruction_loss"}
"""Losses for which no whole face is decoded."""


def loss_weights(losses: LossConfig) -> dict[str, float]:
    """Weights by the names under which losses are logged; those of weight 0 are absent.

    Each discriminator's feature matching (fm_loss weighs its layers) counts as much as its least-squares term.
    """
    names = ("l1_loss", "vgg_loss", "sync_loss", "mouth_l1_loss", *sorted(IN_LATENTS))
    weights = {name: getattr(losses, name) for name in names}
    weights |= {"gan_loss": losses.gan_loss, "fm_loss": losses.gan_loss if any(losses.fm_loss) else 0.0}
    mouth = losses.mouth_gan_loss
    weights |= {"mouth_gan_loss": mouth, "mouth_fm_loss": mouth if any(losses.fm_loss) else 0.0}
    return {name: weight for name, weight in weights.items() if weight}


def rested(unet: Unet, latents: torch.Tensor) -> torch.Tensor:
    """Inputs with references at rest, where the UNet works so; while it trains, a share AS_GIVEN with their own mouths.

    Those teach its first pass, which takes no gradients itself: for the last pass it would learn to hand the source's
    mouth on.
    """
    if not unet.rests_references:
        return latents
    with torch.no_grad():
        resting = unet.rest_references(latents)
    if not unet.network.training:
        return resting
    as_given = torch.rand(len(latents), device=latents.device) < AS_GIVEN
    return torch.where(as_given[:, None, None, None], latents, resting)


def true_mouths(batch: Mapping[str, torch.Tensor]) -> torch.Tensor | None:
    """Mouths (b·t, C) of a batch that holds them."""
    return batch["mouths"].flatten(0, 1) if "mouths" in batch else None


def faces_of(batch: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
    """Faces (b·t, 3, h, w) RGB in [-1, 1] of a batch's (b, t, h, w, 3) BGR uint8."""
    images = batch[name].flatten(0, 1)
    return to_unit_range(images, images.device)


def within_border(mouths: torch.Tensor) -> torch.Tensor:
    """Pictures (n, 3, h, w) of BORDERED_CELLS without the border."""
    edge = BORDER_CELLS * LATENT_PIXELS
    return mouths[..., edge:-edge, edge:-edge]


def blacken(faces: torch.Tensor) -> torch.Tensor:
    """Faces (n, 3, h, w) in [-1, 1] with their lower half black (published)."""
    masked = faces.clone()
    masked[:, :, faces.shape[2] // 2 :] = -1.0
    return masked
