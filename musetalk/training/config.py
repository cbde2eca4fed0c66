"""The YAML files of training as schemas: the published keys with their published defaults, and ours."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from musetalk.errors import ConfigError
from musetalk.schema import setting

CROP_TYPES = ("crop_resize", "dynamic_margin_crop_resize")
GEOMETRIES = ("published", "inference")
SAMPLE_METHODS = ("pose_similarity_and_mouth_dissimilarity", "random")
SCALES = (1.0, 0.5, 0.25, 0.125, 0.0625)
PRECISIONS = ("no", "fp32", "bf16", "fp16")


@dataclass(frozen=True)
class ListEntry:
    """One list of clips among several, drawn from in proportion to its weight."""

    path: Path = setting()
    weight: float = setting(1.0, above=0)


@dataclass(frozen=True)
class DataConfig:
    """Where samples come from and what is drawn of them.

    Attributes:
        dataset_key: Published: the lists are dataset/<key>/train.txt and val.txt, where the next two are not given.
        train_list, val_list: A list of clips, or several with weights.
        train_bs: Samples of a process in one pass; each has n_sample_frames frames.
        geometry: Crop of a face: `published` (detector and landmarks together) or `inference` (as inference cuts it,
            which measured better: BENCHMARKS.md).
        extra_margin: Geometry inference: pixels that the box's lower edge is moved down (published inference: 10).
        use_twins: Take masked face and reference from a clip of the same moment with another mouth, where there is
            one (rendered data), with probability twin_probability.
        sources_per_target: From so many of these, for the same target: each sample has a row for each.
        mixed_boxes: With a twin: crops lie around a drawn mixture of both mouths, so that they tell neither.
        true_mouths: A UNet with a mouth reader is told the clips' true mouths (rendered data), not what it reads off
            their sound; its reader is that of init_mouth_reader.
        color_rate, mirror_rate: Shares of the training samples whose colours are changed, and that are mirrored.
        audio_features: Folder where the hidden states of the clips' sound are kept; null: beside the train list.
        encoded_samples: So many samples are drawn and encoded once, and gone through again and again; 0: each sample is
            drawn anew. Only where all losses are of latents.
    """

    dataset_key: str = "HDTF"
    train_list: Path | list[ListEntry] | None = None
    val_list: Path | list[ListEntry] | None = None
    train_bs: int = setting(32, at_least=1)
    image_size: int = setting(256, at_least=32)
    n_sample_frames: int = setting(1, at_least=1)
    num_workers: int = setting(8, at_least=0)
    audio_padding_length_left: int = setting(2, at_least=0)
    audio_padding_length_right: int = setting(2, at_least=0)
    sample_method: str = setting("pose_similarity_and_mouth_dissimilarity", choices=SAMPLE_METHODS)
    top_k_ratio: float = setting(0.51, above=0, at_most=1)
    control_face_min_size: bool = setting(True, aliases=("contorl_face_min_size",))
    min_face_size: int = setting(150, at_least=0)
    geometry: str = setting("inference", choices=GEOMETRIES)
    extra_margin: int = setting(10, at_least=0)
    use_twins: bool = True
    twin_probability: float = setting(1.0, at_least=0, at_most=1)
    sources_per_target: int = setting(1, at_least=1)
    mixed_boxes: bool = False
    true_mouths: bool = False
    color_rate: float = setting(0.0, at_least=0, at_most=1)
    mirror_rate: float = setting(0.0, at_least=0, at_most=1)
    audio_features: Path | None = None
    encoded_samples: int = setting(0, at_least=0)

    def train_lists(self) -> list[ListEntry]:
        return entries(self.train_list, Path("dataset") / self.dataset_key / "train.txt")

    def val_lists(self) -> list[ListEntry]:
        return entries(self.val_list, Path("dataset") / self.dataset_key / "val.txt")


def entries(given: Path | list[ListEntry] | None, default: Path = Path()) -> list[ListEntry]:
    """The lists of a setting that is one path, several lists, or absent."""
    if isinstance(given, list):
        if not given:
            raise ConfigError("a list of clips is empty: []", "Give a path, or entries with path and weight.")
        return given
    return [ListEntry(given if given is not None else default)]


@dataclass(frozen=True)
class LossConfig:
    """Weights of the losses by name; one of weight 0 is not computed.

    Attributes:
        l1_loss, vgg_loss, sync_loss: On whole faces, in pixels.
        gan_loss, mouth_gan_loss: Weights of each discriminator's part: least squares, plus its feature matching, whose
            layers fm_loss weighs among themselves.
        mouth_l1_loss: L1 within the mouth box alone.
        latent_loss: L1 between latents, weighted towards the mouth; where all losses in pixels
            are 0, no whole face is decoded.
        latent_detail_loss: L1 between how strong the latents' local detail is, weighted alike: L1 of the latents
            themselves leaves it too weak where its place is not certain.
        copying_loss: How far the latents lie on the way from the true ones back to the reference's, squared.
        decoded_mouth_loss: Between what is decoded of the latents around the mouth, and of the true ones: latents do
            not count alike in a picture. What the VAE itself loses is not asked for.
        mouth_ssim_loss: One less the structural similarity of the two.
        mouth_detail_loss: L1 between how strong the fine detail of the two is.
        reconstruction_loss: With train_decoder: between true mouths, procedural pictures, and what is decoded of their
            own latents, so that the decoder goes on showing what the encoder saw.
        draft_mouth_loss: With a refiner: as decoded_mouth_loss, of the mouths before it refines them; all other losses
            in pixels are then those of refined faces.
        lower_face_loss: With a refiner: as decoded_mouth_loss, of the whole lower half as it is seen.
        consistency_loss, lip_consistency_loss: With several sources_per_target: between what is painted over them, as
            decoded_mouth_loss and lip_reading_loss compare, so that it does not show which of them it was painted over.
        lip_reading_loss, lip_feature_loss: Between the mouths that a network reads off the two, and between its
            features; it learns from the true mouths, which samples have to hold.
        lip_copying_loss: With train_decoder: how far that network reads painted mouths on the way from the true ones
            back to those of the frames they were painted over, squared.
        latent_gan_loss, latent_fm_loss: Least squares and feature matching of a discriminator of the latents around the
            mouth, beside those of the reference and, where samples hold them, the true mouths.
    """

    l1_loss: float = setting(1.0, at_least=0)
    vgg_loss: float = setting(0.01, at_least=0)
    vgg_layer_weight: list[float] = setting([1.0, 1.0, 1.0, 1.0, 1.0], at_least=0, length=5)
    pyramid_scale: list[float] = setting([1.0, 0.5, 0.25, 0.125], choices=SCALES)
    gan_loss: float = setting(0.0, at_least=0)
    mouth_gan_loss: float = setting(0.0, at_least=0)
    fm_loss: list[float] = setting([1.0, 1.0, 1.0, 1.0], at_least=0)
    sync_loss: float = setting(0.0, at_least=0)
    mouth_l1_loss: float = setting(0.0, at_least=0)
    latent_loss: float = setting(0.0, at_least=0)
    latent_detail_loss: float = setting(0.0, at_least=0)
    copying_loss: float = setting(0.0, at_least=0)
    decoded_mouth_loss: float = setting(0.0, at_least=0)
    mouth_ssim_loss: float = setting(0.0, at_least=0)
    mouth_detail_loss: float = setting(0.0, at_least=0)
    reconstruction_loss: float = setting(0.0, at_least=0)
    draft_mouth_loss: float = setting(0.0, at_least=0)
    lower_face_loss: float = setting(0.0, at_least=0)
    lip_reading_loss: float = setting(0.0, at_least=0)
    lip_feature_loss: float = setting(0.0, at_least=0)
    lip_copying_loss: float = setting(0.0, at_least=0)
    consistency_loss: float = setting(0.0, at_least=0)
    lip_consistency_loss: float = setting(0.0, at_least=0)
    latent_gan_loss: float = setting(0.0, at_least=0)
    latent_fm_loss: float = setting(0.0, at_least=0)


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Shape of a discriminator; published: 64, 128, 256, 512 channels."""

    scales: list[float] = setting([1.0], choices=SCALES)
    block_expansion: int = setting(32, at_least=1)
    max_features: int = setting(512, at_least=1)
    num_blocks: int = setting(4, at_least=1)
    sn: bool = True
    image_channel: int = setting(3, choices=(3,))
    estimate_jacobian: bool = setting(False, choices=(False,))


@dataclass(frozen=True)
class ModelConfig:
    discriminator_params: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)


@dataclass(frozen=True)
class DiscriminatorTrainConfig:
    """Optimiser of the discriminators; start_gan: first step of the adversarial losses."""

    lr: float = setting(5e-6, above=0)
    eps: float = setting(1e-8, above=0)
    weight_decay: float = setting(0.01, at_least=0)
    patch_size: int = 1
    betas: list[float] = setting([0.5, 0.999], at_least=0, below=1, length=2)
    epochs: int = setting(10000, at_least=1)
    start_gan: int = setting(1000, at_least=0)


@dataclass(frozen=True)
class SolverConfig:
    """Steps, optimiser and schedule. A step is one of the optimiser: gradient_accumulation_steps passes.

    Attributes:
        uncond_steps, enable_xformers_memory_efficient_attention: Published keys without effect here: attention is
            torch's own, which is memory-efficient.
        ema_decay: Keep a moving average of the weights, which validation and export take; 0: none.
    """

    gradient_accumulation_steps: int = setting(1, at_least=1)
    uncond_steps: int = 10
    mixed_precision: str = setting("fp32", choices=PRECISIONS)
    enable_xformers_memory_efficient_attention: bool = True
    gradient_checkpointing: bool = True
    max_train_steps: int = setting(250000, at_least=1)
    max_grad_norm: float = setting(1.0, above=0)
    learning_rate: float = setting(2e-5, above=0)
    scale_lr: bool = False
    lr_warmup_steps: int = setting(1000, at_least=0)
    lr_scheduler: str = setting("linear", choices=("linear", "cosine", "constant", "constant_with_warmup"))
    use_8bit_adam: bool = False
    adam_beta1: float = setting(0.5, at_least=0, below=1)
    adam_beta2: float = setting(0.999, at_least=0, below=1)
    adam_weight_decay: float = setting(0.01, at_least=0)
    adam_epsilon: float = setting(1e-8, above=0)
    ema_decay: float = setting(0.0, at_least=0, below=1)


@dataclass(frozen=True)
class RunConfig:
    """What every training shares: where it writes, when it saves and validates.

    Attributes:
        exp_name, output_dir: Everything is written to <output_dir>/<exp_name>.
        resume_from_checkpoint: true or latest: go on from the newest checkpoint, where there is one; a path: from that
            checkpoint, each time; later ones of the run are set aside; false: start anew, in an empty folder.
        checkpointing_steps, total_limit: How often to save, and how many checkpoints to keep.
        val_freq, num_images_to_keep: How often to validate, on how many fixed samples.
        save_model_epoch_interval, port: Published keys without effect here: steps alone count, and accelerate's own
            configuration names the port.
    """

    exp_name: str = "test"
    output_dir: Path = Path("exp_out")
    resume_from_checkpoint: bool | Path = True
    checkpointing_steps: int = setting(10000, at_least=1)
    total_limit: int = setting(10, at_least=1)
    val_freq: int = setting(2000, at_least=1)
    num_images_to_keep: int = setting(8, at_least=1)
    log_every: int = setting(10, at_least=1)
    seed: int = setting(41, at_least=0)
    save_model_epoch_interval: int = 250000
    port: int = 29510
    solver: SolverConfig = field(default_factory=SolverConfig)

    @property
    def folder(self) -> Path:
        return self.output_dir / self.exp_name


@dataclass(frozen=True)
class StageConfig(RunConfig):
    """configs/training/stage1.yaml and stage2.yaml.

    Attributes:
        pretrained_model_name_or_path: Folder of all weights.
        unet_sub_folder: Its folder with the UNet's musetalk.json.
        unet_config: The UNet's configuration; null: musetalk.json or config.json of unet_sub_folder.
        random_init_unet: Begin with random weights (stage 1), or with those of init_unet (stage 2).
        init_unet: Weights to begin with; null: what stage 1 exported, <output_dir>/../stage1/<exp_name>/unet.pth.
        init_mouth_reader: Weights of the UNet's mouth reader, from the training of the audio encoder; it then stays as
            it is. null: those of init_unet, or random ones, which learn with the UNet.
        rest_references: The UNet first gives every reference a resting mouth, and paints on that (see
            Unet.rest_references); needs data.true_mouths. Its musetalk.json then says so. false: what unet_config says.
        whisper_path, vae_type: Folder of the audio encoder; name of the VAE's folder.
        train_decoder: The VAE's decoder learns with the UNet, from the true faces; latents stay what they are.
        refiner_config: Configuration of a refiner (musetalk/models/refiner.py) that learns with UNet and decoder; null:
            there is none. Needs train_decoder.
        vgg_path, syncnet_path: Weights of the two loss networks; null: the published places.
        padding_pixel_mouth: Pixels that the mouth box of the mouth discriminator is wider at each side.
        ref_dropout_rate: Share of references that are replaced by black.
        num_backward_frames: Frames of a sample through which the sync loss goes back.
        decode_batch: Faces in one pass of the VAE's decoder, each recomputed in the backward pass where
            solver.gradient_checkpointing is on.
        use_adapted_weight: Published key; only false is possible.
    """

    unet_sub_folder: str = "musetalk"
    unet_config: Path | None = None
    random_init_unet: bool = True
    init_unet: Path | None = None
    init_mouth_reader: Path | None = None
    rest_references: bool = False
    whisper_path: Path = Path("models/whisper")
    pretrained_model_name_or_path: Path = Path("models")
    vae_type: str = "sd-vae"
    train_decoder: bool = False
    refiner_config: Path | None = None
    vgg_path: Path | None = None
    syncnet_path: Path | None = None
    syncnet_config_path: Path = Path("configs/training/syncnet.yaml")
    padding_pixel_mouth: int = setting(10, at_least=0)
    ref_dropout_rate: float = setting(0.0, at_least=0, at_most=1)
    use_adapted_weight: bool = setting(False, choices=(False,))
    cropping_jaw2edge_margin_mean: float = 10.0
    cropping_jaw2edge_margin_std: float = setting(10.0, at_least=0)
    crop_type: str = setting("crop_resize", choices=CROP_TYPES)
    random_margin_method: str = setting("normal", choices=("normal",))
    num_backward_frames: int = setting(16, at_least=1)
    decode_batch: int = setting(4, at_least=1)
    data: DataConfig = field(default_factory=DataConfig)
    loss_params: LossConfig = field(default_factory=LossConfig)
    model_params: ModelConfig = field(default_factory=ModelConfig)
    discriminator_train_params: DiscriminatorTrainConfig = field(default_factory=DiscriminatorTrainConfig)
