"""Say where the time goes: `python -m scripts.benchmark --version mini`.

Times every stage and the whole pipeline on a real clip. Published versions without weights run with random ones.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from musetalk import cli
from musetalk.benchmark.comparison import comparison_report
from musetalk.benchmark.results import read_benchmark, write_benchmark
from musetalk.benchmark.session import Plan, run_benchmark
from musetalk.benchmark.table import report
from musetalk.media.writer import check_writable
from musetalk.models.device import DTYPES, choose_placement
from musetalk.models.versions import VERSIONS

DEMO = Path(__file__).parent.parent / "assets" / "demo"


def build_parser() -> argparse.ArgumentParser:
    """The flags of this command."""
    parser = cli.CommandParser(
        prog="python -m scripts.benchmark",
        description="Time every stage and the whole pipeline; published versions without weights run with random ones.",
    )
    parser.add_argument("--version", choices=tuple(VERSIONS), default="v15", help="whose networks (default: v15)")
    parser.add_argument("--models_dir", type=Path, default=Path("models"), help="folder of all weights")
    parser.add_argument("--video", type=Path, default=DEMO / "presenter.mp4", help="default: the demo's presenter")
    parser.add_argument("--audio", type=Path, default=DEMO / "speech.wav", help="default: the demo's speech")
    parser.add_argument("--frames", type=cli.at_least(1), default=24, help="frames of the clip (default: 24)")
    parser.add_argument("--dtype", nargs="+", choices=tuple(DTYPES), default=["float32", "bfloat16"])
    parser.add_argument("--batch_size", nargs="+", type=cli.at_least(1), default=[1, 4], help="default: 1 4")
    parser.add_argument(
        "--repeats", type=cli.at_least(1), default=5, help="runs of a stage, of which the median counts (default: 5)"
    )
    parser.add_argument(
        "--whole_repeats", type=cli.at_least(0), default=1, help="runs of the whole pipeline; 0: none (default: 1)"
    )
    parser.add_argument("--gpu_id", type=int, default=0, help="CUDA device; -1: the CPU")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers here")
    parser.add_argument(
        "--compare", nargs=2, type=Path, metavar=("A", "B"), help="measure nothing; compare two files of --json"
    )
    return parser


def run(options: argparse.Namespace) -> int:
    """Compare, or measure and report."""
    if options.compare:
        first, second = (read_benchmark(path) for path in options.compare)
        cli.say(comparison_report(first, second))
        return 0
    if options.json is not None:
        check_writable(options.json)
    placement = choose_placement(options.gpu_id)
    for note in placement.notes:
        cli.say(note)
    plan = Plan(
        options.version,
        options.models_dir,
        options.video,
        options.audio,
        options.frames,
        tuple(dict.fromkeys(options.dtype)),
        tuple(dict.fromkeys(options.batch_size)),
        placement.device,
        options.repeats,
        options.whole_repeats,
    )
    benchmark = run_benchmark(plan, cli.say)
    if options.json is not None:
        write_benchmark(options.json, benchmark)
    cli.say("\n" + report(benchmark))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; the exit code."""
    options = build_parser().parse_args(arguments)
    return cli.run_command(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
