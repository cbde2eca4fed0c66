"""One process of a training run: `sh train.sh stage1` or `accelerate launch -m scripts.train stage1 --config …`.

Exit code 0: trained to the end; 1: it could not go on; 2: wrong usage; 130, 143: stopped by Ctrl-C or SIGTERM, with a
checkpoint.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from musetalk import cli
from musetalk.training.launch import DEFAULT_CONFIGS, TASKS, cpu_command, processes_not_started
from musetalk.training.tasks import train


def build_parser() -> cli.CommandParser:
    """The flags of this command."""
    parser = cli.CommandParser(prog="python -m scripts.train", description="Train a network; one of the processes.")
    parser.add_argument("task", choices=TASKS, help="what to train (default: stage1)")
    parser.add_argument("--config", type=Path, help="settings (default: configs/training/<task>.yaml)")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="changes to the settings")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] not in TASKS:  # the published call names no task: its two stages differ in settings only
        words.insert(0, "stage1")
    options = build_parser().parse_intermixed_args(words)
    return cli.run_command(lambda: run(options, words))


def run(options: argparse.Namespace, words: Sequence[str]) -> int:
    """Train; the exit code."""
    import psutil

    parent = psutil.Process().parent()
    processes = processes_not_started(os.environ, parent.cmdline() if parent is not None else [])
    if processes > 1:
        return subprocess.run(cpu_command(processes, ["-m", "scripts.train", *words]), check=False).returncode
    return train(options.task, options.config or DEFAULT_CONFIGS[options.task], options.overrides)


if __name__ == "__main__":
    sys.exit(main())
