"""Opening sources of frames: any name, whose frames they are, errors that name the file."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import cv2
import pytest
from media_factory import cut_off, numbered_frame, read_number, tone, write_sound, write_video

from musetalk.errors import InputError, UsageError
from musetalk.media.frames import open_source


def test_frames_belong_to_the_caller(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [numbered_frame(0), numbered_frame(1)])
    for _, frame in itertools.islice(open_source(path).ping_pong(), 8):
        assert read_number(frame) in (0, 1)
        frame[:] = 255
    for frame in open_source(path, Fraction(100)).frames():
        assert read_number(frame) in (0, 1)
        frame[:] = 255


NASTY = [
    "a b.mp4",
    "it's.mp4",
    '"q".mp4',
    "$(touch x).mp4",
    "-y.mp4",
    "日本é.mp4",
    "100%03d.mp4",
    "http:x.mp4",
    "a;b&c.mp4",
]


@pytest.mark.parametrize("name", NASTY)
def test_any_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "plain.mp4", [numbered_frame(index) for index in range(3)])
    (tmp_path / "plain.mp4").rename(tmp_path / name)
    cv2.imwrite(str(tmp_path / "i.png"), numbered_frame(4))
    monkeypatch.chdir(tmp_path)
    assert len(list(open_source(name).frames())) == 3
    (tmp_path / "i.png").rename(tmp_path / f"{name}.png")
    assert [read_number(frame) for frame in open_source(f"{name}.png").frames()] == [4]


def test_bad_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is a text, not a video\n" * 50)
    (tmp_path / "folder").mkdir()
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n")
    (tmp_path / "broken.png").write_bytes(cv2.imencode(".png", numbered_frame(0))[1].tobytes()[:60])
    write_sound(tmp_path / "sound.wav", tone(0.1))
    write_video(tmp_path / "no_moov.mp4", [numbered_frame(index) for index in range(30)])
    cut_off(tmp_path / "no_moov.mp4", 0.6)
    names = ["missing.mp4", "empty.mp4", "text.mp4", "folder", "list.mp4", "broken.png", "sound.wav", "no_moov.mp4"]
    for name in names:
        with pytest.raises(InputError) as caught:
            open_source(tmp_path / name)
        assert name in caught.value.what
        assert len(str(caught.value).splitlines()) == 2


def test_rate_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        open_source(tmp_path, Fraction(0))
