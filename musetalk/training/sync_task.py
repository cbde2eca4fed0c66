"""A SyncNet learns which sound belongs to a mouth: from pairs that do, and from shifted and exchanged sounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from musetalk.checkpoint import load_into, read_state_dict
from musetalk.errors import InputError
from musetalk.models.syncnet import SyncNet
from musetalk.models.syncnet_config import SyncNetSettings
from musetalk.models.vae import to_unit_range
from musetalk.schema import setting
from musetalk.training.clip_meta import ClipMeta, read_meta
from musetalk.training.clip_sync import score_clip
from musetalk.training.config import RunConfig, entries
from musetalk.training.dataset import open_dataset
from musetalk.training.files import replacing, save_tensors, write_whole
from musetalk.training.sample import SampleSettings
from musetalk.training.sync_loss import cosine, cosine_loss
from musetalk.training.sync_pairs import SyncSamplesConfig, draw_pair
from musetalk.training.task import Pass, Validation

OFFSET_TOLERANCE = 1
FIXED_BATCH = 8


@dataclass(frozen=True)
class SyncWeights:
    """Weights of the losses: pairs that belong together, with sound shifted within the clip, of other clips."""

    aligned: float = setting(1.0, at_least=0)
    shifted: float = setting(0.5, at_least=0)
    other: float = setting(0.5, at_least=0)


@dataclass(frozen=True)
class SyncTrainConfig(RunConfig):
    """The `train` section of configs/training/syncnet.yaml.

    Attributes:
        init: Weights to begin with; null: random ones.
        val_pairs, val_clips: Fixed pairs, and clips whose offset is looked for, of the validation list.
    """

    init: Path | None = None
    samples: SyncSamplesConfig = field(default_factory=SyncSamplesConfig)
    loss_params: SyncWeights = field(default_factory=SyncWeights)
    val_pairs: int = setting(64, at_least=1)
    val_clips: int = setting(16, at_least=0)


@dataclass(frozen=True)
class SyncFile(SyncNetSettings):
    """configs/training/syncnet.yaml: the network as published, and how it is trained."""

    train: SyncTrainConfig = field(default_factory=SyncTrainConfig)


class SyncTask:
    """Trains a SyncNet; see `Task`.

    Args:
        config: The settings.
        network: The SyncNet.
        samples: What `draw_pair` gives, with `clip`, by number.
        fixed: Such samples of the validation list.
        clips: Clips of the validation list.
        warnings: Gives what went wrong with samples since the last call.
    """

    def __init__(
        self,
        config: SyncFile,
        network: SyncNet,
        samples: Any,
        fixed: Sequence[Mapping[str, Any]],
        clips: Sequence[ClipMeta],
        warnings: Callable[[], list[str]] = list,
    ) -> None:
        self.config, self.samples, self.fixed, self.clips, self.warnings = config, samples, fixed, clips, warnings
        self.networks: dict[str, nn.Module] = {"syncnet": network}
        self.adversaries: dict[str, Any] = {}
        self.architecture: dict[str, Any] = {}
        self.weights = {f"{name}_loss": weight for name, weight in asdict(config.train.loss_params).items() if weight}
        self.batch_size, self.num_workers = config.train.samples.train_bs, config.train.samples.num_workers
        self._windows = network.visual_windows
        network.set_gradient_checkpointing(config.train.solver.gradient_checkpointing)

    def place(self, device: torch.device, dtype: torch.dtype) -> None:
        """Nothing is frozen."""

    def forward(self, batch: Mapping[str, Tensor], step: int) -> Pass:
        """The losses of pairs, of shifted pairs, and of each mouth with the sounds of the batch's other clips."""
        seen, heard, shifted = self._embed(self.networks["syncnet"], batch)
        losses = pair_losses(seen, heard, shifted, batch["clip"])
        return Pass({name: loss for name, loss in losses.items() if name in self.weights})

    def validate(self, networks: Mapping[str, nn.Module], step: int) -> Validation:
        """On fixed pairs: the losses; `accuracy`: share of right decisions at a cosine of ½, half of the pairs right
        ones; `prefers_aligned`: share whose own sound fits better than the shifted one. On clips: `offset_accuracy`,
        share whose offset is found to be at most one frame, and the mean `offset_confidence`."""
        network = networks["syncnet"]
        values: dict[str, float] = {}
        if self.fixed:
            device = next(network.parameters()).device
            parts = [
                self._embed(network, _on(default_collate(list(self.fixed[at : at + FIXED_BATCH])), device))
                for at in range(0, len(self.fixed), FIXED_BATCH)
            ]
            seen, heard, shifted = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
            clips = torch.tensor([sample["clip"] for sample in self.fixed], device=device)
            values |= {name: float(loss) for name, loss in pair_losses(seen, heard, shifted, clips).items()}
            values |= decisions(cosine(seen, heard), cosine(seen, shifted))
        assert isinstance(network, SyncNet)
        return Validation(values | self._offsets(network))

    def export(self, networks: Mapping[str, nn.Module], folder: Path) -> None:
        """syncnet.pt in the published form, and syncnet.yaml, which `syncnet_config_path` of stage 2 takes."""
        export_syncnet(networks["syncnet"], self.config, folder)

    def _embed(self, network: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """(n, d) embeddings of faces, of their sound, and of shifted sound, in one pass of the network."""
        faces = batch["faces"]
        flat = to_unit_range(faces.flatten(0, 1), faces.device)
        visual = self._windows(flat.unflatten(0, faces.shape[:2]))
        seen, heard = network(visual, torch.cat([batch["mel"], batch["shifted_mel"]])[:, None])
        return seen, *heard.chunk(2)

    def _offsets(self, network: SyncNet) -> dict[str, float]:
        found = []
        for clip in self.clips:
            samples = self.config.train.samples
            offset = score_clip(network, clip, samples.geometry, samples.extra_margin)
            if offset is not None:
                found.append(offset)
        if not found:
            return {}
        return {
            "offset_accuracy": float(np.mean([abs(one.offset) <= OFFSET_TOLERANCE for one in found])),
            "offset_confidence": float(np.mean([one.confidence for one in found])),
        }


def pair_losses(seen: Tensor, heard: Tensor, shifted: Tensor, clips: Tensor) -> dict[str, Tensor]:
    """Losses by name.

    Args:
        seen, heard, shifted: (n, d) embeddings of length 1: mouths, their sounds, shifted sounds.
        clips: (n,) clip of each.

    Returns:
        aligned_loss, shifted_loss, other_loss, float32 scalars. The last one is over all mouths with the sounds of
        other clips, 0 where all are of one clip.
    """
    foreign = clips[:, None] != clips[None, :]
    with torch.autocast(seen.device.type, enabled=False):
        cosines = (seen.float() @ heard.float().T)[foreign]
    return {
        "aligned_loss": cosine_loss(cosine(seen, heard), 1.0),
        "shifted_loss": cosine_loss(cosine(seen, shifted), 0.0),
        "other_loss": cosine_loss(cosines, 0.0) if len(cosines) else (seen * 0).sum(),
    }


def decisions(aligned: Tensor, shifted: Tensor) -> dict[str, float]:
    """How well the cosines (n,) of right and of shifted pairs tell them apart."""
    right = torch.cat([aligned > 0.5, shifted <= 0.5])
    return {
        "accuracy": float(right.float().mean()),
        "prefers_aligned": float((aligned > shifted).float().mean()),
        "aligned_cosine": float(aligned.mean()),
        "shifted_cosine": float(shifted.mean()),
    }


def export_syncnet(network: nn.Module, config: SyncNetSettings, folder: Path) -> None:
    """Write syncnet.pt and a syncnet.yaml that names it; each appears when it is whole.

    Raises:
        OutputError: They cannot be written.
    """
    import yaml

    weights = {key: value.detach().float().cpu().contiguous() for key, value in network.state_dict().items()}
    with replacing(folder / "syncnet.pt") as file:
        save_tensors({"state_dict": weights}, file)
    content = {
        "model": asdict(config.model),
        "ckpt": {"inference_ckpt_path": (folder / "syncnet.pt").as_posix()},
        "data": {name: getattr(config.data, name) for name in ("num_frames", "resolution", "lower_half")},
    }
    write_whole(folder / "syncnet.yaml", yaml.safe_dump(content, sort_keys=False).encode())


def build_sync_task(config: SyncFile, accelerator: Any, say: Callable[[str], None]) -> SyncTask:
    """The task of a settings file.

    Raises:
        ConfigError: The settings make no SyncNet.
        WeightsError: `init` is missing or of another network.
        InputError: The training list is missing or empty, or none of its clips can be used.
    """
    train, given = config.train, config.train.samples
    network = SyncNet(config)
    if train.init is not None:
        load_into(network, read_state_dict(train.init), train.init)
    settings = sample_settings(config)
    draw = partial(draw_pair, min_shift=given.min_shift)
    lists = [[(entry.path, entry.weight) for entry in entries(which)] for which in (given.train_list, given.val_list)]
    folder = given.features or lists[0][0][0].parent / "features"
    with accelerator.main_process_first():
        samples = open_dataset(lists[0], settings, folder, None, draw)
        try:
            held_out = open_dataset(lists[1], settings, folder, None, draw)
        except InputError as error:
            say(f"warning: there will be no validation: {error.what}")
            return SyncTask(config, network, samples, [], [], samples.warnings)
    clips = [read_meta(held_out.name(clip)) for clip in range(min(len(held_out), train.val_clips))]
    return SyncTask(config, network, samples, held_out.fixed(train.val_pairs), clips, samples.warnings)


def sample_settings(config: SyncFile) -> SampleSettings:
    """What `draw_pair` draws."""
    given = config.train.samples
    return SampleSettings(
        n_sample_frames=config.data.num_frames,
        image_size=config.data.resolution,
        crop_type=given.crop_type,
        cropping_jaw2edge_margin_mean=given.cropping_jaw2edge_margin_mean,
        cropping_jaw2edge_margin_std=given.cropping_jaw2edge_margin_std,
        min_face_size=given.min_face_size,
        geometry=given.geometry,
        extra_margin=given.extra_margin,
        use_twins=False,
        seed=config.train.seed,
    )


def _on(batch: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in batch.items()}
