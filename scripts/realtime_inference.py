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
from musetalk.media.pcm import STANDARD_INPUT, open_pcm
from musetalk.media.pcm_format import ENCODINGS, PcmFormat
from musetalk.media.stream_output import OutputSettings, StreamOutput
from musetalk.media.stream_target import parse_target
from musetalk.pipeline.model import Model
from musetalk.pipeline.speaking import BLEND, GENERATE, WRITE
from musetalk.report import ProgressBars, peak_memory, stage_table
from musetalk.streaming.broadcast import broadcast
from musetalk.streaming.engine import DEFAULT_DELAY, StreamSettings
from musetalk.streaming.latency import IN_ALL


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


def add_stream_arguments(parser: argparse.ArgumentParser) -> None:
    """What is spoken live, where it goes, and how fast."""
    group = parser.add_argument_group(
        "live stream", "With --avatar: one avatar of the file speaks what arrives, and rests while nothing does."
    )
    group.add_argument("--avatar", metavar="NAME", help="the avatar of the file, or a prepared one, that speaks live")
    group.add_argument(
        "--audio",
        metavar="-|PIPE|FILE",
        help="what it says: raw sound or WAV from standard input (-) or a named pipe, or a file with sound",
    )
    group.add_argument("--audio_rate", type=cli.at_least(1), default=16000, help="of raw sound, in Hz (default: 16000)")
    group.add_argument(
        "--audio_format", choices=tuple(ENCODINGS), default="s16le", help="of raw sound (default: s16le)"
    )
    group.add_argument("--audio_channels", type=cli.at_least(1), default=1, help="of raw sound (default: 1)")
    group.add_argument(
        "--output",
        metavar="TARGET",
        help="where the stream goes: a file that can be watched while it grows (.mp4 .mkv .ts .flv), a playlist "
        "(.m3u8), - or pipe:N, or a URL (rtmp srt udp tcp rtp rtsp ...)",
    )
    group.add_argument("--output_format", help="container, where the target's name does not tell it")
    group.add_argument(
        "--pace",
        action=argparse.BooleanOptionalAction,
        help="in real time (default: yes, but for a file spoken into a file: as fast as it goes)",
    )
    group.add_argument(
        "--delay",
        type=seconds,
        default=DEFAULT_DELAY,
        help=f"seconds from the sound to its frame, beyond the look-ahead (default: {float(DEFAULT_DELAY)})",
    )
    group.add_argument(
        "--blend_frames",
        type=cli.at_least(0),
        default=StreamSettings.blend_frames,
        help=f"frames over which speech begins and ends (default: {StreamSettings.blend_frames})",
    )


def seconds(text: str) -> Fraction:
    """A duration from the command line."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds") from None
    if not 0 <= value <= 10:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 10 seconds")
    return value


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
    task = stream_task(options)
    choice = cli.model_choice(options)
    settings = cli.dub_settings(options)
    (job,) = plan_avatars(
        [task],
        settings,
        options.result_dir,
        options.version,
        use_saved_coord=options.use_saved_coord,
        saved_coord=options.saved_coord,
    )
    decision = decide(job, choice, options.rebuild)
    info = check_avatar(job, decision, writes_clips=False)
    sound_format = PcmFormat(options.audio_rate, options.audio_format, options.audio_channels)
    paced = is_live(options) if options.pace is None else options.pace
    output = StreamOutput(
        options.output,
        info.width,
        info.height,
        info.fps,
        settings=OutputSettings(container=options.output_format, live=paced),
        ffmpeg=choice.ffmpeg,
    )
    with open_pcm(options.audio, sound_format, paced=paced and not is_pipe(options.audio)) as sound:
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
    if paced and len(done.latency.parts[IN_ALL]):
        say(done.latency.table())
    say(f"peak memory {peak_memory()}")
    return 0


def tell_stderr(line: str) -> None:
    """One line for the user where standard output carries the stream."""
    print(line, file=sys.stderr, flush=True)


def stream_task(options: argparse.Namespace) -> AvatarTask:
    """The avatar of --avatar: an entry of the file, or else one that is prepared.

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
            return replace(task, audio_clips={})
    folder = avatar_folder(options.result_dir, options.version, name)
    if bad_result_name(name) or not (folder / manifest.NAME).exists():
        raise UsageError(
            f"--avatar: there is no avatar {name} in {options.inference_config}, {nearest(name, file.names)}",
            f"Name one of the file, or one that is prepared in {folder.parent}.",
        )
    return AvatarTask(name, False, manifest.Manifest.read(folder).source)


def stream_settings(options: argparse.Namespace) -> StreamSettings:
    """The settings of the stream."""
    return StreamSettings(
        delay=options.delay,
        blend_frames=options.blend_frames,
        batch_size=options.batch_size,
        audio_padding_left=options.audio_padding_length_left,
        audio_padding_right=options.audio_padding_length_right,
    )


def is_pipe(audio: str) -> bool:
    """Whether sound comes from standard input or a named pipe, at its own pace."""
    return audio == STANDARD_INPUT or Path(audio).is_fifo()


def is_live(options: argparse.Namespace) -> bool:
    """Whether somebody listens or talks while the stream is made."""
    target = parse_target(options.output, options.output_format)
    return is_pipe(options.audio) or target.path is None


def make_all(options: argparse.Namespace) -> int:
    """Check everything, load the model once, prepare or open the avatars, make the clips, sum up."""
    file = load_avatars(options.inference_config, options.overrides)
    jobs = plan_avatars(
        named_clips(file.tasks, options.output_vid_name),
        cli.dub_settings(options),
        options.result_dir,
        options.version,
        use_saved_coord=options.use_saved_coord,
        saved_coord=options.saved_coord,
    )
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
    bars = ProgressBars(preparation.BARS)
    try:
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
    finally:
        bars.close()
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
        bars = ProgressBars((GENERATE, BLEND if skip_saving else WRITE))
        try:
            done = avatar.speak(audio, output, job.settings, started=bars.start, advance=bars.advance)
        except MuseTalkError as error:
            cli.print_error(error, f"{job.name}: {name}")
            failed[job.name] = error
            continue
        finally:
            bars.close()
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
