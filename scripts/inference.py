"""Dub videos: `python -m scripts.inference --inference_config configs/inference/test.yaml --version v15`.

Exit code 0: all results are written; 1: something failed, the others are written; 2: wrong usage.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from musetalk import cli
from musetalk.config import bad_result_name, load_tasks
from musetalk.errors import MuseTalkError, UsageError
from musetalk.pipeline.dubbing import BARS, Dubber, DubResult
from musetalk.pipeline.jobs import Job, JobOptions, colliding_jobs, failing_checks, plan_jobs
from musetalk.report import ProgressBars, peak_memory, stage_table


def build_parser() -> argparse.ArgumentParser:
    """The flags of this command."""
    parser = cli.CommandParser(
        prog="python -m scripts.inference", description="Let the faces of videos speak: lip-synced dubbing."
    )
    parser.add_argument("--inference_config", type=Path, default=Path("configs/inference/test.yaml"), help="task file")
    parser.add_argument("--result_dir", type=Path, default=Path("results"), help="default: results")
    parser.add_argument("--output_vid_name", help="name of the result, where the task has no result_name")
    parser.add_argument(
        "--fps", type=cli.frame_rate, help="rate of the result; default: the video's own, 25 for images and folders"
    )
    parser.add_argument("--batch_size", type=cli.at_least(1), default=8, help="faces in one pass (default: 8)")
    parser.add_argument("--saved_coord", action="store_true", help="save the face boxes, to use them again")
    parser.add_argument("--use_saved_coord", action="store_true", help="use face boxes saved by an earlier run")
    parser.add_argument("--frames_dir", type=Path, help="also write the frames as PNG files to this folder")
    cli.add_model_arguments(parser)
    cli.add_face_arguments(parser)
    cli.add_audio_arguments(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Check everything, load the model once, do the tasks, sum up."""
    if options.output_vid_name is not None and (reason := bad_result_name(options.output_vid_name)):
        raise UsageError(f"--output_vid_name: {reason}", "Give a plain file name such as result.mp4.")
    file = load_tasks(options.inference_config, options.overrides)
    jobs = plan_jobs(
        file.tasks,
        cli.dub_settings(options),
        JobOptions(
            options.result_dir,
            options.version,
            options.output_vid_name,
            options.use_saved_coord,
            options.saved_coord,
            options.frames_dir,
        ),
    )
    failed: dict[str, MuseTalkError] = {**file.wrong, **colliding_jobs(jobs)}
    for error in dict.fromkeys(failed.values()):  # tasks that collide share one
        cli.print_error(error)
    choice = cli.model_choice(options)
    jobs = [job for job in jobs if job.name not in failed]
    failed |= failing_checks(jobs, lambda job, error: cli.print_error(error, job.name))
    ready = [job for job in jobs if job.name not in failed]
    if not ready:
        return cli.summary(file.names, failed)

    spec = choice.spec
    for note in choice.notes:
        cli.say(note)
    if not spec.shifts_box and any(job.settings.bbox_shift for job in ready):
        cli.say(f"bbox_shift is for v1 only: {spec.name} works without it (published).")
    if spec.shifts_box and any(job.settings.bbox_shift and job.use_boxes for job in ready):
        cli.say("Saved boxes are used as they are: bbox_shift is in them already.")
    dubber = Dubber(choice.load())
    for job in ready:
        try:
            report(job, dub(dubber, job))
        except MuseTalkError as error:
            failed[job.name] = error
            cli.print_error(error, job.name)
    return cli.summary(file.names, failed)


def dub(dubber: Dubber, job: Job) -> DubResult:
    """Do one job, with progress bars."""
    cli.say(f"{job.name}: {job.video} speaks {job.audio}")
    with ProgressBars(BARS) as bars:
        return dubber.dub(
            job.video,
            job.audio,
            job.output,
            job.settings,
            use_boxes=job.use_boxes,
            save_boxes=job.save_boxes,
            frames_dir=job.frames_dir,
            started=bars.start,
            advance=bars.advance,
        )


def report(job: Job, result: DubResult) -> None:
    """What was made of a job."""
    if result.shift_range is not None:
        cli.say(result.shift_range)
    found, looked_at = result.faces
    if found < looked_at:
        cli.say(f"{looked_at - found} of {looked_at} source frames have no face and pass through unchanged.")
    if job.save_boxes is not None:
        cli.say(f"boxes: {job.save_boxes}")
    cli.say(stage_table(result.stages, result.frames, result.seconds))
    cli.say(f"  peak memory {peak_memory()}")
    cli.say(f"result: {result.path}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; the exit code."""
    options = cli.parse_arguments(build_parser(), arguments)
    return cli.run_command(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
