"""The parts of preprocessing that need no run: names, windows, shots, reasons, tracks, cutting, processes."""

from __future__ import annotations

import os
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from media_factory import numbered_frame, read_number, tone, write_sound
from raw_videos import true_landmarks
from squarer import Squarer, no_squarer

from musetalk.errors import DeviceError, InputError, OutputError
from musetalk.face.landmarks import Face
from musetalk.media.ffmpeg import find_ffmpeg
from musetalk.media.frames import open_source
from musetalk.media.writer import VideoWriter
from musetalk.training.clip_meta import ClipMeta
from musetalk.training.preprocess.cut import cut_picture, cut_sound
from musetalk.training.preprocess.faces import (
    Track,
    find_track,
    load_track,
    no_track,
    read_truth,
    save_track,
    truth_track,
)
from musetalk.training.preprocess.judge import Part, parts, shots
from musetalk.training.preprocess.plan import Window, find_videos, is_validation, named, windows
from musetalk.training.preprocess.settings import PreprocessConfig
from musetalk.training.preprocess.sync import SyncScore, is_in_sync
from musetalk.training.preprocess.workers import Workers

# Names and windows


def test_windows_follow_each_other_and_the_last_is_shorter():
    assert windows("a/x", 60, 25) == [
        Window("a/x_clip000", 0, 25),
        Window("a/x_clip001", 25, 50),
        Window("a/x_clip002", 50, 60),
    ]
    assert windows("x", 50, 25)[-1].stop == 50 and windows("x", 0, 25) == []


def test_names_keep_folders_and_order_numbers():
    root = Path("raw")
    names = ("a10.mp4", "a2.mp4", "b/a2.mov", "B.twin.mp4", "B.mp4", "B.twin2.mp4", "c.twin.mp4")
    files = [root / name for name in names]
    videos = named(root, files)
    assert [video.name for video in videos] == ["B", "B.twin", "B.twin2", "a2", "a10", "b/a2", "c.twin"]
    assert {video.name: video.twin_of for video in videos if video.twin_of} == {"B.twin": "B", "B.twin2": "B"}
    assert videos[1].truth == root / "B.twin.landmarks.npz"


def test_names_that_differ_in_the_suffix_keep_it():
    root = Path("raw")
    videos = named(root, [root / "x.mp4", root / "X.mov", root / "y.mp4"])
    assert [video.name for video in videos] == ["X.mov", "x.mp4", "y"]


def test_a_link_to_a_folder_above_does_not_go_round(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.MP4").write_bytes(b"x")
    try:
        (tmp_path / "a" / "up").symlink_to(tmp_path)
    except OSError:
        pytest.skip("no links here")
    assert [video.name for video in find_videos(tmp_path)] == ["a/x"]


def test_validation_is_by_parts_of_names():
    assert is_validation("WDA_A_000_clip003", ["RD", "WDA_A_000"])
    assert not is_validation("WDA_B_000_clip003", ["WDA_A_000"]) and not is_validation("x", [])


# Shots and reasons


def boxes(*stretches):
    """(n, 4): for each (frames, x) a box at x, None for no face."""
    rows = [[(np.nan,) * 4 if x is None else (x, 10.0, x + 100, 110.0)] * count for count, x in stretches]
    return np.concatenate([np.array(one, np.float32) for one in rows])


@pytest.mark.parametrize(
    ("stretches", "expected"),
    [
        ([(100, 0.0)], [(0, 100)]),
        ([(60, 0.0), (40, 300.0)], [(0, 50), (75, 100)]),
        ([(50, 0.0), (50, 300.0)], [(0, 50), (50, 100)]),
        ([(50, 0.0), (50, 20.0)], [(0, 100)]),  # a quick movement
        ([(40, 0.0), (20, None), (40, 0.0)], [(0, 100)]),
        ([(40, 0.0), (20, None), (40, 300.0)], [(0, 25), (75, 100)]),
        ([(40, 0.0), (30, None), (50, 0.0)], [(0, 25), (75, 120)]),
        ([(30, None), (70, 0.0)], [(50, 100)]),
        ([(20, None), (70, 0.0), (10, None)], [(0, 100)]),
        ([(100, None)], []),
        ([(10, 0.0), (10, 300.0), (10, 0.0)], [(25, 30)]),
        ([(30, 0.0), (1, 300.0), (69, 0.0)], [(0, 25), (50, 100)]),  # one frame of somebody else
    ],
)
def test_shots_end_where_the_face_jumps_or_is_gone(stretches, expected):
    assert shots(boxes(*stretches)) == expected


def track_of(detections, counts=None):
    count = len(detections)
    landmarks = np.where(np.isnan(detections[:, :1, None]), np.nan, np.zeros((count, 68, 2))).astype(np.float32)
    return Track(detections, landmarks, np.array(counts if counts else [-1] * count, np.int16), (480, 640))


def config_of(**changes):
    paths = ("raw", "v25", "clips", "meta", "files.txt", "train.txt", "val.txt")
    return PreprocessConfig(*map(Path, paths), **changes)


@pytest.mark.parametrize(
    ("track", "changes", "reason"),
    [
        (track_of(boxes((60, 0.0))), {}, None),
        (track_of(boxes((60, None))), {}, "no face"),
        (track_of(boxes((49, 0.0))), {}, "too short"),
        (track_of(boxes((50, 0.0), (10, None))), {}, "no face in too many frames"),
        (track_of(boxes((50, 0.0), (10, None))), {"min_face_share": 0.8}, None),
        (track_of(boxes((60, 0.0))), {"min_face_size": 101}, "face too small"),
        (track_of(boxes((60, 0.0)), [2, 1, 1, -1, -1] * 12), {}, "several people"),
        (track_of(boxes((60, 0.0)), [2, 1, 1, -1, -1] * 12), {"max_several_faces": 0.34}, None),
        (track_of(boxes((60, 0.0)), [2, *[1] * 59]), {}, None),
    ],
)
def test_reasons(track, changes, reason):
    assert parts("w", track, config_of(**changes)) == [Part("w", 0, len(track), reason)]


def test_each_shot_is_judged_by_itself():
    track = track_of(boxes((75, 0.0), (25, 300.0), (75, 0.0)), [1] * 100 + [2] * 75)
    assert parts("w", track, config_of()) == [
        Part("w_part0", 0, 75, None),
        Part("w_part1", 75, 100, "too short"),
        Part("w_part2", 100, 175, "several people"),
    ]


# Tracks


class Scripted:
    """A finder that says what the frame's first pixel tells, and counts as many faces as its second."""

    name = "scripted"

    def __init__(self):
        self.counted = []

    def find(self, frames):
        assert len(frames) <= 8
        return [self.face(frame) if frame[0, 0, 0] else None for frame in frames]

    def face(self, frame):
        landmarks = np.random.default_rng(0).uniform(20, 60, (68, 2)) + frame[0, 0, 0]
        return Face(landmarks, (20.0, 20.0, 80.0, 80.0))

    def count(self, frames, faces):
        self.counted += [int(frame[0, 0, 0]) for frame in frames]
        return [int(frame[0, 1, 0]) for frame in frames]


def test_faces_are_found_in_order_and_counted_in_every_fifth_frame():
    frames = [np.zeros((90, 100, 3), np.uint8) for _ in range(21)]
    for index, frame in enumerate(frames):
        frame[0, 0], frame[0, 1] = (0 if index in (5, 6) else index + 1), index % 3 + 1
    finder = Scripted()
    given = []
    track = find_track(iter(frames), finder, (90, 100), lambda frame, face: given.append((frame, face)))
    assert [frame is given_one for frame, (given_one, _) in zip(frames, given, strict=True)] == [True] * 21
    for index, (_, face) in enumerate(given):  # what is stored in the same pass is what the track holds
        kept = track.face(index)
        assert (face is None) == (kept is None) == (index in (5, 6))
        if kept is not None:
            assert face.detection == kept.detection and np.array_equal(face.landmarks, kept.landmarks)
    assert len(track) == 21 and track.frame_size == (90, 100)
    assert np.isnan(track.detections[[5, 6]]).all() and np.isfinite(np.delete(track.landmarks, [5, 6], 0)).all()
    assert track.landmarks[9].min() > 30 and track.face(5) is None
    assert finder.counted == [1, 11, 16, 21]  # not 5, which has no face
    assert track.counts.tolist() == [
        *(1, -1, -1, -1, -1),
        *(0, 0, -1, -1, -1),
        *(2, -1, -1, -1, -1),
        *(1, -1, -1, -1, -1),
        3,
    ]


def test_a_track_is_kept_with_what_it_was_made_from(tmp_path):
    mouths = np.random.default_rng(1).uniform(0, 1, (7, 13)).astype(np.float32)
    track = truth_track(true_landmarks(7), mouths, (96, 160))
    save_track(tmp_path / "deep" / "t.npz", track, "abc")
    loaded = load_track(tmp_path / "deep" / "t.npz", "abc")
    for name in ("detections", "landmarks", "counts", "mouths"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(track, name))
    assert loaded.frame_size == (96, 160)
    assert load_track(tmp_path / "deep" / "t.npz", "other") is None
    data = (tmp_path / "deep" / "t.npz").read_bytes()
    for damaged in (b"", data[:100], data[:-30]):
        (tmp_path / "t.npz").write_bytes(damaged)
        assert load_track(tmp_path / "t.npz", "abc") is None
    assert load_track(tmp_path / "none.npz", "abc") is None


def test_true_landmarks_outside_the_frame_are_no_face():
    landmarks = true_landmarks(4)
    landmarks[1] += [500, 0]
    landmarks[2] = np.nan
    landmarks[3] = 50.0  # one point
    track = truth_track(landmarks, None, (96, 160))
    assert np.isfinite(track.detections).all(axis=1).tolist() == [True, False, False, False]
    assert np.isnan(track.landmarks[1]).all() and len(no_track(3, (1, 1))) == 3


@pytest.mark.parametrize(
    ("save", "told"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.write_bytes(b"no"), "cannot be read"),
        (lambda path: np.savez(path, points=np.zeros(3)), "holds no `landmarks`"),
        (lambda path: np.savez(path, landmarks=np.zeros((4, 68, 2), np.float32)), r"\(4, 68, 2\)"),
        (lambda path: np.savez(path, landmarks=np.zeros((5, 68, 2), np.int32)), "int32"),
        (lambda path: np.savez(path, landmarks=np.array([{}], object)), "cannot be read"),
        (
            lambda path: np.savez(path, landmarks=np.zeros((5, 68, 2)), mouths=np.zeros((5, 12))),
            r"mouths are \(5, 12\)",
        ),
        (
            lambda path: np.savez(path, landmarks=np.zeros((5, 68, 2)), mouths=np.full((5, 13), np.nan)),
            "not all of them are numbers",
        ),
    ],
)
def test_wrong_truth_is_named(tmp_path, save, told):
    save(tmp_path / "x.landmarks.npz")
    with pytest.raises(InputError, match=told):
        read_truth(tmp_path / "x.landmarks.npz", 5)


# Cutting


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """70 frames with a key frame every 25, and their sound."""
    folder = tmp_path_factory.mktemp("cut")
    write_sound(folder / "x.wav", tone(70 / 25, 16000), 16000)
    with VideoWriter(
        folder / "x.mp4", 160, 96, Fraction(25), audio=folder / "x.wav", frame_count=70, ffmpeg=find_ffmpeg(),
        key_frames_every=25,
    ) as writer:  # fmt: skip
        for number in range(70):
            writer.write(numbered_frame(number))
    return folder


@pytest.mark.parametrize(("start", "stop"), [(0, 70), (0, 25), (25, 50), (50, 70), (25, 70)])
def test_frames_are_cut_bit_for_bit(video, tmp_path, start, stop):
    samples = cut_sound(video / "x.wav", start, stop, tmp_path / "c.wav")
    cut_picture(video / "x.mp4", start, stop, samples, tmp_path / "c.mp4")
    whole = list(open_source(video / "x.mp4").frames())
    source = open_source(tmp_path / "c.mp4")
    frames = list(source.frames())
    assert source.info.fps == 25 and [read_number(frame) for frame in frames] == list(range(start, stop))
    assert all(np.array_equal(*pair) for pair in zip(frames, whole[start:stop], strict=True))
    assert len(samples) == (stop - start) * 640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.mp4", "c.wav"]


@pytest.mark.parametrize(
    ("start", "stop", "told"),
    [(10, 50, "frame 10 is no key frame"), (25, 60, "frame 60 is no key frame"), (50, 80, "only 20 of the frames")],
)
def test_only_where_it_can_be_cut(video, tmp_path, start, stop, told):
    with pytest.raises(InputError, match=told):
        cut_picture(video / "x.mp4", start, stop, np.zeros(64, np.int16), tmp_path / "c.mp4")
    assert not list(tmp_path.iterdir())


def test_missing_sound_is_named(video, tmp_path):
    with pytest.raises(InputError, match="sound of frames 50 to 79 is missing"):
        cut_sound(video / "x.wav", 50, 80, tmp_path / "c.wav")
    with pytest.raises(InputError, match=r"none\.wav"):
        cut_sound(video / "none.wav", 0, 1, tmp_path / "c.wav")


def test_a_place_that_cannot_be_written(video, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        cut_picture(video / "x.mp4", 0, 25, np.zeros(16000, np.int16), tmp_path / "file" / "c.mp4")


# Sync


def test_sync_is_judged_by_offset_and_confidence():
    assert is_in_sync(SyncScore(-3, 2.0), 3, 2.0)
    assert not is_in_sync(SyncScore(4, 9.0), 3, 2.0) and not is_in_sync(SyncScore(0, 1.9), 3, 2.0)


def late_in_odd_clips():
    """A sync check by the clip's name."""

    def check(meta: ClipMeta) -> SyncScore:
        assert meta.regions_path.is_file() and meta.wav_path.is_file() and meta.mp4_path.is_file()
        return SyncScore(5 if "clip001" in meta.mp4_path.name else 1, 7.0)

    return check


def test_clips_out_of_sync_are_dropped(tmp_path, monkeypatch):
    from dataclasses import replace

    from raw_videos import summary_of, write_numbered, write_settings

    from musetalk.schema import read_settings
    from musetalk.training.preprocess.run import preprocess

    monkeypatch.chdir(tmp_path)
    write_settings(tmp_path)
    write_numbered(tmp_path / "raw" / "x.mp4", 75)
    write_numbered(tmp_path / "raw" / "x.twin.mp4", 75)
    config, _ = read_settings(PreprocessConfig, Path("preprocess.yaml"))
    config = replace(config, syncnet=Path("net.pt"))
    summary = preprocess(config, "truth", find_ffmpeg(), sync_check=late_in_odd_clips)
    kept = ["x_clip000", "x_clip002", "x.twin_clip000", "x.twin_clip002"]
    assert [clip.name for clip in summary.kept] == kept
    assert summary_of(tmp_path)["dropped_names"] == {"out of sync": ["x.twin_clip001", "x_clip001"]}
    assert not Path("clips/x_clip001.mp4").exists()
    wider = replace(config, sync_max_offset=5)
    assert len(preprocess(wider, "truth", find_ffmpeg(), sync_check=late_in_odd_clips).kept) == 6


# Processes


def test_tasks_are_shared_by_processes_and_failures_kept_apart():
    with Workers(Squarer, 2) as workers:
        done = list(workers.run([1, 2, -3, 13, *range(20, 30)]))
        again = list(workers.run([5]))
    assert {one.task: one.result[0] for one in done if one.error is None} == {
        task: task * task for task in (1, 2, *range(20, 30))
    }
    errors = {one.task: one.error for one in done if one.error is not None}
    assert set(errors) == {-3, 13} and errors[-3].what == "-3 is negative" and errors[-3].fix == "Take another."
    assert "exit code 3" in errors[13].what
    processes = Counter(one.result[1] for one in (*done, *again) if one.error is None)
    assert os.getpid() not in processes and again[0].result[0] == 25


def test_what_would_go_wrong_with_every_task_ends_all():
    with pytest.raises(OutputError, match="the disk is full"), Workers(Squarer, 2) as workers:
        list(workers.run([1, 99, *range(50)]))


@pytest.mark.parametrize("count", [1, 2])
def test_what_no_process_can_begin_with_ends_all_with_its_own_advice(count):
    with pytest.raises(DeviceError, match="there is no calculator") as caught, Workers(no_squarer, count) as workers:
        list(workers.run(range(5)))
    assert caught.value.fix == "Buy one."


def test_one_worker_works_here():
    with Workers(Squarer, 1) as workers:
        assert [one.result and one.result for one in workers.run([3, -1])] == [(9, os.getpid()), None]
    with pytest.raises(OutputError), Workers(Squarer, 1) as workers:
        list(workers.run([99]))
