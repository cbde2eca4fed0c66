"""One process of a training run: `sh train.sh stage1` or `accelerate launch -m scripts.train stage1 --config …`.

Exit code 0: trained to the end; 1: it could not go on; 2: wrong usage; 130, 143: stopped by Ctrl-C or SIGTERM, with a
checkpoint.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from musetalk import cli
from musetalk.training.launch import DEFAULT_CONFIGS, TASKS, processes_not_started
from musetalk.training.processes import end_with_parent, run_processes
from musetalk.training.tasks import train


def build_parser() -> cli.CommandParser:
    """The flags of this command."""
    parser = cli.CommandParser(prog="python -m scripts.train", description="Train a network; one of the processes.")
    parser.add_argument("task", choices=TASKS, help="what to train (default: stage1)")
    parser.add_argument("--config", type=Path, help="settings (default: configs/training/<task>.yaml)")
    parser.add_argument("--num_processes", type=cli.at_least(1), help="on a CPU: how many to start (default: 1)")
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
    missing = processes_not_started(os.environ, parent.cmdline() if parent is not None else [])
    if missing > 1 and sys.platform == "linux":
        end_with_parent()  # accelerate's launcher ends at SIGTERM without a word to us
    processes = max(missing, options.num_processes or 1)
    if processes > 1 and "RANK" not in os.environ:
        return run_processes(processes, ["-m", "scripts.train", *words])
    return train(options.task, options.config or DEFAULT_CONFIGS[options.task], options.overrides)


if __name__ == "__main__":
    sys.exit(main())
