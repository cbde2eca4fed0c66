"""What the commands share: flags, the way from an error to an exit code, and a clean end on signals."""

from __future__ import annotations

import argparse
import io
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from types import FrameType
from typing import NoReturn

from musetalk.audio.windows import DEFAULT_PADDING
from musetalk.errors import MuseTalkError, UsageError
from musetalk.face.boxes import SMOOTHING_RADIUS
from musetalk.face.masks import DEFAULT_CHEEK_WIDTH, PARSING_MODES
from musetalk.models.device import DTYPES, choose_placement
from musetalk.models.versions import VERSIONS, find_version, network_paths
from musetalk.pipeline.backends import FINDERS, PARSERS, choose_backends
from musetalk.pipeline.model import ModelChoice
from musetalk.pipeline.settings import DubSettings

EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
EXIT_TERMINATED = 143  # 128 + SIGTERM


class Terminated(KeyboardInterrupt):
    """SIGTERM: unwinds like Ctrl-C, so that everything is cleaned up in the same places."""


class CommandParser(argparse.ArgumentParser):
    """Tells wrong usage as all errors are told: what, and how to fix it, in place of the whole list of flags."""

    def error(self, message: str) -> NoReturn:
        self.exit(UsageError.exit_code, f"error: {message}\n  fix: `{self.prog} --help` shows the usage.\n")


def run_command(command: Callable[[], int]) -> int:
    """Run a command and give its exit code; expected errors become two lines on standard error, without a traceback."""
    _listen_to_sigterm()
    for stream in (sys.stdout, sys.stderr):
        # A path that the terminal cannot show must not end the program.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        return command()
    except MuseTalkError as error:
        print_error(error)
        return error.exit_code
    except Terminated:
        print("terminated", file=sys.stderr)
        return EXIT_TERMINATED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def print_error(error: MuseTalkError, of: str | None = None) -> None:
    """One line of what, one of how to fix it, on standard error."""
    where = f"{of}: " if of else ""
    print(f"error: {where}{error.what}\n  fix: {error.fix}", file=sys.stderr, flush=True)


def summary(tasks: Sequence[str], failed: Mapping[str, MuseTalkError]) -> int:
    """Say which tasks failed, where some did; the exit code."""
    if not failed:
        return 0
    names = ", ".join(task for task in tasks if task in failed)
    print(f"{len(failed)} of {len(tasks)} tasks failed: {names}", file=sys.stderr)
    return 1


def say(line: str) -> None:
    """One line for the user, at once."""
    print(line, flush=True)


def _listen_to_sigterm() -> None:
    def terminate(number: int, frame: FrameType | None) -> None:
        # A second signal must not interrupt the cleaning up.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)


def frame_rate(text: str) -> Fraction:
    """A frame rate from the command line: 25, 29.97, 30000/1001."""
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a frame rate such as 25, 29.97 or 30000/1001") from None
    if not 0 < rate <= 1000:
        raise argparse.ArgumentTypeError(f"{text} is not a frame rate between 0 and 1000")
    return rate


def at_least(lowest: int) -> Callable[[str], int]:
    """The argparse type of whole numbers from a lowest one on."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if value < lowest:
            raise argparse.ArgumentTypeError(f"{text} is below {lowest}")
        return value

    return parse


def share(text: str) -> float:
    """The argparse type of a part of something: above 0, up to 1."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and up to 1")
    return value


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Which networks run, and where."""
    group = parser.add_argument_group("model")
    group.add_argument("--version", choices=tuple(VERSIONS), default="v15", help="model version (default: v15)")
    group.add_argument("--models_dir", default="models", help="folder of all weights (default: models)")
    group.add_argument("--unet_config", help="the UNet's musetalk.json (default: that of --version)")
    group.add_argument("--unet_model_path", help="the UNet's weights (default: those of --version)")
    group.add_argument("--vae_type", help="the VAE's folder under --models_dir (default: that of --version)")
    group.add_argument("--refiner", help="folder of the refiner, or none (default: that of --version)")
    group.add_argument("--whisper_dir", help="folder of the audio encoder (default: that of --version)")
    group.add_argument("--gpu_id", type=int, default=0, help="CUDA device; -1: the CPU (default: 0)")
    group.add_argument(
        "--dtype",
        choices=("auto", *DTYPES),
        default="auto",
        help="numbers of UNet and VAE; auto: float16 on CUDA, bfloat16 on CPUs that have it (default: auto)",
    )
    group.add_argument("--use_float16", action="store_true", help="the published way to ask for float16")
    group.add_argument("--ffmpeg_path", help="an ffmpeg binary or its folder (default: found by itself)")


def add_face_arguments(parser: argparse.ArgumentParser) -> None:
    """How faces are found and put back."""
    group = parser.add_argument_group("face")
    group.add_argument(
        "--bbox_shift", type=int, default=0, help="v1: move the box's centre down by pixels (default: 0)"
    )
    group.add_argument(
        "--extra_margin",
        type=at_least(0),
        default=10,
        help="v15, mini: lower the box's chin edge by pixels (default: 10)",
    )
    group.add_argument(
        "--parsing_mode", choices=PARSING_MODES, help="mask: raw, jaw or neck (default: jaw; raw for v1, as published)"
    )
    group.add_argument("--left_cheek_width", type=at_least(0), default=DEFAULT_CHEEK_WIDTH, help="of jaw (default: 90)")
    group.add_argument(
        "--right_cheek_width", type=at_least(0), default=DEFAULT_CHEEK_WIDTH, help="of jaw (default: 90)"
    )
    group.add_argument("--face_finder", choices=("auto", *FINDERS), default="auto", help="default: auto")
    group.add_argument("--parser", choices=("auto", *PARSERS), default="auto", help="default: auto")
    group.add_argument(
        "--smooth_boxes",
        nargs="?",
        type=at_least(0),
        const=SMOOTHING_RADIUS,
        default=SMOOTHING_RADIUS,
        metavar="FRAMES",
        help=f"frames to each side that boxes are smoothed over; 0: the published boxes (default: {SMOOTHING_RADIUS})",
    )
    group.add_argument(
        "--no-smooth_boxes",
        "--no_smooth_boxes",
        dest="smooth_boxes",
        action="store_const",
        const=0,
        help="the same as 0",
    )


def model_choice(options: argparse.Namespace) -> ModelChoice:
    """The model that the flags of `add_model_arguments` and `add_face_arguments` ask for; nothing is loaded yet.

    Raises:
        WeightsError: Files are missing; all are named.
        DeviceError: There is no ffmpeg, or not the device asked for.
    """
    return ModelChoice.of(
        options.version,
        options.models_dir,
        paths=network_paths(
            options.version,
            options.models_dir,
            unet_config=options.unet_config,
            unet_weights=options.unet_model_path,
            vae_type=options.vae_type,
            audio_encoder=options.whisper_dir,
            refiner=options.refiner,
        ),
        placement=choose_placement(options.gpu_id, options.dtype, options.use_float16),
        backends=choose_backends(
            find_version(options.version), options.models_dir, options.face_finder, options.parser
        ),
        parsing_mode=options.parsing_mode,
        left_cheek_width=options.left_cheek_width,
        right_cheek_width=options.right_cheek_width,
        ffmpeg_path=options.ffmpeg_path,
    )


def dub_settings(options: argparse.Namespace) -> DubSettings:
    """Geometry, rate and sound from --fps, --batch_size and the flags of `add_face_` and `add_audio_arguments`."""
    return DubSettings(
        fps=options.fps,
        bbox_shift=options.bbox_shift,
        extra_margin=options.extra_margin,
        smooth_boxes=options.smooth_boxes,
        audio_padding_left=options.audio_padding_length_left,
        audio_padding_right=options.audio_padding_length_right,
        batch_size=options.batch_size,
    )


def add_audio_arguments(parser: argparse.ArgumentParser) -> None:
    """How much sound a frame sees."""
    group = parser.add_argument_group("sound")
    for side, when in (("left", "before"), ("right", "after")):
        group.add_argument(
            f"--audio_padding_length_{side}",
            type=at_least(0),
            default=DEFAULT_PADDING,
            help=f"sound {when} a frame that it sees, in 25 fps frames (default: {DEFAULT_PADDING})",
        )


def parse_arguments(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse; trailing words of the form key=value become `overrides`. Usage errors end the program with code 2."""
    parser.add_argument("overrides", nargs="*", metavar="task.key=value", help="changes to the task file")
    return parser.parse_intermixed_args(arguments)
