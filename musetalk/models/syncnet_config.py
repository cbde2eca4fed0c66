"""The YAML file of a SyncNet as a schema: the published keys with their published defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from musetalk.config import read_yaml
from musetalk.schema import parse, setting

Factor = int | list[int]


@dataclass(frozen=True)
class EncoderConfig:
    """One encoder.

    Attributes:
        downsample_factors: Of each block: one number, or one for rows and one for columns.
        attn_blocks: Whether a block has attention; none of the published SyncNet has.
        norm_num_groups: Ours, for small networks. Published: 32.
    """

    in_channels: int = setting(at_least=1)
    block_out_channels: list[int] = setting(at_least=1)
    downsample_factors: list[Factor] = setting(at_least=1)
    attn_blocks: list[int] = setting(choices=(0,))
    dropout: float = setting(0.0, at_least=0, at_most=1)
    norm_num_groups: int = setting(32, at_least=1)


@dataclass(frozen=True)
class SyncNetModelConfig:
    audio_encoder: EncoderConfig
    visual_encoder: EncoderConfig


@dataclass(frozen=True)
class CheckpointConfig:
    """Attributes:
    inference_ckpt_path: Weights for the sync loss and for scoring.
    resume_ckpt_path, save_ckpt_steps: Published keys without effect here; the `train` section says it.
    """

    inference_ckpt_path: Path = Path("models/syncnet/latentsync_syncnet.pt")
    resume_ckpt_path: str = ""
    save_ckpt_steps: int = 2500


@dataclass(frozen=True)
class SyncDataConfig:
    """What the encoders see. The other published keys are accepted and have no effect; the `train` section says it.

    Attributes:
        num_frames: Consecutive frames of a window.
        resolution: Side of the face, square.
        lower_half: Whether only the lower half of the face is seen.
    """

    num_frames: int = setting(16, at_least=1)
    resolution: int = setting(256, at_least=2)
    lower_half: bool = True
    latent_space: bool = setting(False, choices=(False,))
    audio_sample_rate: int = setting(16000, choices=(16000,))
    video_fps: int = setting(25, choices=(25,))
    train_output_dir: str = ""
    num_val_samples: int = 1200
    batch_size: int = 120
    num_workers: int = 11
    train_fileslist: str = ""
    train_data_dir: str = ""
    val_fileslist: str = ""
    val_data_dir: str = ""
    audio_mel_cache_dir: str = ""
    pretrained_audio_model_path: str = ""


@dataclass(frozen=True)
class SyncOptimizerConfig:
    """Published keys without effect here."""

    lr: float = 1e-5
    max_grad_norm: float = 1.0


@dataclass(frozen=True)
class SyncRunConfig:
    """Published keys without effect here."""

    max_train_steps: int = 10_000_000
    validation_steps: int = 2500
    mixed_precision_training: bool = True
    seed: int = 42


@dataclass(frozen=True)
class SyncNetSettings:
    """configs/training/syncnet.yaml without its `train` section."""

    model: SyncNetModelConfig
    ckpt: CheckpointConfig = field(default_factory=CheckpointConfig)
    data: SyncDataConfig = field(default_factory=SyncDataConfig)
    optimizer: SyncOptimizerConfig = field(default_factory=SyncOptimizerConfig)
    run: SyncRunConfig = field(default_factory=SyncRunConfig)


def read_syncnet_settings(path: Path) -> SyncNetSettings:
    """The settings of a SyncNet; a `train` section, which only its training reads, is passed over.

    Raises:
        ConfigError: The file cannot be read, or a key or value is wrong.
    """
    content = read_yaml(path, fix="Give a YAML file such as configs/training/syncnet.yaml.")
    content.pop("train", None)
    return parse(SyncNetSettings, content, str(path))[0]
