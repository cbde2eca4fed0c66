"""Prepared avatars: `python -m scripts.realtime_inference --inference_config configs/inference/realtime.yaml`.

Without --avatar it makes the clips of the file. With it, that avatar speaks live what arrives at --audio, to --output:
`... | python -m scripts.realtime_inference --avatar presenter --audio - --audio_rate 24000 --output udp://localhost:5000`.

Exit code 0: everything is written; 1: something failed, the rest is written; 2: wrong usage. SIGINT and SIGTERM end a
stream cleanly, with what it wrote playable, and exit codes 130 and 143.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from musetalk import cli
from musetalk.avatar import manifest, preparation
from musetalk.avatar.avatar import Avatar
from musetalk.avatar.jobs import AvatarJob, Decision, avatar_folder, check_avatar, decide, plan_avatars
from musetalk.config import AvatarTask, bad_result_name, load_avatars, nearest
from musetalk.errors import MuseTalkError, UsageError
from musetalk.media.stream_output import OutputSettings, StreamOutput
from musetalk.media.stream_target import parse_target
from musetalk.pipeline.model import Model
from musetalk.pipeline.speaking import BLEND, GENERATE, WRITE
from musetalk.report import ProgressBars, peak_memory, stage_table
from musetalk.streaming.broadcast import broadcast
from musetalk.streaming.latency import IN_ALL
from musetalk.streaming.options import add_stream_arguments, advice, is_live, open_sound, stream_settings


def build_parser() -> argparse.ArgumentParser:
    """The flags of this command."""
    parser = cli.CommandParser(
        prog="python -m scripts.realtime_inference", description="Prepare avatars once, then let them speak."
    )
    parser.add_argument(
        "--inference_config", type=Path, default=Path("configs/inference/realtime.yaml"), help="file of avatars"
    )
    parser.add_argument("--result_dir", type=Path, default=Path("results"), help="default: results")
    parser.add_argument("--fps", type=cli.frame_rate, default=Fraction(25), help="rate of the avatars (default: 25)")
    parser.add_argument("--batch_size", type=cli.at_least(1), default=20, help="faces in one pass (default: 20)")
    parser.add_argument("--rebuild", action="store_true", help="prepare avatars again, whether they fit or not")
    parser.add_argument(
        "--skip_save_images", action="store_true", help="write no clips: generate and blend only, to measure that"
    )
    parser.add_argument("--output_vid_name", help="name of the clip, where there is one clip in all")
    parser.add_argument("--saved_coord", action="store_true", help="save the face boxes, to use them again")
    parser.add_argument("--use_saved_coord", action="store_true", help="use face boxes saved by an earlier run")
    add_stream_arguments(parser)
    cli.add_model_arguments(parser)
    cli.add_face_arguments(parser)
    cli.add_audio_arguments(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Do what the flags ask for; the exit code."""
    if options.avatar is None:
        if options.audio is not None or options.output is not None:
            raise UsageError("--audio and --output are for a live stream", "Name the avatar with --avatar.")
        return make_all(options)
    if options.audio is None or options.output is None:
        raise UsageError("--avatar needs --audio and --output", "Give both, such as --audio - --output stream.mp4.")
    return stream(options)


def stream(options: argparse.Namespace) -> int:
    """Check everything, load the model, prepare or open the avatar, and let it speak until the sound ends."""
    say = tell_stderr if parse_target(options.output, options.output_format).descriptor == 1 else cli.say
    task, configured = stream_task(options)
    (job,) = planned(options, [task])
    choice = cli.model_choice(options)
    decision = decide(job, choice, options.rebuild) if configured else Decision(False)
    info = check_avatar(job, decision, writes_clips=False)
    paced = is_live(options) if options.pace is None else options.pace
    output = StreamOutput(
        options.output,
        info.width,
        info.height,
        info.fps,
        settings=OutputSettings(container=options.output_format, live=paced),
        ffmpeg=choice.ffmpeg,
    )
    with open_sound(options, paced) as sound:
        for note in choice.notes:
            say(note)
        model = choice.load()
        if decision.prepare:
            prepare(model, job, decision, say)
        with Avatar.open(model, job.folder) as avatar:
            say(f"{job.name}: speaks {options.audio} to {output.target.name}")
            done = broadcast(avatar, sound, output, stream_settings(options), paced=paced)
    counts = done.statistics
    say(
        f"{counts.frames} frames, {counts.speech} of speech; for want of time {counts.repeated} faces were repeated "
        f"and {done.skipped} frames skipped"
    )
    if paced and (line := advice(counts, options.delay)):
        say(line)
    if paced and len(done.latency.parts[IN_ALL]):
        say(done.latency.table())
    say(f"peak memory {peak_memory()}")
    return 0


def tell_stderr(line: str) -> None:
    """One line for the user where standard output carries the stream."""
    print(line, file=sys.stderr, flush=True)


def stream_task(options: argparse.Namespace) -> tuple[AvatarTask, bool]:
    """The avatar of --avatar, and whether the file says how it is prepared; else it is one that lies there prepared.

    Raises:
        ConfigError: The file cannot be read, or the entry has wrong keys.
        UsageError: There is no such avatar.
    """
    name = options.avatar
    file = load_avatars(options.inference_config, options.overrides)
    if name in file.wrong:
        raise file.wrong[name]
    for task in file.tasks:
        if task.name == name:
            return replace(task, audio_clips={}), True
    folder = avatar_folder(options.result_dir, options.version, name)
    if bad_result_name(name) or not (folder / manifest.NAME).exists():
        raise UsageError(
            f"--avatar: there is no avatar {name} in {options.inference_config}, {nearest(name, file.names)}",
            f"Name one of the file, or one that is prepared in {folder.parent}.",
        )
    return AvatarTask(name, False, manifest.Manifest.read(folder).source), False


def planned(options: argparse.Namespace, tasks: Sequence[AvatarTask]) -> list[AvatarJob]:
    """The avatars with everything decided."""
    return plan_avatars(
        tasks,
        cli.dub_settings(options),
        options.result_dir,
        options.version,
        use_saved_coord=options.use_saved_coord,
        saved_coord=options.saved_coord,
    )


def make_all(options: argparse.Namespace) -> int:
    """Check everything, load the model once, prepare or open the avatars, make the clips, sum up."""
    file = load_avatars(options.inference_config, options.overrides)
    jobs = planned(options, named_clips(file.tasks, options.output_vid_name))
    failed: dict[str, MuseTalkError] = dict(file.wrong)
    for error in failed.values():
        cli.print_error(error)
    choice = cli.model_choice(options)
    ready: list[tuple[AvatarJob, Decision]] = []
    for job in jobs:
        try:
            decision = decide(job, choice, options.rebuild)
            check_avatar(job, decision, writes_clips=not options.skip_save_images)
        except MuseTalkError as error:
            failed[job.name] = error
            cli.print_error(error, job.name)
        else:
            ready.append((job, decision))
    if not ready:
        return cli.summary(file.names, failed)
    for note in choice.notes:
        cli.say(note)
    if not choice.spec.shifts_box and any(job.settings.bbox_shift for job, _ in ready):
        cli.say(f"bbox_shift is for v1 only: {choice.spec.name} works without it (published).")
    model = choice.load()
    for job, decision in ready:
        try:
            if decision.prepare:
                prepare(model, job, decision, cli.say)
            with Avatar.open(model, job.folder) as avatar:
                cli.say(f"{job.name}: avatar {job.folder}, {len(avatar.frames)} frames")
                failed |= make_clips(avatar, job, options.skip_save_images)
        except MuseTalkError as error:
            failed[job.name] = error
            cli.print_error(error, job.name)
    cli.say(f"peak memory {peak_memory()}")
    return cli.summary(file.names, failed)


def named_clips(tasks: Sequence[AvatarTask], name: str | None) -> Sequence[AvatarTask]:
    """The avatars with their clip under the name of --output_vid_name, where it is given.

    Raises:
        UsageError: It cannot be the name of a clip, or there is not exactly one clip.
    """
    if name is None:
        return tasks
    if reason := bad_result_name(name):
        raise UsageError(f"--output_vid_name: {reason}", "Give a plain file name such as result.mp4.")
    clips = [audio for task in tasks for audio in task.audio_clips.values()]
    if len(clips) != 1:
        raise UsageError(
            f"--output_vid_name names one clip, there are {len(clips)}",
            "Name the clips in the file, under audio_clips.",
        )
    clip = {name.removesuffix(".mp4"): clips[0]}
    return [replace(task, audio_clips=clip) if task.audio_clips else task for task in tasks]


def prepare(model: Model, job: AvatarJob, decision: Decision, say: Callable[[str], None]) -> None:
    """Prepare an avatar, with progress bars, and say what was done."""
    say(f"{job.name}: preparing {job.source} ({decision.why})")
    with ProgressBars(preparation.BARS) as bars:
        done = preparation.prepare(
            model,
            job.source,
            job.folder,
            job.settings,
            use_boxes=job.use_boxes,
            save_boxes=job.save_boxes,
            started=bars.start,
            advance=bars.advance,
        )
    if done.shift_range is not None:
        say(done.shift_range)
    if done.faces < done.frames:
        say(f"{done.frames - done.faces} of {done.frames} source frames have no face and pass through unchanged.")
    say(stage_table(done.stages, done.frames, done.seconds))


def make_clips(avatar: Avatar, job: AvatarJob, skip_saving: bool) -> dict[str, MuseTalkError]:
    """Make the clips of an avatar; one that fails does not keep the others from being made."""
    failed: dict[str, MuseTalkError] = {}
    for name, audio in job.clips.items():
        cli.say(f"{job.name}: speaks {audio}")
        output = None if skip_saving else job.clip(name)
        try:
            with ProgressBars((GENERATE, BLEND if skip_saving else WRITE)) as bars:
                done = avatar.speak(audio, output, job.settings, started=bars.start, advance=bars.advance)
        except MuseTalkError as error:
            cli.print_error(error, f"{job.name}: {name}")
            failed[job.name] = error
            continue
        cli.say(stage_table(done.stages, done.frames, done.seconds))
        if output is not None:
            cli.say(f"result: {output}")
    return failed


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; the exit code."""
    options = cli.parse_arguments(build_parser(), arguments)
    return cli.run_command(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
