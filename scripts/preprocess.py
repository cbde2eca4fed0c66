"""Make a training set of videos: `python -m scripts.preprocess --config configs/training/preprocess.yaml`.

A run that was stopped goes on where it was; what is finished is not done again, and a changed setting or video redoes
what depends on it. Exit code 0: done; 1: something could not be read, the rest is done; 2: wrong usage.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from musetalk import cli
from musetalk.errors import InputError
from musetalk.media.ffmpeg import find_ffmpeg
from musetalk.schema import read_settings
from musetalk.training.preprocess.run import choose_finder, choose_sync_check, preprocess
from musetalk.training.preprocess.settings import PreprocessConfig, check_paths
from musetalk.training.preprocess.summary import summary_lines


def build_parser() -> argparse.ArgumentParser:
    """The flags of this command."""
    parser = cli.CommandParser(prog="python -m scripts.preprocess", description="Make a training set of videos.")
    parser.add_argument("--config", type=Path, default=Path("configs/training/preprocess.yaml"), help="settings")
    parser.add_argument("--ffmpeg_path", help="an ffmpeg binary or its folder (default: found by itself)")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="changes to the settings")
    return parser


def run(options: argparse.Namespace) -> int:
    """Check everything, make the set, sum up."""
    config, warnings = read_settings(PreprocessConfig, options.config, options.overrides)
    for warning in warnings:
        cli.say(f"warning: {warning}")
    check_paths(config, options.config)
    finder, notes = choose_finder(config)
    for note in notes:
        cli.say(note)
    ffmpeg = find_ffmpeg(options.ffmpeg_path)
    sync_check = choose_sync_check(config)
    bar = Bar()
    try:
        summary = preprocess(
            config,
            finder,
            ffmpeg,
            sync_check=sync_check,
            report=lambda name, error: cli.print_error(error, name),
            advance=bar.advance,
        )
    finally:
        bar.close()
    for line in summary_lines(summary):
        cli.say(line)
    if summary.failed:
        print(f"{len(summary.failed)} could not be read: {', '.join(sorted(summary.failed))}", file=sys.stderr)
    if not summary.kept:
        raise InputError(
            f"{config.video_root_raw}: no clip was kept", "The lines above say why; change the settings or the videos."
        )
    return 1 if summary.failed else 0


class Bar:
    """One progress bar after the other on standard error; nothing where that is not a terminal."""

    def __init__(self) -> None:
        self._step = ""
        self._bar: Any = None

    def advance(self, step: str, done: int, total: int) -> None:
        """Show how many tasks of a step are done."""
        if not total:
            return
        if step != self._step:
            from tqdm import tqdm

            self.close()
            self._step, self._bar = step, tqdm(total=total, desc=step, disable=None)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; the exit code."""
    options = build_parser().parse_args(arguments)
    return cli.run_command(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
