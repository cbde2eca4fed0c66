"""Frames of videos: none lost, none doubled, the right way up."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from media_factory import cut_off, numbered_frame, read_number, write_video

from musetalk.errors import InputError
from musetalk.media.frames import open_source
from musetalk.media.video_file import VideoFile

COUNT = 50

Maker = Callable[[Path], Path]


def _clip(name: str, codec: str = "libx264", **options: object) -> Maker:
    def make(folder: Path) -> Path:
        frames = [numbered_frame(index) for index in range(COUNT)]
        return write_video(folder / name, frames, Fraction(30000, 1001), codec, **options)  # type: ignore[arg-type]

    return make


CONTAINERS = {
    "h264_b_frames_mp4": _clip("a.mp4", b_frames=3),
    "h264_fragmented_mp4": _clip("f.mp4", b_frames=3, container_options={"movflags": "frag_keyframe+empty_moov"}),
    "h264_b_frames_mkv": _clip("a.mkv", b_frames=3),
    "h264_open_gop_ts": _clip("a.ts", b_frames=3, options={"x264-params": "open-gop=1"}),
    "h264_b_frames_avi": _clip("h.avi", b_frames=3),
    "mpeg4_avi": _clip("a.avi", "mpeg4", b_frames=2),
    "mpeg4_plain_avi": _clip("p.avi", "mpeg4"),
    "mpeg2_mpg": _clip("a.mpg", "mpeg2video", b_frames=2),
    "vp9_webm": _clip("a.webm", "libvpx-vp9", options={"cpu-used": "8", "lag-in-frames": "10", "auto-alt-ref": "1"}),
    "vp8_webm": _clip("8.webm", "libvpx", options={"cpu-used": "8", "lag-in-frames": "10", "auto-alt-ref": "1"}),
    "ffv1_mkv": _clip("l.mkv", "ffv1"),
    "raw_h264": _clip("a.h264", b_frames=2),
    "flv": _clip("a.flv", b_frames=2),
    "ten_bit_h264": _clip("t.mp4", pix_fmt="yuv420p10le"),
    "late_start_mp4": _clip("s.mp4", b_frames=3, stamps=range(150, 150 + COUNT)),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_frame_once_and_ping_pong_in_order(name: str, tmp_path: Path) -> None:
    path = CONTAINERS[name](tmp_path)
    source = open_source(path)
    assert source.info.fps == Fraction(30000, 1001)
    assert (source.info.width, source.info.height) == (160, 96)
    assert source.info.frame_estimate == COUNT
    assert [read_number(frame) for frame in source.frames()] == list(range(COUNT))
    assert [read_number(frame) for frame in source.frames()] == list(range(COUNT))

    there_and_back = [*range(COUNT), *reversed(range(COUNT)), *range(COUNT), *reversed(range(COUNT)), 0]
    for keep in (7 * 160 * 96 * 3, 10**9):
        walk = list(itertools.islice(VideoFile(path, keep_bytes=keep).ping_pong(), len(there_and_back)))
        assert [index for index, _ in walk] == there_and_back
        assert [read_number(frame) for _, frame in walk] == there_and_back


def test_backward_pass_shows_the_same_pixels(tmp_path: Path) -> None:
    path = CONTAINERS["h264_b_frames_mp4"](tmp_path)
    forward = list(VideoFile(path).frames())
    for index, frame in itertools.islice(VideoFile(path, keep_bytes=1).ping_pong(), COUNT, 2 * COUNT):
        assert np.array_equal(frame, forward[index])


def test_a_file_that_changes_during_the_run_is_noticed(tmp_path: Path) -> None:
    # Same stamps, same key frames, other pictures: only the pixels can tell.
    other = write_video(tmp_path / "b.mp4", [numbered_frame(index + 100) for index in range(30)], b_frames=2)
    path = write_video(tmp_path / "a.mp4", [numbered_frame(index) for index in range(30)], b_frames=2)
    walk = VideoFile(path, keep_bytes=1).ping_pong()
    assert [index for index, _ in itertools.islice(walk, 30)] == list(range(30))
    path.write_bytes(other.read_bytes())
    with pytest.raises(InputError, match=r"a\.mp4: frames 29 to 29 differ"):
        next(walk)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Fraction(25), [k * 30000 // (1001 * 25) for k in range(42)]),
        (Fraction(60), [k * 30000 // (1001 * 60) for k in range(101)]),
        (Fraction(30000, 1001), list(range(COUNT))),
    ],
)
def test_asked_rate_shows_what_is_on_display(asked: Fraction, expected: list[int], tmp_path: Path) -> None:
    for name in ("h264_b_frames_mp4", "h264_b_frames_mkv"):
        path = CONTAINERS[name](tmp_path)
        source = VideoFile(path, asked, keep_bytes=5 * 160 * 96 * 3)
        assert source.info.fps == asked
        assert [read_number(frame) for frame in source.frames()] == expected
        assert source.info.frame_estimate == len(expected)
        walk = list(itertools.islice(source.ping_pong(), 2 * len(expected)))
        assert [read_number(frame) for _, frame in walk] == [*expected, *reversed(expected)]


def test_uneven_frames_are_resampled_to_the_average(tmp_path: Path) -> None:
    # Ten frames of 20 ms, then ten of 80 ms: 1 s, 20 frames a second on average.
    stamps = [*range(0, 200, 20), *range(200, 1000, 80)]
    frames = [numbered_frame(index) for index in range(20)]
    path = write_video(tmp_path / "v.mkv", frames, 20, stamps=stamps, time_base=Fraction(1, 1000), b_frames=2)
    source = open_source(path)
    shown = [read_number(frame) for frame in source.frames()]
    starts = np.array(stamps)
    assert source.info.fps != 25
    expected = [
        int(np.searchsorted(starts, k * 1000 / float(source.info.fps) + 1e-9, "right")) - 1 for k in range(len(shown))
    ]
    assert shown == expected
    assert shown[0] == 0 and shown[-1] == 19
    assert abs(len(shown) / source.info.fps - 1) < Fraction(1, 10)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_flag_is_honoured(rotation: int, tmp_path: Path) -> None:
    upright = numbered_frame(5)
    # A player turns the stored picture counter-clockwise by `rotation`: store it turned the other way.
    stored = np.rot90(upright, -rotation // 90)
    path = write_video(tmp_path / "r.mp4", [stored] * 3, rotation=rotation)
    source = open_source(path)
    assert (source.info.width, source.info.height) == (160, 96)
    for frame in source.frames():
        assert frame.shape == (96, 160, 3)
        assert np.abs(frame.astype(int) - upright).mean() < 6


def test_odd_size(tmp_path: Path) -> None:
    frames = [numbered_frame(index, 161, 97) for index in range(4)]
    source = open_source(write_video(tmp_path / "o.mkv", frames, codec="ffv1", pix_fmt="yuv444p"))
    assert (source.info.width, source.info.height) == (161, 97)
    assert [frame.shape for frame in source.frames()] == [(97, 161, 3)] * 4


def test_anamorphic_pixels_are_reported(tmp_path: Path) -> None:
    path = write_video(tmp_path / "w.mp4", [numbered_frame(0)] * 2, sample_aspect=Fraction(16, 11))
    assert open_source(path).info.sample_aspect == Fraction(16, 11)


@pytest.mark.parametrize("name", ["a.mp4", "f.mp4", "a.mkv", "a.webm", "a.avi"])
def test_a_video_whose_end_is_missing_is_refused(name: str, tmp_path: Path) -> None:
    options = {"a.mp4": {"movflags": "+faststart"}, "f.mp4": {"movflags": "frag_keyframe+empty_moov"}}.get(name)
    codec = {"a.webm": "libvpx", "a.avi": "mpeg4"}.get(name, "libx264")
    path = write_video(
        tmp_path / name, [numbered_frame(index) for index in range(100)], codec=codec, container_options=options
    )
    assert len(list(open_source(path).frames())) == 100
    cut_off(path, 0.6)
    with pytest.raises(InputError, match=r"cut short|part of the way"):
        open_source(path)


def test_a_cut_stream_plays_to_its_end(tmp_path: Path) -> None:
    # A transport stream does not say how long it should be: whatever is there is a whole one.
    path = write_video(tmp_path / "a.ts", [numbered_frame(index) for index in range(100)], codec="mpeg2video")
    cut_off(path, 0.6)
    shown = [read_number(frame) for frame in open_source(path).frames()]
    assert shown[:40] == list(range(40)) and len(shown) < 100


def test_a_frame_that_cannot_be_decoded_shifts_nothing(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "d.mkv", [numbered_frame(index) for index in range(30)], codec="mjpeg", pix_fmt="yuvj420p"
    )
    import av

    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][10]
        content = bytes(packet)
    data = path.read_bytes()
    assert data.count(content) == 1
    path.write_bytes(data.replace(content, bytes(len(content))))
    shown = [read_number(frame) for frame in open_source(path).frames()]
    assert len(shown) == 30
    assert shown[:10] == list(range(10)) and shown[11:] == list(range(11, 30))
