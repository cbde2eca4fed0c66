"""What a stage shows on fixed samples of the validation list: losses, and strips of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from musetalk.models.vae import to_bgr
from musetalk.training.learning_refiner import refined_faces
from musetalk.training.mouth import mouth_mean
from musetalk.training.task import Validation

if TYPE_CHECKING:
    from musetalk.training.stage import StageTask

COLUMNS = ("masked", "reference", "predicted", "target", "inference")

StageSamples = Sequence[Mapping[str, torch.Tensor]]
"""Batches of one sample each."""


def measure(
    task: StageTask,
    unet: nn.Module,
    samples: StageSamples,
    decoder: nn.Module | None = None,
    refiner: nn.Module | None = None,
) -> Validation:
    """Losses of bare networks, the UNet and what learns with it, on fixed samples, and a strip with one row for each.

    The numbers: the losses in pixels by their names (without the adversarial ones), and L1 inside the mouth box of the
    prediction (`mouth_l1`), of the reference in its place (`mouth_l1_reference`), with the sound of another sample
    (`mouth_l1_other_sound`), and as inference works, with the frame itself as reference (`mouth_l1_inference`).
    """
    from musetalk.training.stage import blacken, faces_of

    if not samples:
        return Validation({})
    sums: dict[str, float] = {}
    rows = []
    device = next(unet.parameters()).device
    for index, sample in enumerate(samples):
        batch = {name: value.to(device) for name, value in sample.items()}
        other = samples[(index + 1) % len(samples)]["windows"].to(device)
        target, reference, source = (faces_of(batch, name) for name in ("target", "reference", "mask_source"))
        boxes, frames = batch["mouth_box"].flatten(0, 1), batch["target"].shape[1]

        def painted(
            masked: torch.Tensor, shown: torch.Tensor, windows: torch.Tensor, count: int = frames
        ) -> torch.Tensor:
            heard = windows.flatten(0, 1)[:count]
            faces = task.decode(task.paint(unet, masked[:count], shown[:count], heard), decoder)
            return faces if refiner is None else refined_faces(refiner, faces, masked[:count])

        predicted = painted(source, reference, batch["windows"])
        as_inference = painted(target, target, batch["windows"])
        values = {"l1_loss": F.l1_loss(predicted, target)}
        if "vgg_loss" in task.weights:
            values["vgg_loss"] = task.judges.perceptual(predicted, target)
        if "sync_loss" in task.weights:
            pair = (predicted.unflatten(0, (-1, frames)), target.unflatten(0, (-1, frames)))
            values["sync_loss"] = task.judges.sync(*pair, batch["mel"])
        values["mouth_l1"] = mouth_mean((predicted - target).abs(), boxes)
        values["mouth_l1_reference"] = mouth_mean((reference - target).abs(), boxes)
        values["mouth_l1_inference"] = mouth_mean((as_inference - target).abs(), boxes)
        with_other = painted(source, reference, other)
        values["mouth_l1_other_sound"] = mouth_mean((with_other - target).abs(), boxes)
        for name, value in values.items():
            sums[name] = sums.get(name, 0.0) + float(value) / len(samples)
        columns = (blacken(source), reference, predicted, target, as_inference)
        rows.append(np.concatenate([_picture(column[0]) for column in columns], axis=1))
    return Validation(sums, {"strip": np.concatenate(rows)})


def _picture(face: torch.Tensor) -> np.ndarray:
    return to_bgr((face.detach().float()[None] / 2 + 0.5).clamp(0, 1))[0]
