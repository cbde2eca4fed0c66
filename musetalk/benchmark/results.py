"""What a benchmark measured, as values and as a JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from musetalk.benchmark.machine import Machine, Rates
from musetalk.errors import InputError
from musetalk.training.files import write_whole

FORMAT = 1
_FIX = "Give a file that `python -m scripts.benchmark --json FILE` of this version has written."


@dataclass(frozen=True)
class StageCost:
    """One stage, for one frame of the result.

    Attributes:
        name: One of `stages.STAGES`.
        seconds: Median time.
        flops: Counted; None where nothing counts them (video, landmarks, masks).
        bytes: That must move at the least: weights once a pass, what goes in and what comes out.
        dtype: Of the matrix products, and so of the rate to compare with; None where there are none.
        device: Where it works: "cpu", "cuda", "mps".
    """

    name: str
    seconds: float
    flops: float | None
    bytes: float
    dtype: str | None
    device: str


@dataclass(frozen=True)
class Whole:
    """The whole pipeline, from files to a file.

    Attributes:
        frames: In the result.
        seconds: Median over the runs.
        stages: Seconds that each of its threads worked, of the last run; they overlap.
    """

    frames: int
    seconds: float
    stages: dict[str, float]


@dataclass(frozen=True)
class Setting:
    """Everything measured with one dtype and batch size."""

    dtype: str
    batch_size: int
    stages: tuple[StageCost, ...]
    whole: Whole | None


@dataclass(frozen=True)
class ClipFacts:
    """What was worked on.

    Attributes:
        video: Name of the file.
        audio: Name of the file.
        width: Of the frames.
        height: Of the frames.
        frames: How many of them.
        audio_seconds: Of the sound that features are taken from.
    """

    video: str
    audio: str
    width: int
    height: int
    frames: int
    audio_seconds: float


@dataclass(frozen=True)
class Benchmark:
    """One run of the command.

    Attributes:
        version: Whose networks.
        trained: Whether the weights are from files; else random.
        backends: Face finder and parser.
        date: When it began, UTC.
        load: Load average when it began and when it ended, or None.
        repeats: Runs of each stage that the medians are of.
        machine: Where.
        rates: What the machine reaches.
        clip: What on.
        settings: The measurements.
        peak_memory: The most that the process has held, in words.
    """

    version: str
    trained: bool
    backends: str
    date: str
    load: tuple[float, float] | None
    repeats: int
    machine: Machine
    rates: Rates
    clip: ClipFacts
    settings: tuple[Setting, ...]
    peak_memory: str


def write_benchmark(path: Path, benchmark: Benchmark) -> None:
    """Write the JSON file; appears whole.

    Raises:
        OutputError: It cannot be written.
    """
    content = json.dumps({"format": FORMAT, **asdict(benchmark)}, indent=1, allow_nan=False) + "\n"
    write_whole(path, content.encode())


def read_benchmark(path: Path) -> Benchmark:
    """Read what `write_benchmark` wrote.

    Raises:
        InputError: It cannot be read, or is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}", _FIX) from None
    except ValueError:
        raise InputError(f"{path}: not a JSON file", _FIX) from None
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise InputError(f"{path}: no benchmark of format {FORMAT}", _FIX)
    try:
        return _benchmark(content)
    except (TypeError, KeyError, AttributeError):
        raise InputError(f"{path}: a benchmark with missing or unknown values", _FIX) from None


def _benchmark(content: Mapping[str, Any]) -> Benchmark:
    parts: dict[str, Any] = {
        "machine": Machine(**content["machine"]),
        "rates": Rates(**content["rates"]),
        "clip": ClipFacts(**content["clip"]),
        "settings": tuple(_setting(setting) for setting in content["settings"]),
    }
    load = content["load"]
    return Benchmark(**{**content, **parts, "load": None if load is None else tuple(load)})


def _setting(content: Mapping[str, Any]) -> Setting:
    whole = content["whole"]
    stages = tuple(StageCost(**stage) for stage in content["stages"])
    return Setting(content["dtype"], content["batch_size"], stages, None if whole is None else Whole(**whole))
