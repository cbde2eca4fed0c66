"""The flags of a live stream, and what they mean."""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path

from musetalk import cli
from musetalk.media.pcm import STANDARD_INPUT, PcmStream, open_pcm
from musetalk.media.pcm_format import ENCODINGS, PcmFormat
from musetalk.media.stream_target import parse_target
from musetalk.streaming.settings import DEFAULT_DELAY, StreamSettings
from musetalk.streaming.stream_frame import StreamStatistics

TOLERABLE_SHARE = 0.02
"""Of the faces of speech that may be repeated without advice: it is hardly seen."""


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


def advice(statistics: StreamStatistics, delay: Fraction) -> str | None:
    """What to do about faces that came too late, where more than a few did."""
    if statistics.repeated <= TOLERABLE_SHARE * statistics.speech:
        return None
    return f"more faces come in time with a longer --delay (now {float(delay):g})"


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


def open_sound(options: argparse.Namespace, paced: bool) -> PcmStream:
    """The sound of --audio; a file is played no faster than it lasts where that is wanted.

    Raises:
        InputError: It cannot be read, or its format is impossible.
    """
    form = PcmFormat(options.audio_rate, options.audio_format, options.audio_channels)
    return open_pcm(options.audio, form, paced=paced and not is_pipe(options.audio))
