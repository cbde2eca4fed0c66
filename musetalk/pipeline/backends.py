"""Which face finder and which parser: chosen by name or by the weights that are there, and built."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from musetalk.checkpoint import load_into, read_state_dict
from musetalk.errors import UsageError
from musetalk.face.landmarks import FaceFinder
from musetalk.face.parsing import BiSeNetParser, FaceParser, LandmarkParser
from musetalk.models.bisenet import BiSeNet
from musetalk.models.device import Placement
from musetalk.models.versions import VersionSpec
from musetalk.weights import files_for, missing_files

FINDERS = ("mediapipe", "dwpose", "mmpose")
PARSERS = ("bisenet", "landmarks")

PUBLISHED_FINDER, PUBLISHED_PARSER = "dwpose", "bisenet"


@dataclass(frozen=True)
class BackendChoice:
    """What was chosen.

    Attributes:
        finder: One of FINDERS.
        parser: One of PARSERS.
        notes: One line for each that `auto` chose, for the user.
    """

    finder: str
    parser: str
    notes: tuple[str, ...] = ()


def choose_backends(
    spec: VersionSpec, models_dir: str | Path, finder: str = "auto", parser: str = "auto"
) -> BackendChoice:
    """Resolve `auto`: for the published versions the published part where its weights exist, else the bundled one.

    Raises:
        UsageError: An unknown name.
    """
    for flag, name, known in (("--face_finder", finder, FINDERS), ("--parser", parser, PARSERS)):
        if name not in ("auto", *known):
            raise UsageError(f"{flag}: unknown name {name!r}", f"Use auto, {', '.join(known)}.")
    notes = []
    if finder == "auto":
        finder, why = _automatic(spec, models_dir, PUBLISHED_FINDER, spec.face_finder)
        notes.append(f"Face finder: {finder} ({why}).")
    if parser == "auto":
        parser, why = _automatic(spec, models_dir, PUBLISHED_PARSER, spec.parser)
        notes.append(f"Parser: {parser} ({why}).")
    return BackendChoice(finder, parser, tuple(notes))


def _automatic(spec: VersionSpec, models_dir: str | Path, published: str, otherwise: str) -> tuple[str, str]:
    if spec.bundled:
        return otherwise, f"the default of {spec.name}"
    if missing_files([published], models_dir):
        return otherwise, f"the published {published} has no weights under {models_dir}"
    return published, "published"


def build_finder(name: str, models_dir: str | Path, placement: Placement) -> FaceFinder:
    """The face finder of a name.

    Raises:
        WeightsError: Its weights are missing or unusable.
        DeviceError: Packages that it needs are not installed.
    """
    if name == "dwpose":
        from musetalk.face.dwpose_finder import DWPoseFinder

        return DWPoseFinder.load(models_dir, placement.device)
    if name == "mmpose":
        from musetalk.face.mmpose_finder import MMPoseFinder

        return MMPoseFinder.load(models_dir, placement.device)
    from musetalk.face.mediapipe_finder import MediaPipeFinder

    return MediaPipeFinder()


def build_parser(
    name: str,
    models_dir: str | Path,
    placement: Placement,
    *,
    mode: str,
    left_cheek_width: int,
    right_cheek_width: int,
) -> FaceParser:
    """The parser of a name.

    Raises:
        WeightsError: Its weights are missing or unusable.
        ConfigError: Unknown mode.
    """
    if name == "landmarks":
        return LandmarkParser(mode, left_cheek_width, right_cheek_width)
    path = files_for(["bisenet"])[0].under(models_dir)
    network = BiSeNet()
    load_into(network, read_state_dict(path), path)
    return BiSeNetParser(
        network.requires_grad_(False),
        placement.device,
        placement.dtype if placement.device.type == "cuda" else torch.float32,
        mode=mode,
        left_cheek_width=left_cheek_width,
        right_cheek_width=right_cheek_width,
    )
