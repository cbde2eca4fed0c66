"""A trained UNet in the published layout: unet.pth and musetalk.json, which inference takes directly."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from musetalk.models.refiner import WEIGHTS_NAME, RefinerNetwork, refiner_settings
from musetalk.training.files import replacing, save_tensors, write_whole

DIFFUSERS = "diffusion_pytorch_model.safetensors"


def export_unet(network: nn.Module, folder: Path) -> Path:
    """Write unet.pth (bare float32 state dict) and musetalk.json to a folder; each appears when it is whole.

    Raises:
        OutputError: They cannot be written.
    """
    unet: Any = network
    config = {key: value for key, value in dict(unet.config).items() if key != "_use_default_values"}
    weights = {key: value.detach().float().cpu().contiguous() for key, value in network.state_dict().items()}
    described = {"_class_name": "UNet2DConditionModel", **config}
    write_whole(folder / "musetalk.json", json.dumps(described, indent=2).encode())
    with replacing(folder / "unet.pth") as file:
        save_tensors(weights, file)
    return folder / "unet.pth"


def export_refiner(network: RefinerNetwork, folder: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write the two files that `load_refiner` reads; errors as of `export_pretrained`."""
    export_pretrained(network, folder, refiner_settings(network), WEIGHTS_NAME, dtype)


def export_pretrained(
    network: Any,
    folder: Path,
    config: Mapping[str, Any] | None = None,
    name: str = DIFFUSERS,
    dtype: torch.dtype = torch.float32,
    leave_out: Sequence[str] = (),
) -> None:
    """Write config.json and safetensors of a diffusers or transformers network.

    Args:
        network: The network.
        folder: Where to.
        config: Its configuration; None: that of the network.
        name: File of the weights.
        dtype: Of the weights.
        leave_out: Keys of weights that are not written.

    Raises:
        OutputError: They cannot be written.
    """
    from safetensors.torch import save

    content = dict(network.config) if config is None else dict(config)
    content.setdefault("_class_name", type(network).__name__)
    content.pop("_use_default_values", None)
    kept = {key: value for key, value in network.state_dict().items() if key not in leave_out}
    weights = {key: value.detach().to(dtype).cpu().contiguous() for key, value in kept.items()}
    write_whole(folder / "config.json", json.dumps(content, indent=2).encode())
    write_whole(folder / name, save(weights))
