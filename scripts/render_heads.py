"""Render talking heads to train on: `python -m scripts.render_heads --head FaceXModel --out DIR --clips 100`.

Writes `<name>.mp4`, `.wav`, `.landmarks.npz` and `.truth.npz` of every clip, and with --twins N the same frames with N
other mouths (1 where N is left out). A run that was stopped goes on where it was. Exit code 0: done; 1: something
failed; 2: wrong usage.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from musetalk import cli
from musetalk.errors import DeviceError
from musetalk.media.ffmpeg import find_ffmpeg, require_encoders
from musetalk.media.writer import check_writable
from musetalk.synthetic.dataset import SPLITS, ClipMakerRecipe, ClipTask
from musetalk.synthetic.head_files import read_head_files
from musetalk.synthetic.motion import FRAME_RATE
from musetalk.synthetic.synthesizers import available_engines
from musetalk.training.preprocess.workers import Workers


def build_parser() -> argparse.ArgumentParser:
    """The flags of this command."""
    parser = cli.CommandParser(prog="python -m scripts.render_heads", description="Render talking heads to train on.")
    parser.add_argument("--head", type=Path, required=True, help="ICT-FaceKit: its FaceXModel folder or ict_light.npz")
    parser.add_argument("--out", type=Path, required=True, help="folder of the clips")
    parser.add_argument("--clips", type=cli.at_least(1), default=10, help="how many (default: 10)")
    parser.add_argument("--seconds", type=cli.at_least(1), default=8, help="length of a clip (default: 8)")
    parser.add_argument("--size", type=cli.at_least(64), default=512, help="pixels of a side, in fours (default: 512)")
    parser.add_argument("--seed", type=cli.at_least(0), default=0, help="other seeds give other clips (default: 0)")
    parser.add_argument("--first", type=cli.at_least(0), default=0, help="number of the first clip (default: 0)")
    parser.add_argument(
        "--split", choices=SPLITS, default=SPLITS[0], help="people, voices and sentences (default: train)"
    )
    parser.add_argument(
        "--twins", nargs="?", type=cli.at_least(0), const=1, default=0, help="also the same frames with N other mouths"
    )
    parser.add_argument("--workers", type=cli.at_least(1), default=1, help="processes (default: 1)")
    parser.add_argument("--ffmpeg_path", help="an ffmpeg binary or its folder (default: found by itself)")
    return parser


def run(options: argparse.Namespace) -> int:
    """Check everything, render what is missing, sum up."""
    ffmpeg = find_ffmpeg(options.ffmpeg_path)
    require_encoders(ffmpeg, "libx264", "aac")
    if not available_engines():
        raise DeviceError("No speech synthesizer is installed", "Install one: `apt-get install flite espeak-ng`.")
    size = -(-options.size // 4) * 4
    numbers = range(options.first, options.first + options.clips)
    frames = options.seconds * FRAME_RATE
    tasks = [
        ClipTask(options.out, number, options.seed, options.split, frames, size, options.twins) for number in numbers
    ]
    files = read_head_files(options.head)
    check_writable(options.out / "clip.mp4")
    waiting = [task for task in tasks if not task.is_done()]
    if len(waiting) < len(tasks):
        cli.say(f"{len(tasks) - len(waiting)} of {len(tasks)} clips are there already")
    drawn, failed, start = 0, 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        head = Path(folder) / "head.npz"
        files.pack(head)  # one quick file for every process
        with Workers(ClipMakerRecipe(head, size, ffmpeg), min(options.workers, max(1, len(waiting)))) as workers:
            for number, done in enumerate(workers.run(waiting), 1):
                if done.error is not None:
                    cli.print_error(done.error, done.task.name)
                    failed += 1
                    continue
                drawn += done.result
                rate = drawn / (time.monotonic() - start)
                cli.say(f"{number}/{len(waiting)} {done.task.name}: {done.result} frames, {rate:.1f} fps")
    if drawn:
        seconds = time.monotonic() - start
        cli.say(f"{drawn} frames of {size}×{size} in {seconds:.0f} s: {drawn / seconds:.1f} fps")
    return 1 if failed else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; the exit code."""
    options = build_parser().parse_args(arguments)
    return cli.run_command(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
