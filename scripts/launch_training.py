"""Start a training run with the processes of gpu.yaml: `sh train.sh stage1` calls this."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from musetalk import cli
from musetalk.config import read_yaml
from musetalk.training.launch import DEFAULT_CONFIGS, TASKS, launch_command, read_devices


def build_parser() -> cli.CommandParser:
    """The flags of this command."""
    parser = cli.CommandParser(prog="sh train.sh", description="Train: on the GPUs of gpu.yaml, or on the CPU.")
    parser.add_argument("task", choices=TASKS, help="what to train")
    parser.add_argument("--config", type=Path, help="settings (default: configs/training/<task>.yaml)")
    parser.add_argument("--gpu_config", type=Path, default=Path("configs/training/gpu.yaml"), help="of accelerate")
    parser.add_argument("--num_processes", type=cli.at_least(1), help="in place of that of gpu.yaml; on a CPU: 1")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="changes to the settings")
    return parser


def run(arguments: Sequence[str] | None = None) -> int:
    """Build the launcher's command line and become it; the exit code of the run."""
    import torch

    options = build_parser().parse_intermixed_args(arguments)
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    fix = "Give accelerate's YAML file with --gpu_config, such as configs/training/gpu.yaml."
    devices = read_devices(read_yaml(options.gpu_config, fix), options.gpu_config)
    config = options.config or DEFAULT_CONFIGS[options.task]
    command = launch_command(
        options.task, config, options.gpu_config, devices, gpus, options.num_processes, options.overrides
    )
    if os.name == "posix":
        os.execv(command[0], command)  # signals then reach the run itself
    return subprocess.run(command, check=False).returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; the exit code."""
    return cli.run_command(lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
