"""The result: whole or not there at all, picture and sound of one length, colours kept."""

from __future__ import annotations

import os
import stat
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from media_factory import media_facts, numbered_frame, read_number, tone, write_sound, write_video

from musetalk.errors import DeviceError, InputError, OutputError
from musetalk.media.audio_file import read_audio
from musetalk.media.color import ColorTags
from musetalk.media.ffmpeg import find_ffmpeg
from musetalk.media.frames import open_source
from musetalk.media.writer import PngFolder, VideoWriter, cause_in, check_writable, encode_command

posix = pytest.mark.skipif(sys.platform == "win32", reason="stands in for ffmpeg with a shell script")


@pytest.fixture(scope="module")
def ffmpeg() -> str:
    return find_ffmpeg()


def _write(path: Path, ffmpeg: str, count: int = 10, size: tuple[int, int] = (160, 96), **options: Any) -> Path:
    settings: dict[str, Any] = {"fps": Fraction(25), "audio": None, "frame_count": count, "ffmpeg": ffmpeg} | options
    with VideoWriter(path, *size, **settings) as writer:
        for index in range(count):
            writer.write(numbered_frame(index, *size))
    return path


# The command, without ffmpeg


def _value(command: list[str], option: str) -> str:
    return command[command.index(option) + 1]


def test_command_passes_exact_rates_and_absolute_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = encode_command(
        "ffmpeg", Path("-o.mp4"), 64, 48, Fraction(30000, 1001), frame_count=30, track=Path("-a.pcm")
    )
    assert command[0] == "ffmpeg"
    assert _value(command, "-framerate") == _value(command, "-r") == "30000/1001"
    assert _value(command, "-video_size") == "64x48"
    assert f"file:{tmp_path}/-o.mp4" in command and f"file:{tmp_path}/-a.pcm" in command
    assert "atrim=end=1.001000" in _value(command, "-filter_complex")
    assert _value(command, "-movflags") == "+faststart"


def test_command_without_sound_maps_the_picture_only() -> None:
    command = encode_command("ffmpeg", Path("o.mp4"), 64, 48, Fraction(25), frame_count=1)
    assert command.count("-map") == 1 and "-acodec" not in command


def test_command_colors() -> None:
    def filters(color: ColorTags | None) -> str:
        return _value(encode_command("f", Path("o"), 2, 2, Fraction(25), frame_count=1, color=color), "-filter_complex")

    assert "out_color_matrix=bt709" in filters(None) and "color_trc=bt709" in filters(None)
    kept = filters(ColorTags("bt2020nc", "bt2020", "arib-std-b67", False))
    assert "out_color_matrix=bt2020" in kept and "color_trc=arib-std-b67" in kept and "color_primaries=bt2020" in kept


def test_the_cause_among_the_messages() -> None:
    lines = [
        "[mp4 @ 0x55d0c0ffee00] Application provided invalid timestamps",
        "[out#0/mp4 @ 0x55d0c0ffee00] Error writing trailer: No space left on device",
        "av_interleaved_write_frame(): Input/output error",
        "Conversion failed!",
    ]
    assert "No space left" in cause_in(["av_interleaved_write_frame(): No space left on device", *lines[2:]])
    assert cause_in([lines[0], lines[3]]) == "Application provided invalid timestamps"
    assert "No space left" in cause_in(["[out#0/mp4 @ 0x5] Error writing trailer: No space left on device"])
    assert cause_in([]) == "no message"


# The result


@pytest.mark.parametrize(
    "fps", [Fraction(25), Fraction(30000, 1001), Fraction(24000, 1001), Fraction(12), Fraction(60)]
)
@pytest.mark.parametrize("seconds", [0.3, 1.0, 4.0])
def test_every_frame_and_sound_of_the_same_length(fps: Fraction, seconds: float, ffmpeg: str, tmp_path: Path) -> None:
    # Sound that is too short, about right and too long for the 30 frames.
    audio = write_sound(tmp_path / "a.wav", tone(seconds, 44100, channels=2), 44100)
    facts = media_facts(_write(tmp_path / "o.mp4", ffmpeg, 30, fps=fps, audio=audio))
    assert facts.frame_count == 30 and facts.fps == fps
    assert (facts.video_codec, facts.audio_codec, facts.audio_channels) == ("h264", "aac", 2)
    assert abs(facts.video_seconds - 30 / fps) < Fraction(1, 1000)
    assert abs(facts.audio_seconds - 30 / fps) < 1 / fps
    assert facts.moov_first


def test_frames_come_out_in_order(ffmpeg: str, tmp_path: Path) -> None:
    path = _write(tmp_path / "o.mp4", ffmpeg, 40)
    assert [read_number(frame) for frame in open_source(path).frames()] == list(range(40))
    assert media_facts(path).audio_codec is None
    assert [entry.name for entry in tmp_path.iterdir()] == ["o.mp4"]


def test_odd_sizes_repeat_an_edge(ffmpeg: str, tmp_path: Path) -> None:
    path = _write(tmp_path / "o.mp4", ffmpeg, 5, (161, 97))
    assert media_facts(path).size == (162, 98)
    frame = next(open_source(path).frames()).astype(int)
    assert np.abs(frame[:, 161] - frame[:, 160]).max() < 12
    assert np.abs(frame[:97, :161] - numbered_frame(0, 161, 97)).mean() < 6


@pytest.mark.parametrize("rate", [8000, 96000])
def test_odd_sound_becomes_common_aac(rate: int, ffmpeg: str, tmp_path: Path) -> None:
    audio = write_sound(tmp_path / "a.wav", tone(2.0, rate, channels=6), rate)
    facts = media_facts(_write(tmp_path / "o.mp4", ffmpeg, 25, audio=audio))
    assert facts.audio_codec == "aac" and facts.audio_channels == 2
    assert abs(facts.audio_seconds - 1) < Fraction(1, 25)


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv", "late.ts"])
def test_sound_written_agrees_with_sound_read(name: str, ffmpeg: str, tmp_path: Path) -> None:
    frames = [numbered_frame(index) for index in range(50)]
    source = write_video(tmp_path / name, frames, sound=tone(1.0), sound_start=Fraction(1, 2))
    read = read_audio(source)[: 16000 * 7 // 5]
    written = read_audio(_write(tmp_path / "o.mp4", ffmpeg, 35, audio=source))[: len(read)]
    read = read[: len(written)]
    shifts = range(-400, 401, 4)
    best = max(shifts, key=lambda shift: float(np.dot(np.roll(written, shift), read)))
    assert abs(best) <= 16  # 1 ms
    assert np.abs(read - written).mean() < 0.02


TAGS = [
    None,
    ColorTags("bt709", "bt709", "bt709", False),
    ColorTags("smpte170m", "smpte170m", "smpte170m", False),
    ColorTags("bt470bg", "bt470bg", None, True),
]
CODES = [(1, 1, 1, 1), (1, 1, 1, 1), (1, 6, 6, 6), (1, 5, 1, 5)]


@pytest.mark.parametrize(("tags", "codes"), list(zip(TAGS, CODES, strict=True)))
def test_colors_survive_the_round_trip(
    tags: ColorTags | None, codes: tuple[int, ...], ffmpeg: str, tmp_path: Path
) -> None:
    colors = [(0, 0, 255), (0, 255, 0), (255, 0, 0), (128, 128, 128), (200, 180, 90), (30, 60, 200)]
    frame = np.repeat(np.repeat(np.array([colors], np.uint8), 40, axis=1), 80, axis=0)
    path = tmp_path / "o.mp4"
    with VideoWriter(path, 240, 80, Fraction(25), audio=None, frame_count=5, ffmpeg=ffmpeg, color=tags) as writer:
        for _ in range(5):
            writer.write(frame)
    shown = list(open_source(path).frames())[2].astype(int)
    for index, color in enumerate(colors):
        assert np.abs(shown[40, index * 40 + 20] - color).max() <= 3
    assert media_facts(path).color == codes


def test_pixel_aspect_is_kept(ffmpeg: str, tmp_path: Path) -> None:
    path = _write(tmp_path / "o.mp4", ffmpeg, 3, sample_aspect=Fraction(16, 11))
    assert open_source(path).info.sample_aspect == Fraction(16, 11)


@pytest.mark.parametrize(
    "name", ["a b", "it's", '"q"', "$(touch x)", "-y", "日本é", "100%d", "http:x", "a:b,[c];d=e\\f"]
)
def test_any_name(name: str, ffmpeg: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "win32":
        pytest.skip("not file names on Windows")
    monkeypatch.chdir(tmp_path)
    write_sound(tmp_path / "plain.wav", tone(0.5), 48000)
    (tmp_path / "plain.wav").rename(tmp_path / f"{name}.wav")
    _write(Path(f"{name}.mp4"), ffmpeg, 5, audio=Path(f"{name}.wav"))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted([f"{name}.mp4", f"{name}.wav"])
    assert media_facts(tmp_path / f"{name}.mp4").frame_count == 5


# Failures leave nothing behind


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_an_exception_leaves_the_old_result(error: type[BaseException], ffmpeg: str, tmp_path: Path) -> None:
    path = tmp_path / "o.mp4"
    path.write_bytes(b"the earlier result")
    audio = write_sound(tmp_path / "a.wav", tone(1.0))
    with (
        pytest.raises(error),
        VideoWriter(path, 160, 96, Fraction(25), audio=audio, frame_count=9, ffmpeg=ffmpeg) as writer,
    ):
        writer.write(numbered_frame(0))
        raise error
    assert path.read_bytes() == b"the earlier result"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.wav", "o.mp4"]


def test_the_count_of_frames_is_checked(ffmpeg: str, tmp_path: Path) -> None:
    for written, match in ((2, "2 of 3"), (4, "more than")):
        with (
            pytest.raises(OutputError, match=match),
            VideoWriter(tmp_path / "o.mp4", 160, 96, Fraction(25), audio=None, frame_count=3, ffmpeg=ffmpeg) as writer,
        ):
            for index in range(written):
                writer.write(numbered_frame(index))
        assert not list(tmp_path.iterdir())
    with pytest.raises(OutputError):
        VideoWriter(tmp_path / "o.mp4", 160, 96, Fraction(25), audio=None, frame_count=0, ffmpeg=ffmpeg)


def test_the_shape_of_frames_is_checked(ffmpeg: str, tmp_path: Path) -> None:
    for wrong in (numbered_frame(0, 170, 96), numbered_frame(0)[..., 0], numbered_frame(0).astype(np.float32)):
        with (
            pytest.raises(OutputError, match="not"),
            VideoWriter(tmp_path / "o.mp4", 160, 96, Fraction(25), audio=None, frame_count=1, ffmpeg=ffmpeg) as writer,
        ):
            writer.write(wrong)
        assert not list(tmp_path.iterdir())


def test_a_sound_file_without_sound(ffmpeg: str, tmp_path: Path) -> None:
    mute = write_video(tmp_path / "mute.mp4", [numbered_frame(0)] * 3)
    with pytest.raises(InputError, match=r"mute\.mp4"):
        VideoWriter(tmp_path / "o.mp4", 160, 96, Fraction(25), audio=mute, frame_count=3, ffmpeg=ffmpeg)
    assert [entry.name for entry in tmp_path.iterdir()] == ["mute.mp4"]


def _failing_ffmpeg(folder: Path, ending: str) -> str:
    binary = folder / "ffmpeg"
    binary.write_text(
        "#!/bin/sh\n"
        'case "$*" in *-encoders*) echo " V....D libx264 x"; echo " A....D aac x"; exit 0;; esac\n'
        f"{ending}\n"
    )
    binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
    return str(binary)


@posix
@pytest.mark.parametrize(
    ("ending", "message"),
    [
        ("echo 'av_interleaved_write_frame(): No space left on device' >&2; exit 1", "disk is full"),
        ("head -c 100000 >/dev/null; echo 'Conversion failed!' >&2; exit 1", "no message"),
        ("cat >/dev/null; echo 'Unknown option' >&2; exit 1", "Unknown option"),
        ("kill -9 $$", "killed by signal 9"),
        # More messages than a pipe holds: unread, they would stop ffmpeg, and the writer with it.
        ("i=0; while [ $i -lt 9000 ]; do echo 'a message of some length' >&2; i=$((i+1)); done; exit 1", "a message"),
    ],
)
def test_ffmpeg_that_fails(ending: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    binary = _failing_ffmpeg(tmp_path, ending)
    with pytest.raises(OutputError, match=message) as caught:
        _write(tmp_path / "results" / "o.mp4", binary, 300)
    assert "o.mp4" in caught.value.what
    assert not list((tmp_path / "results").iterdir())


@posix
def test_ffmpeg_without_x264(tmp_path: Path) -> None:
    binary = tmp_path / "ffmpeg"
    binary.write_text("#!/bin/sh\necho ' V....D mpeg4 x'\n")
    binary.chmod(0o755)
    with pytest.raises(DeviceError, match="libx264"):
        VideoWriter(tmp_path / "o.mp4", 160, 96, Fraction(25), audio=None, frame_count=1, ffmpeg=str(binary))


def test_places_that_cannot_be_written(ffmpeg: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.mp4").mkdir()
    for path in (tmp_path / "file" / "o.mp4", tmp_path / "file" / "deeper" / "o.mp4", tmp_path / "folder.mp4"):
        with pytest.raises(OutputError) as caught:
            check_writable(path)
        assert str(path) in caught.value.what
        with pytest.raises(OutputError):
            VideoWriter(path, 160, 96, Fraction(25), audio=None, frame_count=1, ffmpeg=ffmpeg)
    check_writable(tmp_path / "new" / "deep" / "o.mp4")
    assert not list((tmp_path / "new" / "deep").iterdir())


@posix
@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root may write anywhere")
def test_a_folder_without_rights(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(OutputError):
        check_writable(tmp_path / "o.mp4")


# PNG frames


def test_png_folder_is_lossless(tmp_path: Path) -> None:
    with PngFolder(tmp_path / "frames") as sink:
        for index in range(3):
            sink.write(numbered_frame(index, 161, 97))
    files = sorted((tmp_path / "frames").iterdir())
    assert [file.name for file in files] == ["00000000.png", "00000001.png", "00000002.png"]
    for index, file in enumerate(files):
        assert np.array_equal(cv2.imread(str(file)), numbered_frame(index, 161, 97))


def test_png_folder_replaces_all_frames_of_an_earlier_run(tmp_path: Path) -> None:
    for name in ("00000000.png", "00000007.png", "mine.png"):
        (tmp_path / name).write_bytes(b"older")
    with PngFolder(tmp_path) as sink:
        sink.write(numbered_frame(3))
        assert (tmp_path / "00000000.png").read_bytes() == b"older"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["00000000.png", "mine.png"]
    assert np.array_equal(cv2.imread(str(tmp_path / "00000000.png")), numbered_frame(3))


def test_png_folder_stays_as_it_was_on_an_exception(tmp_path: Path) -> None:
    (tmp_path / "00000000.png").write_bytes(b"older")
    for folder in (tmp_path, tmp_path / "new"):
        with pytest.raises(KeyboardInterrupt), PngFolder(folder) as sink:
            sink.write(numbered_frame(0))
            raise KeyboardInterrupt
    assert [entry.name for entry in tmp_path.iterdir()] == ["00000000.png"]
    assert (tmp_path / "00000000.png").read_bytes() == b"older"
