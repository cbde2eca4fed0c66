"""Score a model on rendered heads: `python -m scripts.score_heads --heads DIR --out DIR --version mini`.

DIR holds clips of scripts.render_heads --twins that the model was not trained on. Every twin is dubbed with its clip's
sound and compared with the clip. Writes the videos, summary.json, summary.md and report.html. Exit code 0: done; 1:
something failed, the other clips are scored; 2: wrong usage.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from musetalk import cli
from musetalk.errors import InputError, MuseTalkError
from musetalk.evaluation.collect import Collector
from musetalk.evaluation.html_report import report
from musetalk.evaluation.rendered import SYSTEMS, ClipScores, clip_values, find_clips, markdown, summarize
from musetalk.evaluation.score import Score, rank, score
from musetalk.face.augmented_finder import AugmentedFinder
from musetalk.face.mediapipe_finder import MediaPipeFinder
from musetalk.media.writer import check_writable
from musetalk.pipeline.dubbing import Dubber
from musetalk.training.files import write_whole


def build_parser() -> argparse.ArgumentParser:
    """The flags of this command."""
    parser = cli.CommandParser(
        prog="python -m scripts.score_heads", description="Score a model on rendered heads whose mouths are known."
    )
    parser.add_argument("--heads", type=Path, required=True, help="folder of clips from scripts.render_heads --twins")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--batch_size", type=cli.at_least(1), default=8, help="faces in one pass (default: 8)")
    cli.add_model_arguments(parser)
    cli.add_face_arguments(parser)
    cli.add_audio_arguments(parser)
    parser.set_defaults(fps=None)
    return parser


def run(options: argparse.Namespace) -> int:
    """Dub every twin, score all, write and sum up."""
    clips = find_clips(options.heads)
    check_writable(options.out / "summary.json")
    dubber = Dubber(cli.model_choice(options).load())
    settings = cli.dub_settings(options)
    found: list[ClipScores] = []
    scores: list[Score] = []
    failed: dict[str, MuseTalkError] = {}
    with MediaPipeFinder(confirm=False) as finder:  # that there is a face is known
        collector = Collector(AugmentedFinder(finder), options.models_dir)
        for number, clip in enumerate(clips, 1):
            try:
                made = dubber.dub(clip.source, clip.sound, options.out / f"{clip.name}.mp4", settings)
                videos = zip(SYSTEMS, (made.path, clip.video, clip.source), strict=True)
                seen = {system: collector.collect(clip.entry(video)) for system, video in videos}
            except InputError as error:
                cli.print_error(error, clip.name)
                failed[clip.name] = error
                continue
            values = {system: clip_values(clip, evidence) for system, evidence in seen.items()}
            scores.append(score(seen["model"]))
            found.append(ClipScores(clip, values))
            heard = values["model"].get("gap_r")
            cli.say(f"{number}/{len(clips)} {clip.name}: {clip.kind}" + ("" if heard is None else f", r {heard:.2f}"))
    rows = summarize(found)
    numbers = {
        "summary": [asdict(row) for row in rows],
        "clips": {one.clip.name: {"kind": one.clip.kind, **one.values} for one in found},
    }
    files = {
        "summary.json": json.dumps(numbers, indent=1),
        "summary.md": markdown(rows) + "\n",
        "report.html": report(scores, rank(scores), failed),
    }
    for name, content in files.items():
        write_whole(options.out / name, content.encode())
    cli.say("\n" + files["summary.md"])
    cli.say(f"written: {', '.join(str(options.out / name) for name in files)}")
    return cli.summary([clip.name for clip in clips], failed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; the exit code."""
    options = build_parser().parse_args(arguments)
    return cli.run_command(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
