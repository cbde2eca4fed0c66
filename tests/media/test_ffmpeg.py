"""Which ffmpeg is taken."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from musetalk.errors import DeviceError
from musetalk.media.ffmpeg import file_url, find_ffmpeg, require_encoders

posix = pytest.mark.skipif(sys.platform == "win32", reason="stands in for ffmpeg with a shell script")


def _stand_in(folder: Path, text: str = "ffmpeg version 4.4") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    binary = folder / "ffmpeg"
    binary.write_text(f"#!/bin/sh\necho '{text}'\n")
    binary.chmod(0o755)
    return binary


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FFMPEG_PATH", raising=False)


@posix
def test_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named, variable, on_path = (_stand_in(tmp_path / name) for name in ("named", "variable", "on path"))
    monkeypatch.setenv("PATH", os.pathsep.join((str(on_path.parent), "/usr/bin", "/bin")))
    assert find_ffmpeg() == str(on_path)
    monkeypatch.setenv("FFMPEG_PATH", str(variable))
    assert find_ffmpeg() == str(variable)
    assert find_ffmpeg(str(named)) == str(named)
    assert find_ffmpeg(str(named.parent)) == str(named)


@posix
def test_folder_with_bin(tmp_path: Path) -> None:
    binary = _stand_in(tmp_path / "bin")
    assert find_ffmpeg(str(tmp_path)) == str(binary)


def test_package_binary_is_the_last_resort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import imageio_ffmpeg

    bundled = imageio_ffmpeg.get_ffmpeg_exe()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_ffmpeg() == bundled


@posix
def test_a_named_one_that_does_not_run_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = _stand_in(tmp_path / "other", "something else")
    for place in (tmp_path / "missing", tmp_path, other):
        with pytest.raises(DeviceError, match="--ffmpeg_path"):
            find_ffmpeg(str(place))
    monkeypatch.setenv("FFMPEG_PATH", str(tmp_path))
    with pytest.raises(DeviceError, match="FFMPEG_PATH"):
        find_ffmpeg()


@posix
def test_missing_encoder(tmp_path: Path) -> None:
    binary = _stand_in(tmp_path, " V....D mpeg4   MPEG-4 part 2")
    require_encoders(str(binary), "mpeg4")
    with pytest.raises(DeviceError, match="libx264"):
        require_encoders(str(binary), "mpeg4", "libx264")


def test_file_url_hides_prefixes_and_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("-y.mp4", "http:x.mp4", "%d.mp4"):
        assert file_url(name) == f"file:{tmp_path / name}"
