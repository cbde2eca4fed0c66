"""Preprocessing with a real face finder, on the demonstration presenter."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from raw_videos import (
    needs_presenter,
    presenter_frames,
    run,
    summary_of,
    write_frames,
    write_settings,
    written,
)

from musetalk.face.mediapipe_finder import MediaPipeFinder
from musetalk.training.clip_meta import read_list, read_meta
from musetalk.training.clip_store import RegionFile

COUNT = 50


def placed(frame, x, width=512):
    """The frame at x on a wide grey one."""
    wide = np.full((frame.shape[0], width, 3), 90, np.uint8)
    wide[:, x : x + frame.shape[1]] = frame
    return wide


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One run over videos that are to be kept and dropped for different reasons."""
    folder = tmp_path_factory.mktemp("faces")
    frames = presenter_frames(COUNT)
    write_frames(folder / "raw" / "alone.mp4", frames)
    write_frames(folder / "raw" / "two.mp4", [np.concatenate([frame, frame], axis=1) for frame in frames])
    write_frames(folder / "raw" / "nobody.mp4", [np.roll(np.full_like(frame, 90), 3) for frame in frames])
    small = [cv2.resize(frame, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA) for frame in frames]
    write_frames(folder / "raw" / "small.mp4", [placed(frame[:152], 100, 400) for frame in small])
    left = [placed(frame, 0) for frame in frames]
    right = [placed(frame[:, ::-1], 256) for frame in frames]
    write_frames(folder / "raw" / "cut.mp4", left + right)
    write_settings(folder, landmarks="detect", face_finder="mediapipe", clip_len_second=4, min_face_size=100)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run() == 0
    return folder


@needs_presenter
def test_clips_are_dropped_for_their_faces(folder):
    assert summary_of(folder)["dropped_names"] == {
        "no face": ["nobody_clip000"],
        "several people": ["two_clip000"],
        "face too small": ["small_clip000"],
    }


@needs_presenter
def test_a_face_is_found_where_it_is(folder, monkeypatch):
    monkeypatch.chdir(folder)
    meta = read_meta("meta/alone_clip000.json")
    assert meta.has_face.all() and meta.isvalid and 110 < meta.face_size[1] < 150
    with MediaPipeFinder() as finder:
        for index, frame in enumerate(presenter_frames(COUNT)):
            if index % 15 == 0:
                (face,) = finder.find([frame])
                np.testing.assert_allclose(meta.landmarks[index], face.landmarks, atol=3)
    x1, y1, x2, y2 = RegionFile(meta.regions_path).box(0)
    inside = (meta.landmarks[0] >= [x1, y1]) & (meta.landmarks[0] <= [x2, y2])
    assert inside.all()


@needs_presenter
def test_a_cut_between_cameras_ends_a_clip(folder, monkeypatch):
    monkeypatch.chdir(folder)
    metas = [read_meta(path) for path in read_list("train.txt") if "cut" in path.name]
    assert [(meta.mp4_path.name, meta.first_frame, meta.frames) for meta in metas] == [
        ("cut_clip000_part0.mp4", 0, 50),
        ("cut_clip000_part1.mp4", 50, 50),
    ]
    assert np.nanmax(metas[0].landmarks[..., 0]) < 256 < np.nanmin(metas[1].landmarks[..., 0])


@needs_presenter
def test_a_changed_filter_finds_no_face_again(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(MediaPipeFinder, "find", lambda self, frames: pytest.fail("faces are found again"))
    before = {name: time for name, time in written(folder).items() if name.endswith(".npz")}
    assert run("max_several_faces=1", "min_face_size=50") == 0
    kept = {path.stem for path in read_list("train.txt")}
    assert {"two_clip000", "small_clip000"} <= kept
    assert {name: time for name, time in written(folder).items() if name.endswith(".npz")} == before
    monkeypatch.undo()
