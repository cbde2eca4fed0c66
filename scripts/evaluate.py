"""Score lip-synced videos: `python -m scripts.evaluate --generated G.mp4 --source S.mp4 --audio A.wav --out scores`.

Exit code 0: everything was scored; 1: something failed, the others are scored; 2: wrong usage.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from musetalk import cli
from musetalk.errors import MuseTalkError, UsageError
from musetalk.evaluation.collect import BARS, Collector, check_entry
from musetalk.evaluation.entries import COLUMNS, EntryFile, load_entries
from musetalk.evaluation.evidence import Entry
from musetalk.evaluation.fair import Encoder
from musetalk.evaluation.html_report import report
from musetalk.evaluation.score import Score, rank, score
from musetalk.evaluation.tables import ranking_table, text_table, to_csv, to_json
from musetalk.face.mediapipe_finder import MediaPipeFinder
from musetalk.media.ffmpeg import find_ffmpeg
from musetalk.media.writer import check_writable
from musetalk.models.device import choose_placement
from musetalk.report import ProgressBars
from musetalk.training.files import write_whole


def build_parser() -> argparse.ArgumentParser:
    """The flags of this command."""
    parser = cli.CommandParser(prog="python -m scripts.evaluate", description="Score lip-synced videos.")
    group = parser.add_argument_group("one video")
    group.add_argument("--generated", type=Path, metavar="VIDEO", help="video to score")
    group.add_argument("--source", type=Path, metavar="VIDEO", help="the video that it was made from")
    group.add_argument("--reference", type=Path, metavar="VIDEO", help="the truth: the same speech, filmed")
    group.add_argument("--audio", type=Path, help="the speech (default: the generated video's own sound)")
    group.add_argument("--other_audio", type=Path, metavar="AUDIO", help="another speech, as a control")
    parser.add_argument("--config", type=Path, metavar="FILE", help="many videos: YAML or CSV with these keys")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write scores.json, scores.csv and report.html here")
    parser.add_argument(
        "--fair", action="store_true", help="encode all pictures alike first: H.264 of one quality at 25 fps"
    )
    parser.add_argument(
        "--models_dir", type=Path, default=Path("models"), help="folder of all weights (default: models)"
    )
    parser.add_argument("--gpu_id", type=int, default=0, help="CUDA device; -1: the CPU (default: 0)")
    parser.add_argument("--ffmpeg_path", help="--fair: an ffmpeg binary or its folder (default: found by itself)")
    return parser


def entries_of(options: argparse.Namespace) -> EntryFile:
    """What is to be scored.

    Raises:
        UsageError: Neither or both ways of saying it were used.
        ConfigError: The file of entries cannot be used.
    """
    given = {key: getattr(options, key) for key in COLUMNS}
    if options.config is not None:
        if any(given.values()):
            raise UsageError("--config and flags for one video were given", "Name the videos in the file, or as flags.")
        return load_entries(options.config)
    if given["generated"] is None:
        raise UsageError("nothing to score was named", "Give --generated VIDEO, or many videos with --config FILE.")
    entry = Entry(given["generated"].stem or str(given["generated"]), **given)
    return EntryFile([entry.name], [entry], {})


def run(options: argparse.Namespace) -> int:
    """Check everything, score the entries, write and sum up."""
    file = entries_of(options)
    failed: dict[str, MuseTalkError] = dict(file.wrong)
    for error in file.wrong.values():
        cli.print_error(error)
    ready: list[tuple[Entry, int]] = []
    for entry in file.entries:
        try:
            ready.append((entry, check_entry(entry)))
        except MuseTalkError as error:
            failed[entry.name] = error
            cli.print_error(error, entry.name)
    if options.out is not None:
        check_writable(options.out / "scores.json")
    scores: list[Score] = []
    device = str(choose_placement(options.gpu_id).device)
    with ExitStack() as stack:
        encoder = None
        if options.fair and ready:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="musetalk-fair-"))
            encoder = Encoder(Path(folder), find_ffmpeg(options.ffmpeg_path))
        collector = Collector(stack.enter_context(MediaPipeFinder()), options.models_dir, device)
        for entry, frames in ready:
            try:
                scores.append(score_one(entry, frames, collector, encoder))
            except MuseTalkError as error:
                failed[entry.name] = error
                cli.print_error(error, entry.name)
    if scores:
        show(scores, failed, options.out)
    return summary(file.names, failed)


def score_one(entry: Entry, frames: int, collector: Collector, encoder: Encoder | None) -> Score:
    """Score one entry, with progress bars."""
    cli.say(f"{entry.name}: {entry.generated}")
    with ProgressBars(BARS if encoder is None else ("encode", *BARS)) as bars:
        bars.start(frames)
        collector.advance = bars.advance
        if encoder is None:
            return score(collector.collect(entry))
        encoder.advance = lambda: bars.advance("encode")
        evidence = collector.collect(encoder.entry(entry))
        evidence.remarks.append(encoder.note)
        return replace(score(evidence), entry=entry)


def show(scores: Sequence[Score], failed: Mapping[str, MuseTalkError], out: Path | None) -> None:
    """The tables on screen, and the files."""
    ranking = rank(scores)
    cli.say(text_table(scores))
    if table := ranking_table(ranking):
        cli.say("\n" + table)
    if out is not None:
        files = {
            "scores.json": to_json(scores, ranking, failed),
            "scores.csv": to_csv(scores),
            "report.html": report(scores, ranking, failed),
        }
        for name, content in files.items():
            write_whole(out / name, content.encode())
            cli.say(f"written: {out / name}")


def summary(names: Sequence[str], failed: Mapping[str, MuseTalkError]) -> int:
    """Say which entries failed, where some did; the exit code."""
    if not failed:
        return 0
    wrong = ", ".join(name for name in names if name in failed)
    print(f"{len(failed)} of {len(names)} entries failed: {wrong}", file=sys.stderr)
    return 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; the exit code."""
    options = build_parser().parse_args(arguments)
    return cli.run_command(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
