"""The command as users run it, on small videos of numbered frames with true landmarks."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from media_factory import media_facts, read_number, tone
from raw_videos import (
    clicking,
    contents,
    files_of,
    leftovers,
    run,
    summary_of,
    true_landmarks,
    write_numbered,
    write_settings,
    written,
)

from musetalk.media.frames import open_source
from musetalk.training.clip_meta import read_list, read_meta
from musetalk.training.clip_store import RegionFile, RegionWriter
from musetalk.training.preprocess.settings import PreprocessConfig

REPOSITORY = Path(__file__).parents[2]
NASTY = "a 'b' \"c\" $(touch owned) ü"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_settings(tmp_path)
    return tmp_path


def samples(path):
    with wave.open(str(path)) as reader:
        assert (reader.getframerate(), reader.getnchannels(), reader.getsampwidth()) == (16000, 1, 2)
        return np.frombuffer(reader.readframes(reader.getnframes()), "<i2")


def numbers(path):
    return [read_number(frame) for frame in open_source(path).frames()]


def clip_names(path):
    return [meta.relative_to("meta").with_suffix("").as_posix() for meta in read_list(path)]


def test_videos_become_clips_lists_and_a_summary(folder):
    write_numbered(folder / "raw" / f"{NASTY}.mp4", 57)
    write_numbered(folder / "raw" / "deep" / "er" / "held_out_7.mkv", 35)
    (folder / "raw" / "notes.txt").write_text("not a video")

    assert run() == 0

    assert clip_names("train.txt") == [f"{NASTY}_clip000", f"{NASTY}_clip001"]
    assert clip_names("val.txt") == ["deep/er/held_out_7_clip000", "deep/er/held_out_7_clip001"]
    assert Path("files.txt").read_text().splitlines() == [f"{NASTY}.mp4", "deep/er/held_out_7.mkv"]
    summary = summary_of(folder)
    assert (summary["videos"], summary["kept"], summary["train"], summary["val"]) == (2, 4, 2, 2)
    assert summary["dropped_names"] == {"too short": [f"{NASTY}_clip002"]} and not summary["failed"]
    assert summary["kept_seconds"] == (25 + 25 + 25 + 10) / 25
    assert not (folder / "owned").exists() and not leftovers(folder)
    dropped = read_meta(f"meta/{NASTY}_clip002.json")
    assert (dropped.isvalid, dropped.dropped, dropped.frames) == (False, "too short", 7)
    assert not dropped.mp4_path.exists() and not dropped.wav_path.exists()
    assert all(Path(name).suffix != ".tmp" for name in files_of(folder))


def test_a_clip_holds_its_own_frames_sound_and_faces(folder):
    write_numbered(folder / "raw" / "x.mp4", 60)
    assert run() == 0
    truth = true_landmarks(60)
    for path, first, count in zip(read_list("train.txt"), (0, 25, 50), (25, 25, 10), strict=True):
        meta = read_meta(path)
        assert (meta.first_frame, meta.frames, meta.video_size, meta.isvalid) == (first, count, (96, 160), True)
        assert numbers(meta.mp4_path) == list(range(first, first + count))
        facts = media_facts(meta.mp4_path)
        assert (facts.frame_count, facts.fps, facts.video_codec, facts.audio_codec) == (count, 25, "h264", "aac")
        assert abs(facts.audio_seconds - facts.video_seconds) < Fraction(1, 10)
        assert len(samples(meta.wav_path)) == count * 640
        np.testing.assert_allclose(meta.landmarks, truth[first : first + count], atol=0.006)
        np.testing.assert_allclose(meta.detections[:, 2:], meta.landmarks.max(axis=1), atol=0.006)
        assert (meta.detections[:, 1] < meta.landmarks[:, :, 1].min(axis=1)).all()  # the forehead
        assert meta.face_size == (round(60 * 1.16), 60) and meta.has_face.all()
        regions = RegionFile(meta.regions_path)
        assert len(regions) == count and all(regions.has(i) for i in range(count))
        for index, frame in enumerate(open_source(meta.mp4_path).frames()):
            if index % 9 == 0:
                region, (x1, y1, x2, y2) = regions.read(index), regions.box(index)
                assert np.abs(region.image.astype(int) - frame[y1:y2, x1:x2]).mean() < 6


def click_places(path):
    """When clicks begin in a WAV, in frames."""
    loud = np.flatnonzero(np.abs(samples(path).astype(int)) > 12000)
    return loud[np.diff(loud, prepend=-10000) > 1000] / 640


@pytest.mark.parametrize(
    ("name", "rate", "options"),
    [
        ("x.mp4", 25, {}),
        ("x.mkv", 25, {"sound_codec": "pcm_s16le"}),
        ("x.mov", Fraction(30000, 1001), {"b_frames": 2}),
        ("x.ts", 25, {"sound_codec": "mp2"}),
        ("x.avi", 25, {"codec": "mpeg4", "sound_codec": "pcm_s16le"}),
        ("x.mp4", 12, {}),
    ],
)
def test_sound_stays_with_the_picture(folder, name, rate, options):
    """A click in the middle of every tenth raw frame is heard when the clips show that frame."""
    frames = round(4 * rate)
    write_numbered(folder / "raw" / name, frames, rate, sound=clicking(frames, Fraction(rate)), truth=False, **options)
    np.savez("raw/x.landmarks.npz", landmarks=true_landmarks(100 if rate != Fraction(30000, 1001) else 101))
    assert run() == 0
    heard = []
    for path in read_list("train.txt"):
        meta = read_meta(path)
        heard += [meta.first_frame + place for place in click_places(meta.wav_path)]
        shown = numbers(meta.mp4_path)
        # Frame k of 25 fps is the raw one that is on display at k / 25 s.
        assert shown == [int((meta.first_frame + k) * Fraction(rate) / 25) for k in range(meta.frames)]
    due = (np.arange(0, frames, 10) + 0.5) * 25 / float(rate)
    assert len(heard) == len(due)
    assert np.abs(np.array(heard) - due).max() < 0.15  # 6 ms


@pytest.mark.parametrize("picture_late", [0, 10])
def test_tracks_that_begin_at_different_times(folder, picture_late):
    """In a transport stream the picture often begins after the sound: what is heard before it is cut off."""
    stamps = [picture_late + i for i in range(50)]
    write_numbered(
        folder / "raw" / "x.mkv",
        50,
        sound=clicking(60, start=picture_late / 25),
        stamps=stamps,
        time_base=Fraction(1, 25),
        sound_codec="pcm_s16le",
    )
    assert run() == 0
    for path in read_list("train.txt"):
        meta = read_meta(path)
        assert numbers(meta.mp4_path) == list(range(meta.first_frame, meta.first_frame + 25))
        places = meta.first_frame + click_places(meta.wav_path)
        assert len(places) in (2, 3)
        assert np.abs(places % 10 - 0.5).max() < 0.1


def test_nothing_is_done_again(folder, monkeypatch):
    write_numbered(folder / "raw" / "x.mp4", 50)
    assert run() == 0
    before = written(folder)
    monkeypatch.setattr("musetalk.training.preprocess.maker.ClipMaker.do", lambda self, task: pytest.fail("work"))
    assert run() == 0
    after = written(folder)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"meta/summary.json", "train.txt", "val.txt", "files.txt"}
    assert "reused" not in changed and set(after) == set(before)


@pytest.fixture(scope="module")
def finished_folder(tmp_path_factory):
    """Two videos, preprocessed."""
    folder = tmp_path_factory.mktemp("finished")
    write_settings(folder)
    write_numbered(folder / "raw" / "x.mp4", 50)
    write_numbered(folder / "raw" / "y.mp4", 50)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run() == 0
    return folder


@pytest.fixture
def done(folder, finished_folder):
    """The same in `folder`; when each file was written."""
    shutil.copytree(finished_folder, folder, dirs_exist_ok=True)
    return written(folder)


def made_again(folder, done):
    after = written(folder)
    lists = {"meta/summary.json", "train.txt", "val.txt", "files.txt"}
    return {name for name in after if after[name] != done.get(name)} - lists


def test_a_changed_filter_looks_for_no_face_and_cuts_nothing(folder, done, monkeypatch):
    for name in ("read_truth", "find_track", "cut_picture"):
        monkeypatch.setattr(f"musetalk.training.preprocess.maker.{name}", lambda *_: pytest.fail("work"))
    assert run("min_face_size=61") == 1
    assert summary_of(folder)["dropped"] == {"face too small": 4}
    assert read_meta("meta/x_clip000.json").dropped == "face too small"
    assert not list((folder / "clips").iterdir()) and Path("train.txt").read_text() == ""


def test_a_filter_that_drops_nothing_changes_only_metadata(folder, done):
    assert run("min_face_size=20") == 0
    clips = [f"{video}_clip00{number}.json" for video in "xy" for number in range(2)]
    assert made_again(folder, done) == {f"meta/{place}{clip}" for place in ("", ".work/") for clip in clips}


def test_a_clip_that_was_dropped_comes_back(folder, done):
    before = contents(folder)
    assert run("min_face_size=61") == 1
    assert run() == 0
    assert contents(folder) == before


def test_another_quality_stores_regions_again_and_cuts_nothing(folder, done, monkeypatch):
    for name in ("read_truth", "cut_picture"):
        monkeypatch.setattr(f"musetalk.training.preprocess.maker.{name}", lambda *_: pytest.fail("work"))
    assert run("region_quality=40") == 0
    again = made_again(folder, done)
    assert {name for name in again if name.startswith("clips/")} == {
        f"clips/{v}_clip00{i}.regions" for v in "xy" for i in "01"
    }


def test_another_length_cuts_the_same_video_again(folder, done):
    assert run("clip_len_second=2") == 0
    assert not any(name.startswith("v25") for name in made_again(folder, done))
    assert clip_names("train.txt") == ["x_clip000", "y_clip000"]
    assert not [name for name in files_of(folder) if "clip001" in name]


def test_a_changed_video_is_done_again_and_no_other(folder, done):
    write_numbered(folder / "raw" / "y.mp4", 75)
    assert run() == 0
    assert clip_names("train.txt") == ["x_clip000", "x_clip001", "y_clip000", "y_clip001", "y_clip002"]
    assert not any("x" in name.split("_")[0] for name in made_again(folder, done))


def test_changed_landmarks_are_read_again(folder, done):
    np.savez("raw/y.landmarks.npz", landmarks=true_landmarks(50, width=40))
    assert run() == 0
    assert read_meta("meta/y_clip000.json").face_size[1] == 40
    again = {name for name in made_again(folder, done) if name.startswith("clips/")}
    assert again == {"clips/y_clip000.regions", "clips/y_clip001.regions"}


DAMAGED = (
    "v25/x.mp4", "v25/x.wav", "v25/x.json", "clips/x_clip001.mp4", "clips/x_clip001.wav", "clips/x_clip001.regions",
    "meta/x_clip001.json", "meta/.work/x_clip001.json",
)  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_a_file_that_was_cut_short_or_removed_is_made_again(folder, done, name):
    before = contents(folder)
    whole = (folder / name).read_bytes()
    if not name.startswith("meta/x"):
        (folder / name).write_bytes(whole[: len(whole) // 2])
        assert run() == 0
        assert contents(folder) == before
    (folder / name).unlink()
    assert run() == 0
    assert contents(folder) == before
    assert not any(name.startswith(("clips/y", "v25/y", "meta/y")) for name in made_again(folder, done))


def test_an_interrupted_run_goes_on_where_it_was(folder, monkeypatch, capsys):
    write_numbered(folder / "raw" / "x.mp4", 75)
    write_numbered(folder / "raw" / "y.mp4", 50)
    write, count = RegionWriter.write, iter(range(1000))

    def interrupted(self, frame, box):
        if next(count) == 60:
            raise KeyboardInterrupt
        write(self, frame, box)

    monkeypatch.setattr(RegionWriter, "write", interrupted)
    assert run() == 130
    assert not leftovers(folder) and "Traceback" not in capsys.readouterr().err
    assert not Path("train.txt").exists()
    whole = written(folder)
    assert "meta/x_clip001.json" in whole and "meta/x_clip002.json" not in whole
    assert "clips/x_clip002.mp4" not in whole

    monkeypatch.setattr(RegionWriter, "write", write)
    assert run() == 0
    assert clip_names("train.txt") == ["x_clip000", "x_clip001", "x_clip002", "y_clip000", "y_clip001"]
    after = written(folder)
    assert {name for name in whole if after[name] != whole[name]} == {"files.txt"}
    resumed = contents(folder)
    for path in files_of(folder).values():
        path.unlink()
    assert run() == 0
    assert contents(folder) == resumed


def test_a_full_disk_stops_and_leaves_nothing_half_made(folder, monkeypatch, capsys):
    write_numbered(folder / "raw" / "x.mp4", 50)
    write, count = RegionWriter.write, iter(range(1000))

    def full(self, frame, box):
        if next(count) == 30:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, frame, box)

    monkeypatch.setattr(RegionWriter, "write", full)
    assert run() == 1
    errors = capsys.readouterr().err
    assert "x_clip001.regions: the disk is full" in errors and "Traceback" not in errors
    assert not leftovers(folder)
    assert "meta/x_clip000.json" in files_of(folder) and "meta/x_clip001.json" not in files_of(folder)
    monkeypatch.setattr(RegionWriter, "write", write)
    assert run() == 0 and len(read_list("train.txt")) == 2


def test_what_a_killed_run_was_writing_is_removed(folder):
    write_numbered(folder / "raw" / "x.mp4", 30)
    (folder / "clips" / "deep").mkdir(parents=True)
    (folder / "clips" / "deep" / ".musetalk-0123.partial.mp4").write_bytes(b"half")
    (folder / "meta" / ".work").mkdir(parents=True)
    (folder / "meta" / ".work" / "lock").write_text("999999999")  # of no process
    assert run() == 0
    assert not leftovers(folder)


def test_two_runs_do_not_share_folders(folder, capsys):
    write_numbered(folder / "raw" / "x.mp4", 30)
    (folder / "meta" / ".work").mkdir(parents=True)
    (folder / "meta" / ".work" / "lock").write_text(str(os.getppid()))
    assert run() == 1
    assert f"process {os.getppid()} is preprocessing into the same folders" in capsys.readouterr().err
    assert (folder / "meta" / ".work" / "lock").exists()


def test_broken_videos_are_named_and_the_others_done(folder, capsys):
    write_numbered(folder / "raw" / "good.mp4", 30)
    whole = write_numbered(folder / "raw" / "cut.mp4", 30).read_bytes()
    (folder / "raw" / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "raw" / "noise.mov").write_bytes(np.random.default_rng(0).bytes(5000))
    (folder / "raw" / "empty.avi").write_bytes(b"")
    write_numbered(folder / "raw" / "no_truth.mp4", 30, truth=False)
    write_numbered(folder / "raw" / "wrong_truth.mp4", 30)
    np.savez("raw/wrong_truth.landmarks.npz", landmarks=true_landmarks(29))

    assert run() == 1

    errors = capsys.readouterr().err
    for name in ("cut", "noise", "empty", "no_truth_clip000", "wrong_truth_clip000"):
        assert f"error: {name}: " in errors
    assert "Traceback" not in errors and "could not be read: " in errors
    assert "no_truth.landmarks.npz: no such file" in errors and "(29, 68, 2)" in errors
    assert clip_names("train.txt") == ["good_clip000"]
    summary = summary_of(folder)
    assert len(summary["failed"]) == summary["dropped"]["unreadable"] >= 5
    assert not [name for name in files_of(folder) if name.startswith("clips/") and "good" not in name]
    (folder / "raw" / "cut.mp4").write_bytes(whole)  # copied again
    assert run() == 1
    assert clip_names("train.txt") == ["cut_clip000", "good_clip000"]


def test_videos_without_sound_are_dropped(folder):
    from media_factory import numbered_frame, write_video

    write_numbered(folder / "raw" / "good.mp4", 30)
    write_video(folder / "raw" / "silent_film.mp4", [numbered_frame(i) for i in range(30)])
    write_numbered(folder / "raw" / "muted.mp4", 30, sound=np.zeros((1, 57600), np.float32))
    assert run() == 0
    assert summary_of(folder)["dropped_names"]["no sound"] == ["muted_clip000", "silent_film"]
    assert clip_names("train.txt") == ["good_clip000"]


def test_clips_end_where_the_sound_does(folder):
    write_numbered(folder / "raw" / "x.mp4", 150, sound=tone(3.5, 48000))  # cut at the last whole second
    write_numbered(folder / "raw" / "y.mp4", 50, sound=tone(1.9, 48000))  # the last frames are silent
    assert run("clip_len_second=2") == 0
    metas = [read_meta(path) for path in read_list("train.txt")]
    assert [meta.frames for meta in metas] == [50, 25, 50]
    assert [len(samples(meta.wav_path)) for meta in metas] == [meta.frames * 640 for meta in metas]


def test_nothing_to_do_is_an_error(folder, capsys):
    assert run() == 1
    assert "raw: no such folder" in capsys.readouterr().err
    (folder / "raw").mkdir()
    (folder / "raw" / "readme.txt").write_text("hello")
    (folder / "raw" / ".hidden.mp4").write_text("hello")
    assert run() == 1
    assert "raw: no video in this folder" in capsys.readouterr().err
    write_numbered(folder / "raw" / "x.mp4", 5)
    assert run() == 1
    told = capsys.readouterr()
    assert "no clip was kept" in told.err and "dropped 1: too short (x_clip000)" in told.out


def test_frames_without_a_face(folder):
    write_numbered(folder / "raw" / "x.mp4", 75)
    landmarks = true_landmarks(75)
    landmarks[3] = np.nan
    landmarks[25:50] = np.nan
    landmarks[60:70] = np.nan
    np.savez("raw/x.landmarks.npz", landmarks=landmarks)
    assert run() == 0
    assert summary_of(folder)["dropped_names"] == {
        "no face": ["x_clip001"],
        "no face in too many frames": ["x_clip002"],
    }
    meta = read_meta("meta/x_clip000.json")
    assert meta.has_face.sum() == 24 and not meta.has_face[3]
    assert not RegionFile(meta.regions_path).has(3)


def test_a_clip_is_split_where_the_face_jumps(folder):
    write_numbered(folder / "raw" / "x.mp4", 125)
    landmarks = true_landmarks(125, width=40, x=10)
    landmarks[60:] += [90, 0]  # another camera
    np.savez("raw/x.landmarks.npz", landmarks=landmarks)
    assert run("clip_len_second=5") == 0
    assert clip_names("train.txt") == ["x_clip000_part0", "x_clip000_part1"]
    metas = [read_meta(path) for path in read_list("train.txt")]
    assert [(meta.first_frame, meta.frames) for meta in metas] == [(0, 50), (75, 50)]
    for meta in metas:
        assert numbers(meta.mp4_path) == list(range(meta.first_frame, meta.first_frame + 50))
        assert len(samples(meta.wav_path)) == 50 * 640
        np.testing.assert_allclose(meta.landmarks, landmarks[meta.first_frame :][:50], atol=0.006)
    assert not Path("clips/x_clip000.mp4").exists() and not Path("meta/x_clip000.json").exists()
    before = written(folder)
    assert run("clip_len_second=5") == 0
    assert not made_again(folder, before)
    assert run("clip_len_second=5", "min_clip_frames=60") == 1
    assert not Path("clips/x_clip000_part0.mp4").exists()


def test_a_clip_and_its_twin_name_each_other(folder):
    write_numbered(folder / "raw" / "x.mp4", 60)
    write_numbered(folder / "raw" / "x.twin.mp4", 60)
    write_numbered(folder / "raw" / "y.mp4", 30)
    write_numbered(folder / "raw" / "z.mp4", 30)
    write_numbered(folder / "raw" / "z.twin.mp4", 40)  # not the same frames
    assert run() == 0
    clips = [f"{name}_clip00{number}" for name in ("x", "x.twin") for number in range(3)]
    clips += ["y_clip000", "z_clip000", "z.twin_clip000", "z.twin_clip001"]
    assert clip_names("train.txt") == clips
    for name, twin in (("x_clip001", "x.twin_clip001"), ("x_clip002", "x.twin_clip002")):
        meta, other = read_meta(f"meta/{name}.json"), read_meta(f"meta/{twin}.json")
        assert meta.twins == (Path(f"meta/{twin}.json"),)
        assert other.isvalid and other.twins == (Path(f"meta/{name}.json"),)
        assert (meta.frames, meta.first_frame) == (other.frames, other.first_frame)
    for name in ("y", "z", "z.twin"):
        assert not read_meta(f"meta/{name}_clip000.json").twins
    assert summary_of(folder)["twins"] == 0
    before = written(folder)
    assert run() == 0
    assert not made_again(folder, before)
    # A twin that goes away or comes changes the clips that name it, and no others.
    before = written(folder)
    (folder / "raw" / "x.twin.mp4").unlink()
    assert run() == 0
    assert not read_meta("meta/x_clip001.json").twins
    again = made_again(folder, before)
    assert again == {f"meta/{w}x_clip00{i}.json" for w in ("", ".work/") for i in range(3)}


def test_a_clip_may_have_several_twins(folder):
    for name in ("x", "x.twin", "x.twin2"):
        write_numbered(folder / "raw" / f"{name}.mp4", 30)
    write_numbered(folder / "raw" / "x.twin3.mp4", 40)  # not the same frames
    assert run() == 0
    family = {name: Path(f"meta/{name}_clip000.json") for name in ("x", "x.twin", "x.twin2")}
    for name, path in family.items():
        assert set(read_meta(path).twins) == set(family.values()) - {path}, name
    assert not read_meta("meta/x.twin3_clip000.json").twins


def test_a_twin_needs_no_sound(folder):
    from media_factory import numbered_frame, write_video

    write_numbered(folder / "raw" / "x.mp4", 30)
    write_video(folder / "raw" / "x.twin.mp4", [numbered_frame(i) for i in range(30)])
    np.savez("raw/x.twin.landmarks.npz", landmarks=true_landmarks(30))
    assert run() == 0
    assert read_meta("meta/x_clip000.json").twins == (Path("meta/x.twin_clip000.json"),)
    assert not read_meta("meta/x.twin_clip000.json").twins
    assert clip_names("train.txt") == ["x_clip000"] and summary_of(folder)["twins"] == 1


def test_videos_of_one_name_do_not_collide(folder):
    for name in ("x.mp4", "x.mkv", "a/x.mp4", "b/x.mp4"):
        write_numbered(folder / "raw" / name, 30)
    assert run() == 0
    assert clip_names("train.txt") == ["a/x_clip000", "b/x_clip000", "x.mkv_clip000", "x.mp4_clip000"]


def test_odd_sizes(folder):
    write_numbered(folder / "raw" / "x.mkv", 30, size=(161, 97), codec="ffv1", pix_fmt="yuv444p")
    assert run() == 0
    meta = read_meta("meta/x_clip000.json")
    assert meta.video_size == (98, 162) == media_facts(meta.mp4_path).size[::-1]


def test_several_processes_make_the_same(folder):
    for name in "abc":
        write_numbered(folder / "raw" / f"{name}.mp4", 60)
    (folder / "raw" / "broken.mp4").write_bytes(b"no video")
    assert run() == 1
    one = contents(folder)
    for path in files_of(folder).values():
        path.unlink()
    assert run("num_workers=2") == 1
    assert contents(folder) == one
    assert not leftovers(folder)


@pytest.mark.skipif(os.name == "nt", reason="no SIGTERM")
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("SIGTERM", 143),
        pytest.param("SIGINT", 130, marks=pytest.mark.slow),
        pytest.param("SIGKILL", -9, marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_the_command_and_its_processes(folder, name, code):
    import psutil

    number = getattr(signal, name)
    for video in "abc":
        write_numbered(folder / "raw" / f"{video}.mp4", 250)
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.preprocess", "--config", "preprocess.yaml", "num_workers=2"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    waiting = threading.Event()  # nobody sets it: it leaves the processor to the command
    try:
        while process.poll() is None and not list(folder.glob("meta/.work/*_clip*.json")):
            waiting.wait(0.02)
        children = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code
    assert "Traceback" not in errors
    assert children and not psutil.wait_procs(children, timeout=60)[1]
    assert name == "SIGKILL" or not leftovers(folder)
    records = list(folder.glob("meta/.work/*_clip*.json"))
    assert records and len(records) < 30  # it did not just finish
    before = {path: path.stat().st_mtime_ns for path in records}
    assert run() == 0
    assert len(read_list("train.txt")) == 30 and not leftovers(folder)
    assert before == {path: path.stat().st_mtime_ns for path in records}


def test_a_syncnet_decides(folder):
    """An untrained network of our layout, whose similarities never lie 2 above their median."""
    import torch
    from formula_weights import fill
    from omegaconf import OmegaConf
    from syncnet_factory import TINY, tiny_syncnet

    write_numbered(folder / "raw" / "x.mp4", 50)
    Path("tiny.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(TINY)))
    torch.save({"state_dict": fill(tiny_syncnet()).state_dict()}, "tiny.pt")
    words = ("syncnet=tiny.pt", "syncnet_config=tiny.yaml", "sync_max_offset=15", "gpu_id=-1", "clip_len_second=2")
    assert run(*words, "sync_min_confidence=2") == 1
    assert summary_of(folder)["dropped"] == {"out of sync": 1} and not Path("clips/x_clip000.mp4").exists()
    assert run(*words, "sync_min_confidence=-1") == 0
    assert summary_of(folder)["kept"] == 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"clip_len_seconds": 3}, "did you mean clip_len_second?"),
        ({"clip_len_second": 2.5}, "clip_len_second"),
        ({"clip_len_second": 0}, "is below 1"),
        ({"num_workers": 0}, "num_workers"),
        ({"face_finder": "dlib"}, "face_finder"),
        ({"landmarks": "guess"}, "detect, truth"),
        ({"val_list_hdtf": "x"}, "val_list_hdtf"),
        ({"val_list_hdtf": ["x", ""]}, "empty entry"),
        ({"meta_root": "clips"}, "video_audio_clip_root and meta_root are the same folder"),
        ({"meta_root": "raw/meta"}, "meta_root is inside video_root_raw"),
        ({"video_clip_file_list_val": "./train.txt"}, "the same file"),
        ({"landmarks": "detect", "face_finder": "dwpose", "models_dir": "nowhere"}, "dw-ll_ucoco_384.pth"),
        ({"syncnet": "models/syncnet.pt"}, "syncnet"),
    ],
)
def test_wrong_settings_are_found_before_any_work(folder, capsys, changes, told):
    write_numbered(folder / "raw" / "x.mp4", 30)
    write_settings(folder, **changes)
    assert run() == 1
    lines = capsys.readouterr().err.splitlines()
    assert told in lines[0] and lines[0].startswith("error: ") and lines[1].startswith("  fix: ")
    assert not (folder / "v25").exists()


def test_all_wrong_settings_are_told_at_once(folder, capsys):
    write_settings(folder, clip_len_second="long", nmu_workers=3)
    settings = json.loads(Path("preprocess.yaml").read_text())
    del settings["meta_root"]
    Path("preprocess.yaml").write_text(json.dumps(settings))
    assert run() == 1
    errors = capsys.readouterr().err
    assert "clip_len_second" in errors and "did you mean num_workers?" in errors and "meta_root is missing" in errors


def test_usage_errors_exit_with_2(folder, capsys):
    from scripts import preprocess

    with pytest.raises(SystemExit) as caught:
        preprocess.main(["--conf"])
    assert caught.value.code == 2
    assert run("min_face_size") == 1 and "key=value" in capsys.readouterr().err
    assert preprocess.main(["--config", "none.yaml"]) == 1


def test_the_published_keys_alone_are_enough(folder):
    from musetalk.schema import parse

    published = {
        "clip_len_second": 30, "video_root_raw": "a/", "val_list_hdtf": ["x"], "video_root_25fps": "b/",
        "video_file_list": "f.txt", "video_audio_clip_root": "c/", "meta_root": "d/",
        "video_clip_file_list_train": "t.txt", "video_clip_file_list_val": "v.txt",
    }  # fmt: skip
    config, warnings = parse(PreprocessConfig, published, "here")
    assert config.clip_frames == 750 and not warnings


def test_the_repositorys_settings_are_the_defaults():
    from musetalk.schema import read_settings
    from musetalk.training.preprocess.settings import check_paths

    path = REPOSITORY / "configs/training/preprocess.yaml"
    config, warnings = read_settings(PreprocessConfig, path)
    check_paths(config, path)
    assert not warnings and config.clip_len_second == 30 and len(config.val_list_hdtf) == 20
    from dataclasses import MISSING, fields

    for entry in fields(PreprocessConfig):
        if entry.default is not MISSING and entry.name not in ("val_list_hdtf", "num_workers"):
            assert getattr(config, entry.name) == entry.default, entry.name
