"""Time live streams: `python -m scripts.benchmark_realtime --version mini --seconds 30 --streams 1 4`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from musetalk import cli
from musetalk.avatar.avatar import Avatar
from musetalk.media.audio_file import read_audio
from musetalk.media.stream_output import OutputSettings, StreamOutput
from musetalk.report import peak_memory
from musetalk.streaming.latency import PERCENTILES
from musetalk.streaming.measuring import measure_latency, measure_throughput
from musetalk.streaming.settings import DEFAULT_DELAY, StreamSettings


def build_parser() -> argparse.ArgumentParser:
    """The flags of this command."""
    parser = cli.CommandParser(prog="python -m scripts.benchmark_realtime", description="Time live streams.")
    parser.add_argument("--source", type=Path, default=Path("assets/demo/presenter.mp4"), help="the avatar's video")
    parser.add_argument("--audio", type=Path, default=Path("assets/demo/speech.wav"), help="what it says")
    parser.add_argument("--seconds", type=float, default=30, help="how long each stream speaks (default: 30)")
    parser.add_argument("--chunk", type=float, default=0.04, help="seconds of sound that come at once (default: 0.04)")
    parser.add_argument("--streams", nargs="*", type=cli.at_least(1), default=[1, 4], help="how many at once, to count")
    parser.add_argument("--batch_size", type=cli.at_least(1), default=8, help="faces in one pass of one stream")
    parser.add_argument("--delay", type=Fraction, default=DEFAULT_DELAY, help=f"default: {float(DEFAULT_DELAY)}")
    parser.add_argument("--fps", type=cli.frame_rate, default=Fraction(25), help="default: 25")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    cli.add_model_arguments(parser)
    cli.add_face_arguments(parser)
    cli.add_audio_arguments(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Prepare an avatar, measure, print."""
    samples = read_audio(options.audio)
    model = cli.model_choice(options).load()
    settings = StreamSettings(delay=options.delay, batch_size=options.batch_size)
    numbers: dict[str, object] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        Avatar.prepare(model, options.source, Path(folder) / "avatar", cli.dub_settings(options)) as avatar,
    ):
        info = avatar.frames.info
        output = StreamOutput(
            Path(folder) / "stream.mp4", info.width, info.height, info.fps, settings=OutputSettings(live=True)
        )
        done = measure_latency(avatar, samples, options.seconds, output, settings, options.chunk)
        counts = done.statistics
        cli.say(
            f"{info.width}x{info.height} at {float(info.fps):g} fps, {options.seconds:g} s in real time: "
            f"{counts.frames} frames, {counts.speech} of speech, {counts.repeated} faces repeated, "
            f"{output.skipped} frames skipped"
        )
        cli.say(done.latency.table())
        numbers["latency"] = {
            name: {f"p{p}": part.percentile(p) for p in PERCENTILES} for name, part in done.latency.parts.items()
        }
        numbers["counts"] = vars(counts)
        for streams in options.streams:
            made = measure_throughput(avatar, samples, streams, options.seconds, settings)
            ends = ", ".join(f"{end:.1f}" for end in sorted(made.seconds))
            cli.say(
                f"{streams} at once, not in real time: {made.fps:.1f} fps in all, "
                f"{made.faces_per_pass:.1f} faces a pass; done after {ends} s"
            )
            numbers[f"streams_{streams}"] = {"fps": made.fps, "seconds": made.seconds}
    cli.say(f"peak memory {peak_memory()}")
    if options.json:
        options.json.write_text(json.dumps(numbers, indent=2) + "\n")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; the exit code."""
    options = build_parser().parse_args(arguments)
    return cli.run_command(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
