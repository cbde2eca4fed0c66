"""The command that starts the processes of a training run: accelerate's launcher, as gpu.yaml says."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musetalk.errors import ConfigError

TASKS = ("stage1", "stage2", "syncnet", "vae", "audio")
DEFAULT_CONFIGS = {task: Path("configs") / "training" / f"{task}.yaml" for task in TASKS}


@dataclass(frozen=True)
class Devices:
    """What gpu.yaml asks for.

    Attributes:
        gpu_ids: GPU numbers; None: all.
        num_processes: Processes of all machines together; None: one a GPU.
    """

    gpu_ids: tuple[int, ...] | None
    num_processes: int | None


def read_devices(content: Mapping[Any, Any], path: Path) -> Devices:
    """gpu_ids and num_processes of accelerate's configuration.

    Raises:
        ConfigError: One of them has a wrong value.
    """
    ids, count = content.get("gpu_ids"), content.get("num_processes")
    fix = 'Give e.g. gpu_ids: "0,1" (or all) and num_processes: 2.'
    if count is not None and (type(count) is not int or count < 1):
        raise ConfigError(f"{path}: num_processes: {count!r} is not a whole number above 0", fix)
    if ids is None or ids == "all":
        return Devices(None, count)
    words = [word.strip() for word in str(ids).split(",")]
    if not all(word.isdigit() for word in words):
        raise ConfigError(f"{path}: gpu_ids: {ids!r} is not a list of numbers", fix)
    return Devices(tuple(int(word) for word in words), count)


def launch_command(
    task: str,
    config: Path,
    gpu_config: Path,
    devices: Devices,
    gpus: int,
    num_processes: int | None,
    rest: Sequence[str],
) -> list[str]:
    """The argument list that starts the run.

    Args:
        task: One of TASKS.
        config: Its YAML.
        gpu_config: accelerate's YAML; on a machine without CUDA it is not used.
        devices: What gpu_config asks for.
        gpus: CUDA devices of this machine.
        num_processes: From the command line; None: of gpu_config, on a CPU 1.
        rest: Overrides.

    Raises:
        ConfigError: gpu_ids names a GPU that this machine does not have.
    """
    program = ["-m", "scripts.train", task, "--config", os.fspath(config), *rest]
    if not gpus:
        # Without a launcher in between, signals and exit codes are the run's own.
        several = ["--num_processes", str(num_processes)] if num_processes else []
        return [sys.executable, *program, *several]
    missing = [str(number) for number in devices.gpu_ids or () if number >= gpus]
    if missing:
        raise ConfigError(
            f"{gpu_config}: gpu_ids: this machine has no GPU {', '.join(missing)}; it has {gpus}",
            f"Use numbers from 0 to {gpus - 1}, or all.",
        )
    wanted = num_processes or devices.num_processes
    count = ["--num_processes", str(wanted)] if wanted else []
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--quiet", "--config_file", os.fspath(gpu_config)]
    return [*launcher, *count, *program]


def processes_not_started(environment: Mapping[str, str], launcher: Sequence[str]) -> int:
    """How many processes `accelerate launch --cpu --num_processes N` was to start, but did not; 1: none is missing.

    accelerate 1.15 starts one process on a CPU, whatever N, unless MPI starts the others; it only sets MASTER_ADDR.

    Args:
        environment: Of this process.
        launcher: Command line of the process that started this one.

    Raises:
        ConfigError: There is no telling how many.
    """
    several = "ACCELERATE_MIXED_PRECISION" in environment and "MASTER_ADDR" in environment
    on_cpu = environment.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true")
    ranked = {"WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"} & environment.keys()
    if not several or not on_cpu or ranked:
        return 1
    for word, value in zip(launcher, [*launcher[1:], ""], strict=True):
        name, _, given = word.partition("=")
        if name in ("--num_processes", "--num-processes") and (given or value).isdigit():
            return int(given or value)
    raise ConfigError(
        "accelerate started one process on the CPU, though several were asked for",
        "Start them with `sh train.sh <stage> --num_processes N`.",
    )
