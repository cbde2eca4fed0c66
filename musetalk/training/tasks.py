"""From a settings file to a run: reading, building the task, training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from musetalk.cli import say
from musetalk.schema import read_settings
from musetalk.training.accelerator import build_accelerator
from musetalk.training.audio_task import AudioConfig, build_audio_task
from musetalk.training.config import RunConfig, StageConfig
from musetalk.training.stage_builder import build_stage_task
from musetalk.training.sync_task import SyncFile, build_sync_task
from musetalk.training.trainer import Trainer
from musetalk.training.vae_task import VaeConfig, build_vae_task

TASK_TYPES: dict[str, tuple[type[RunConfig] | type[SyncFile], Callable[..., Any]]] = {
    "stage1": (StageConfig, build_stage_task),
    "stage2": (StageConfig, build_stage_task),
    "vae": (VaeConfig, build_vae_task),
    "audio": (AudioConfig, build_audio_task),
    "syncnet": (SyncFile, build_sync_task),
}


def train(name: str, path: Path, overrides: Sequence[str]) -> int:
    """Train the task of a settings file to its end, or go on with it; the exit code.

    Args:
        name: stage1, stage2, syncnet, vae or audio.
        path: Its YAML.
        overrides: `key=value` pairs.

    Raises:
        MuseTalkError: A setting, file or sample is wrong, or training cannot go on.
    """
    schema, build = TASK_TYPES[name]
    config, warnings = read_settings(schema, path, overrides)
    run = config.train if isinstance(config, SyncFile) else config
    accelerator = build_accelerator(run.solver)

    def tell(line: str) -> None:
        if accelerator.is_main_process:
            say(line)

    for warning in warnings:
        tell(f"warning: {warning}")
    torch.manual_seed(run.seed)  # the first weights, the same in every process
    task = build(config, accelerator, tell)
    folder = Trainer(run, settings_text(config), task, accelerator).run()
    tell(f"result: {folder}")
    accelerator.end_training()
    return 0


def settings_text(config: RunConfig | SyncFile) -> str:
    """All settings as YAML, those that were left at their defaults too."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(_plain(asdict(config))))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
