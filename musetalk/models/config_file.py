"""Reading the JSON configuration that stands beside a network's weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from musetalk.errors import WeightsError

_FIX = "Get it again with `python -m scripts.download_weights`, or check the path."


def read_network_config(path: Path) -> dict[str, Any]:
    """The keys of a network's config.json.

    Raises:
        WeightsError: The file is missing or holds no JSON object.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WeightsError(f"{path}: cannot read the network's configuration: {error.strerror}", _FIX) from None
    except ValueError as error:
        raise WeightsError(f"{path}: not a JSON file: {error}", _FIX) from None
    if not isinstance(config, dict):
        raise WeightsError(f"{path}: holds no JSON object", _FIX)
    return config


def without_private_keys(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration without the bookkeeping of diffusers (_class_name, _diffusers_version)."""
    return {key: value for key, value in config.items() if not key.startswith("_")}


def first_existing(folder: Path, names: tuple[str, ...]) -> Path:
    """The first of several possible weight files that exists in a folder, or the first name when none does."""
    return next((folder / name for name in names if (folder / name).is_file()), folder / names[0])
