"""Frames of videos, images and folders: none lost, none doubled, the right way up, the right colours."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from media_factory import numbered_frame, read_number, tone, write_sound, write_video

from musetalk.errors import InputError, UsageError
from musetalk.media.frames import ColorTags, ImageFolder, Orientation, VideoFile, open_source

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


def test_frames_belong_to_the_caller(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [numbered_frame(0), numbered_frame(1)])
    for _, frame in itertools.islice(open_source(path).ping_pong(), 8):
        assert read_number(frame) in (0, 1)
        frame[:] = 255
    for frame in open_source(path, Fraction(100)).frames():
        assert read_number(frame) in (0, 1)
        frame[:] = 255


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


def test_orientation_covers_exif() -> None:
    stored = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    upright = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.transpose(1, 0, 2),
        6: np.rot90(stored, -1),
        7: stored.transpose(1, 0, 2)[::-1, ::-1],
        8: np.rot90(stored),
    }
    for value, image in upright.items():
        assert np.array_equal(Orientation.from_exif(value).apply(stored), image)


def test_odd_size(tmp_path: Path) -> None:
    frames = [numbered_frame(index, 161, 97) for index in range(4)]
    source = open_source(write_video(tmp_path / "o.mkv", frames, codec="ffv1", pix_fmt="yuv444p"))
    assert (source.info.width, source.info.height) == (161, 97)
    assert [frame.shape for frame in source.frames()] == [(97, 161, 3)] * 4


def _patches(width: int, height: int) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
    colors = [(0, 0, 255), (0, 255, 0), (255, 0, 0), (128, 128, 128), (200, 180, 90), (30, 60, 200)]
    frame = np.zeros((height, width, 3), np.uint8)
    for index, color in enumerate(colors):
        frame[:, index * width // 6 : (index + 1) * width // 6] = color
    return frame, colors


@pytest.mark.parametrize(("size", "matrix"), [((320, 240), "bt601"), ((1280, 720), "bt709")])
def test_untagged_colors_are_what_players_assume(size: tuple[int, int], matrix: str, tmp_path: Path) -> None:
    frame, colors = _patches(*size)
    red, blue = (0.2126, 0.0722) if matrix == "bt709" else (0.299, 0.114)
    b, g, r = (frame[..., channel].astype(float) for channel in range(3))
    y = red * r + (1 - red - blue) * g + blue * b
    planes = (16 + y * 219 / 255, 128 + (b - y) / (1 - blue) * 112 / 255, 128 + (r - y) / (1 - red) * 112 / 255)
    path = tmp_path / "u.y4m"
    header = f"YUV4MPEG2 W{size[0]} H{size[1]} F25:1 Ip A1:1 C444\nFRAME\n".encode()
    path.write_bytes(header + b"".join(plane.round().astype(np.uint8).tobytes() for plane in planes))
    source = open_source(path)
    assert source.info.color.matrix is None
    shown = next(source.frames())
    for index, color in enumerate(colors):
        patch = shown[size[1] // 2, index * size[0] // 6 + size[0] // 12]
        assert np.abs(patch.astype(int) - color).max() <= 2


def test_tagged_colors_keep_their_tags(tmp_path: Path) -> None:
    options = {"colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709", "color_range": "tv"}
    path = write_video(tmp_path / "c.mp4", [numbered_frame(0)] * 2, options=options)
    assert open_source(path).info.color == ColorTags("bt709", "bt709", "bt709", False)


def test_anamorphic_pixels_are_reported(tmp_path: Path) -> None:
    path = write_video(tmp_path / "w.mp4", [numbered_frame(0)] * 2, sample_aspect=Fraction(16, 11))
    assert open_source(path).info.sample_aspect == Fraction(16, 11)


# Images


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
def test_image(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"face{suffix}"
    cv2.imwrite(str(path), numbered_frame(9))
    source = open_source(path)
    assert source.info.is_image and source.info.fps == 25 and source.info.frame_estimate == 1
    assert [read_number(frame) for frame in source.frames()] == [9]
    assert [index for index, _ in itertools.islice(source.ping_pong(), 5)] == [0] * 5
    assert open_source(path, Fraction(30)).info.fps == 30


def test_image_with_alpha_grey_and_16_bit(tmp_path: Path) -> None:
    frame = numbered_frame(3)
    cv2.imwrite(str(tmp_path / "alpha.png"), np.dstack([frame, np.zeros(frame.shape[:2], np.uint8)]))
    cv2.imwrite(str(tmp_path / "grey.png"), frame[..., 1])
    cv2.imwrite(str(tmp_path / "deep.png"), frame.astype(np.uint16) * 257)
    assert np.array_equal(next(open_source(tmp_path / "alpha.png").frames()), frame)
    assert np.array_equal(next(open_source(tmp_path / "grey.png").frames()), np.repeat(frame[..., 1:2], 3, axis=2))
    assert np.array_equal(next(open_source(tmp_path / "deep.png").frames()), frame)


def test_image_turned_by_exif(tmp_path: Path) -> None:
    from PIL import Image

    upright = numbered_frame(6)
    stored = np.rot90(upright)  # to be shown turned clockwise
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(stored[..., ::-1])).save(tmp_path / "e.png", exif=exif)
    assert np.array_equal(next(open_source(tmp_path / "e.png").frames()), upright)


def test_folder_in_numeric_order_with_gaps(tmp_path: Path) -> None:
    for number in (1, 2, 9, 10, 100):
        cv2.imwrite(str(tmp_path / f"frame{number}.png"), numbered_frame(number))
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / ".hidden.png").write_bytes(b"")
    source = ImageFolder(tmp_path, keep_bytes=1)
    assert source.info.fps == 25 and source.info.frame_estimate == 5 and not source.info.is_image
    assert [read_number(frame) for frame in source.frames()] == [1, 2, 9, 10, 100]
    walk = list(itertools.islice(source.ping_pong(), 11))
    assert [index for index, _ in walk] == [0, 1, 2, 3, 4, 4, 3, 2, 1, 0, 0]
    assert [read_number(frame) for _, frame in walk] == [1, 2, 9, 10, 100, 100, 10, 9, 2, 1, 1]


def test_folder_names_the_odd_image(tmp_path: Path) -> None:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), numbered_frame(number))
    cv2.imwrite(str(tmp_path / "3.png"), numbered_frame(3, 170, 96))
    with pytest.raises(InputError, match=r"3\.png.*170x96.*160x96"):
        open_source(tmp_path)


# Names and errors

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


def _without(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def test_bad_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is a text, not a video\n" * 50)
    (tmp_path / "folder").mkdir()
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n")
    (tmp_path / "broken.png").write_bytes(cv2.imencode(".png", numbered_frame(0))[1].tobytes()[:60])
    write_sound(tmp_path / "sound.wav", tone(0.1))
    write_video(tmp_path / "no_moov.mp4", [numbered_frame(index) for index in range(30)])
    _without(tmp_path / "no_moov.mp4", 0.6)
    names = ["missing.mp4", "empty.mp4", "text.mp4", "folder", "list.mp4", "broken.png", "sound.wav", "no_moov.mp4"]
    for name in names:
        with pytest.raises(InputError) as caught:
            open_source(tmp_path / name)
        assert name in caught.value.what
        assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("name", ["a.mp4", "f.mp4", "a.mkv", "a.webm", "a.avi"])
def test_a_video_whose_end_is_missing_is_refused(name: str, tmp_path: Path) -> None:
    options = {"a.mp4": {"movflags": "+faststart"}, "f.mp4": {"movflags": "frag_keyframe+empty_moov"}}.get(name)
    codec = {"a.webm": "libvpx", "a.avi": "mpeg4"}.get(name, "libx264")
    path = write_video(
        tmp_path / name, [numbered_frame(index) for index in range(100)], codec=codec, container_options=options
    )
    assert len(list(open_source(path).frames())) == 100
    _without(path, 0.6)
    with pytest.raises(InputError, match=r"cut short|part of the way"):
        open_source(path)


def test_a_cut_stream_plays_to_its_end(tmp_path: Path) -> None:
    # A transport stream does not say how long it should be: whatever is there is a whole one.
    path = write_video(tmp_path / "a.ts", [numbered_frame(index) for index in range(100)], codec="mpeg2video")
    _without(path, 0.6)
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


def test_rate_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        open_source(tmp_path, Fraction(0))
