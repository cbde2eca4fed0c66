"""From the settings of a stage to its task: all files are looked for at once, then everything is put together."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import default_collate

from musetalk.checkpoint import load_into, read_state_dict
from musetalk.errors import ConfigError, InputError, WeightsError
from musetalk.models.audio_encoder import WEIGHT_NAMES as ENCODER_WEIGHTS
from musetalk.models.audio_encoder import AudioEncoder, load_audio_encoder
from musetalk.models.config_file import first_existing, read_network_config
from musetalk.models.mouth_unet import MouthUnet
from musetalk.models.refiner import build_refiner
from musetalk.models.syncnet import load_syncnet
from musetalk.models.syncnet_config import read_syncnet_settings
from musetalk.models.unet import RESTING, Unet, build_unet
from musetalk.models.vae import WEIGHT_NAMES as VAE_WEIGHTS
from musetalk.models.vae import Vae, load_vae
from musetalk.models.vgg import load_vgg
from musetalk.synthetic.mouth_channels import CHANNELS, SPREAD
from musetalk.synthetic.visemes import rest_pose
from musetalk.training.adversary import build_adversary, build_latent_adversary
from musetalk.training.audio_store import encoder_fingerprint, network_fingerprint
from musetalk.training.config import ListEntry, LossConfig, StageConfig
from musetalk.training.dataset import ClipDataset, open_dataset
from musetalk.training.encoded import EncodedSamples, samples_fingerprint
from musetalk.training.learning_judge import LearningJudge
from musetalk.training.lip_judge import build_lip_judge
from musetalk.training.perceptual import PerceptualLoss
from musetalk.training.sample import SampleSettings
from musetalk.training.stage import LossNetworks, StageTask
from musetalk.training.sync_loss import SyncLoss
from musetalk.weights import FILES, download_command

UNET_CONFIG_NAMES = ("musetalk.json", "config.json")
IMAGE_UNIT = 64  # pixels: eight latents, which the UNets halve up to three times
LONG_SAMPLE = 4  # validation samples of one frame that one of many frames stands for


def build_stage_task(config: StageConfig, accelerator: Any, say: Callable[[str], None]) -> StageTask:
    """The task of stage 1 or 2.

    Raises:
        WeightsError: Files are missing (all are named), damaged, or do not fit each other.
        UsageError: The UNet does not take these paddings.
        InputError: A list is empty, or none of its clips can be used.
    """
    check_stage(config)
    files = StageFiles.of(config)
    files.check()
    more = {RESTING: (rest_pose() / SPREAD).tolist()} if config.rest_references else {}
    network = build_unet({**read_network_config(files.unet_config), **more}, files.unet_config)
    if files.init_unet is not None:
        say(f"begins with {files.init_unet}")
        load_into(network, read_state_dict(files.init_unet), files.init_unet)
    if files.mouth_reader is not None:
        load_reader(network, files.mouth_reader)
    autoencoder = load_vae(files.vae)
    encoder = load_audio_encoder(config.whisper_path)
    unet, data = Unet(network), config.data
    check_fit(unet, autoencoder, encoder, files)
    unet.check_padding(data.audio_padding_length_left, data.audio_padding_length_right, encoder.states)
    samples, fixed = build_samples(config, encoder, accelerator, say)
    judges = LossNetworks(_perceptual(config, files), _sync(config, files))
    refiner = None
    if files.refiner_config is not None:
        refiner = build_refiner(read_network_config(files.refiner_config), files.refiner_config)
    adversaries = _adversaries(config, unet)
    task = StageTask(config, network, autoencoder, judges, adversaries, samples, fixed, samples.warnings, refiner)
    if config.data.encoded_samples:
        task.samples = encoded(task, samples, encoder, accelerator, say)
    return task


def encoded(
    task: StageTask, samples: ClipDataset, encoder: AudioEncoder, accelerator: Any, say: Callable[[str], None]
) -> EncodedSamples:
    """The first of a task's samples, encoded where they are not yet."""
    data, settings = task.config.data, sample_settings(task.config)
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(task.config.solver.mixed_precision, torch.float32)
    networks = (network_fingerprint(task.vae.network), encoder_fingerprint(encoder))
    clips = [samples.name(clip) for clip in range(len(samples))]
    name = samples_fingerprint((settings, dtype, data.encoded_samples), clips, *networks)
    folder = data.audio_features or _pairs(data.train_lists())[0][0].parent / "features"
    found = EncodedSamples(folder / "encoded" / name, data.encoded_samples, task.config.seed)
    with accelerator.main_process_first():
        if accelerator.is_local_main_process:
            say(f"encodes {data.encoded_samples} samples where they are not yet: {found.folder}")
            task.place(accelerator.device, dtype)
            found.prepare(samples, functools.partial(_encode_on, task, accelerator.device))
    return found


def _encode_on(task: StageTask, device: torch.device, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return task.encode_faces({name: value.to(device) for name, value in batch.items()})


def check_stage(config: StageConfig) -> None:
    """Check what no single key shows.

    Raises:
        ConfigError: Names everything that does not fit.
    """
    data = config.data
    losses, blocks = config.loss_params, config.model_params.discriminator_params.num_blocks
    adversarial = losses.gan_loss or losses.mouth_gan_loss
    in_pixels = (losses.l1_loss, losses.vgg_loss, losses.sync_loss, losses.mouth_l1_loss)
    always = (*in_pixels, losses.latent_loss, losses.latent_detail_loss, losses.decoded_mouth_loss)
    problems = []
    if adversarial and len(losses.fm_loss) != blocks:
        count = len(losses.fm_loss)
        problems.append(f"loss_params.fm_loss has {count} weights, the discriminators have {blocks} blocks")
    in_latents = losses.latent_gan_loss or losses.latent_fm_loss
    if not any(always) and (not (adversarial or in_latents) or config.discriminator_train_params.start_gan):
        problems.append("loss_params: all weights are 0, or begin at start_gan only: nothing would be learnt")
    if losses.sync_loss and data.n_sample_frames == 1:
        problems.append("loss_params.sync_loss needs several frames: data.n_sample_frames is 1")
    if data.encoded_samples and (any(in_pixels) or adversarial or data.n_sample_frames > 1):
        problems.append("data.encoded_samples is for losses of latents alone, and one frame a sample")
    if data.true_mouths and config.init_mouth_reader is None:
        problems.append("data.true_mouths needs init_mouth_reader: the UNet's own reader would learn nothing")
    if config.rest_references and not data.true_mouths:
        problems.append("rest_references needs data.true_mouths: else no numbers mean a resting mouth")
    if _reads_lips(losses) and not data.true_mouths:
        problems.append("loss_params: losses whose names begin with lip_ need data.true_mouths")
    if losses.lip_copying_loss and not config.train_decoder:
        problems.append("loss_params.lip_copying_loss needs train_decoder")
    if (losses.consistency_loss or losses.lip_consistency_loss) and data.sources_per_target == 1:
        problems.append("loss_params.consistency_loss and lip_consistency_loss need several data.sources_per_target")
    alone = (data.n_sample_frames, data.twin_probability, data.encoded_samples) == (1, 1, 0)
    if data.sources_per_target > 1 and not (data.use_twins and alone):
        problems.append(
            "data.sources_per_target is for use_twins, a twin_probability of 1, one frame a sample, no encoded_samples"
        )
    if config.train_decoder and data.encoded_samples:
        problems.append("train_decoder learns from true faces, which data.encoded_samples does not keep")
    if losses.reconstruction_loss and not (config.train_decoder and losses.latent_loss):
        problems.append("loss_params.reconstruction_loss needs train_decoder and latent_loss")
    if config.refiner_config is not None and not (config.train_decoder and losses.decoded_mouth_loss):
        problems.append("refiner_config needs train_decoder and loss_params.decoded_mouth_loss")
    if (losses.draft_mouth_loss or losses.lower_face_loss) and config.refiner_config is None:
        problems.append("loss_params.draft_mouth_loss and lower_face_loss need refiner_config")
    if data.image_size % IMAGE_UNIT:
        problems.append(f"data.image_size is {data.image_size}, not a multiple of {IMAGE_UNIT}")
    if problems:
        raise ConfigError("; ".join(problems), "Correct these settings.")


@dataclass(frozen=True)
class StageFiles:
    """Where the files of a stage lie; None: not needed.

    Attributes:
        models_dir: Folder of all weights.
        vae, whisper: Folders.
    """

    models_dir: Path
    vae: Path
    whisper: Path
    unet_config: Path
    init_unet: Path | None
    mouth_reader: Path | None
    refiner_config: Path | None
    vgg: Path | None
    syncnet: Path | None
    syncnet_config: Path | None

    @classmethod
    def of(cls, config: StageConfig) -> StageFiles:
        """The files that the settings need."""
        root, losses = config.pretrained_model_name_or_path, config.loss_params
        init = config.init_unet
        if init is None and not config.random_init_unet:
            init = config.output_dir.parent / "stage1" / config.exp_name / "unet.pth"
        syncnet = syncnet_config = None
        if losses.sync_loss:
            syncnet_config = config.syncnet_config_path
            syncnet = config.syncnet_path
            if syncnet is None and syncnet_config.is_file():
                syncnet = Path(read_syncnet_settings(syncnet_config).ckpt.inference_ckpt_path)
        return cls(
            models_dir=root,
            vae=root / config.vae_type,
            whisper=config.whisper_path,
            unet_config=config.unet_config or first_existing(root / config.unet_sub_folder, UNET_CONFIG_NAMES),
            init_unet=None if config.random_init_unet else init,
            mouth_reader=config.init_mouth_reader,
            refiner_config=config.refiner_config,
            vgg=(config.vgg_path or root / "vgg19" / "vgg19-dcbb9e9d.pth") if losses.vgg_loss else None,
            syncnet=syncnet,
            syncnet_config=syncnet_config,
        )

    def all(self) -> list[Path]:
        """Every file that will be read."""
        given = [self.init_unet, self.mouth_reader, self.refiner_config, self.vgg, self.syncnet_config, self.syncnet]
        return [
            self.unet_config,
            self.vae / "config.json",
            first_existing(self.vae, VAE_WEIGHTS),
            self.whisper / "config.json",
            self.whisper / "preprocessor_config.json",
            first_existing(self.whisper, ENCODER_WEIGHTS),
            *(path for path in given if path is not None),
        ]

    def check(self) -> None:
        """Check that all are there.

        Raises:
            WeightsError: Some are not; names all of them.
        """
        missing = [path for path in self.all() if not path.is_file()]
        if not missing:
            return
        published = {file.under(self.models_dir): file.part for file in FILES}
        parts = {"vae": "v15", "whisper": "v15"}  # parts that come with a version
        wanted = sorted({parts.get(published[path], published[path]) for path in missing if path in published})
        fixes = [f"Get them with `{download_command(wanted, self.models_dir)}`."] if wanted else []
        if self.init_unet in missing:
            fixes.append("Run `sh train.sh stage1` first, or give init_unet.")
        if not fixes:
            fixes.append("Check the paths in the settings, and pretrained_model_name_or_path.")
        raise WeightsError(f"missing files: {', '.join(map(str, missing))}", " ".join(fixes))


def load_reader(network: Any, path: Path) -> None:
    """Give a UNet a trained mouth reader, which stays as it is.

    Raises:
        ConfigError: The UNet has no mouth reader.
        WeightsError: The file is damaged, or of another reader.
    """
    if not isinstance(network, MouthUnet):
        raise ConfigError("init_mouth_reader: the UNet has no mouth_reader", "Leave it out, or change unet_config.")
    load_into(network.reader, read_state_dict(path), path)
    network.reader.requires_grad_(False)


def check_fit(unet: Unet, autoencoder: Vae, encoder: AudioEncoder, files: StageFiles) -> None:
    """Check that the UNet takes what the VAE and the audio encoder give.

    Raises:
        WeightsError: It does not.
    """
    channels = autoencoder.latent_channels
    if (unet.in_channels, unet.out_channels, unet.audio_width) != (2 * channels, channels, encoder.width):
        raise WeightsError(
            f"{files.unet_config}: {unet.in_channels} channels in, {unet.out_channels} out, sound of width "
            f"{unet.audio_width}; {files.vae} and {files.whisper} need {2 * channels}, {channels} and {encoder.width}",
            "Use the UNet, VAE and audio encoder of one version.",
        )


def sample_settings(config: StageConfig) -> SampleSettings:
    """What a sample of a stage is."""
    data = config.data
    return SampleSettings(
        n_sample_frames=data.n_sample_frames,
        crop_type=config.crop_type,
        sample_method=data.sample_method,
        top_k_ratio=data.top_k_ratio,
        cropping_jaw2edge_margin_mean=config.cropping_jaw2edge_margin_mean,
        cropping_jaw2edge_margin_std=config.cropping_jaw2edge_margin_std,
        control_face_min_size=data.control_face_min_size,
        min_face_size=data.min_face_size,
        padding_pixel_mouth=config.padding_pixel_mouth,
        audio_padding_length_left=data.audio_padding_length_left,
        audio_padding_length_right=data.audio_padding_length_right,
        image_size=data.image_size,
        ref_dropout_rate=config.ref_dropout_rate,
        geometry=data.geometry,
        extra_margin=data.extra_margin,
        use_twins=data.use_twins,
        twin_probability=data.twin_probability,
        sources_per_target=data.sources_per_target,
        mixed_boxes=data.mixed_boxes,
        true_mouths=data.true_mouths,
        color_rate=data.color_rate,
        mirror_rate=data.mirror_rate,
        seed=config.seed,
    )


def build_samples(
    config: StageConfig, encoder: AudioEncoder, accelerator: Any, say: Callable[[str], None]
) -> tuple[ClipDataset, list[dict[str, Any]]]:
    """Training samples, and the fixed ones of the validation list; tracks and sound are prepared where they are not.

    Raises:
        InputError: The training list is missing or empty, or none of its clips can be used.
    """
    settings = sample_settings(config)
    training, held_out = _pairs(config.data.train_lists()), _pairs(config.data.val_lists())
    folder = config.data.audio_features or training[0][0].parent / "features"
    encoder.network.to(accelerator.device)
    with accelerator.main_process_first():
        samples = open_dataset(training, settings, folder, encoder)
        try:
            plain = replace(settings, ref_dropout_rate=0.0, color_rate=0.0, mirror_rate=0.0, sources_per_target=1)
            validation = open_dataset(held_out, plain, folder, encoder)
        except InputError as error:
            say(f"warning: there will be no validation: {error.what}")
            return samples, []
    count = config.num_images_to_keep
    if config.data.n_sample_frames > 1:
        count = max(2, count // LONG_SAMPLE)
    return samples, [default_collate([sample]) for sample in validation.fixed(count)]


def _pairs(entries: Sequence[ListEntry]) -> list[tuple[Path, float]]:
    return [(entry.path, entry.weight) for entry in entries]


def _perceptual(config: StageConfig, files: StageFiles) -> PerceptualLoss | None:
    if files.vgg is None:
        return None
    losses = config.loss_params
    return PerceptualLoss(
        load_vgg(files.vgg),
        losses.pyramid_scale,
        losses.vgg_layer_weight,
        gradient_checkpointing=config.solver.gradient_checkpointing,
    )


def _sync(config: StageConfig, files: StageFiles) -> SyncLoss | None:
    if files.syncnet is None or files.syncnet_config is None:
        return None
    settings = read_syncnet_settings(files.syncnet_config)
    network = load_syncnet(settings, files.syncnet, str(files.syncnet_config))
    return SyncLoss(network, config.num_backward_frames, config.solver.gradient_checkpointing)


def _adversaries(config: StageConfig, unet: Unet) -> dict[str, LearningJudge]:
    losses = config.loss_params
    wanted = {"face": losses.gan_loss, "mouth": losses.mouth_gan_loss}
    found: dict[str, LearningJudge] = {
        name: build_adversary(
            config.model_params.discriminator_params, config.discriminator_train_params, config.loss_params.fm_loss
        )
        for name, weight in wanted.items()
        if weight
    }
    if losses.latent_gan_loss or losses.latent_fm_loss:
        mouth = len(CHANNELS) if config.data.true_mouths else 0
        found["latent"] = build_latent_adversary(2 * unet.out_channels + mouth, config.discriminator_train_params)
    if _reads_lips(losses):
        found["lip"] = build_lip_judge(len(CHANNELS))
    return found


def _reads_lips(losses: LossConfig) -> bool:
    weights = losses.lip_reading_loss, losses.lip_feature_loss, losses.lip_copying_loss, losses.lip_consistency_loss
    return any(weights)
