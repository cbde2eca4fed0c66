"""Reading checkpoint files safely and putting them into modules."""

from __future__ import annotations

import pickle  # for the name of the exception that torch.load raises
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from musetalk import inert_pickle
from musetalk.errors import WeightsError

_GET_IT_AGAIN = "Delete the file and fetch it again with `python -m scripts.download_weights`."
_TORCH_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".model")


def read_state_dict(path: str | Path, *, inert: bool = False) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint by key, on the CPU. Nothing in the file is ever executed.

    Args:
        path: A .safetensors file, or a .bin, .pt, .pth, .ckpt or .model file of `torch.save`: a bare state dict or
            `{"state_dict": state dict, ...}`.
        inert: What to do with a file that also holds objects of other packages (the published
            dw-ll_ucoco_384.pth may hold training logs). False refuses it; True takes its tensors and leaves a
            placeholder where each such object would be.

    Raises:
        WeightsError: The file is missing, unreadable, damaged, of another format, holds no state dict, or holds
            objects other than tensors.
    """
    path = Path(path)
    _check_readable(path)
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix not in _TORCH_SUFFIXES:
        raise WeightsError(
            f"{path}: not a checkpoint, its name ends in none of .safetensors {' '.join(_TORCH_SUFFIXES)}.",
            "Give a checkpoint file.",
        )
    return _state_dict_in(_read_inert(path) if inert else _read_torch(path), path)


def load_into(
    module: torch.nn.Module,
    state_dict: Mapping[str, torch.Tensor],
    path: str | Path,
    *,
    prefix: str = "",
    ignore: Sequence[str] = (),
) -> None:
    """Copies a state dict into a module; every key and shape must match.

    Args:
        module: Takes the values, in its own dtype and on its own device.
        state_dict: Values by key.
        path: The file they came from, for the error.
        prefix: Only keys that start with it are taken, without it.
        ignore: Starts of keys that may be missing on either side.

    Raises:
        WeightsError: A key is missing, unknown or of another shape. Nothing has been copied then.
    """
    given = {key[len(prefix) :]: value for key, value in state_dict.items() if key.startswith(prefix)}
    wanted = module.state_dict()
    # Files older than torch 0.4.1 do not count batches, and nothing here reads the count.
    optional = (*ignore, *(key for key in wanted if key.endswith("num_batches_tracked")))
    differences = [f"{key} is missing" for key in wanted if key not in given and not key.startswith(optional)]
    differences += [f"{key} is unknown" for key in given if key not in wanted and not key.startswith(tuple(ignore))]
    differences += [
        f"{key} has the shape {tuple(given[key].shape)}, {tuple(value.shape)} is needed"
        for key, value in wanted.items()
        if key in given and given[key].shape != value.shape
    ]
    if differences:
        more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
        raise WeightsError(
            f"{path}: checkpoint of the wrong shape: {', '.join(differences[:3])}{more}.",
            "Use the checkpoint that belongs to this part and model version; "
            "`python -m scripts.download_weights` gets it.",
        )
    module.load_state_dict({key: value for key, value in given.items() if key in wanted}, strict=False)


def _check_readable(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(1)
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such file.", "Get it with `python -m scripts.download_weights`.") from None
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror}.", "Make it a readable file.") from None
    if not start:
        raise WeightsError(f"{path}: the file is empty.", _GET_IT_AGAIN)


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, *inert_pickle.DAMAGED):
        raise _damaged(path) from None


def _read_torch(path: Path) -> object:
    with path.open("rb") as file:
        is_zip = file.read(4) == inert_pickle.ZIP_MAGIC
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # About the pickle protocol of a file that is then refused.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except (pickle.UnpicklingError, AttributeError, AssertionError, OSError, *inert_pickle.DAMAGED):
        pass
    # torch does not say reliably whether the file is damaged or refused; looking at it without running it does.
    try:
        _, foreign = inert_pickle.read(path)
    except (OSError, *inert_pickle.DAMAGED):
        raise _damaged(path) from None
    if not foreign:
        raise _damaged(path)
    raise WeightsError(
        f"{path}: holds objects other than tensors ({_some(foreign)}); it was not opened, since that could run code.",
        _GET_IT_AGAIN,
    )


def _read_inert(path: Path) -> object:
    try:
        return inert_pickle.read(path)[0]
    except (OSError, *inert_pickle.DAMAGED):
        raise _damaged(path) from None


def _state_dict_in(content: object, path: Path) -> dict[str, torch.Tensor]:
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if (
        not isinstance(content, Mapping)
        or not content
        or not all(isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in content.items())
    ):
        raise WeightsError(f"{path}: holds no state dict (keys with tensors).", _GET_IT_AGAIN)
    return dict(content)


def _damaged(path: Path) -> WeightsError:
    return WeightsError(f"{path}: not a checkpoint, or a damaged or incomplete one.", _GET_IT_AGAIN)


def _some(names: set[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")
