"""Tracks: what of a clip's JSON is kept in a form that needs no parsing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from clip_factory import write_clip

from musetalk.errors import InputError
from musetalk.training import tracks as tracks_module
from musetalk.training.clip_meta import read_meta
from musetalk.training.crops import union_boxes
from musetalk.training.tracks import TrackStore


def test_a_track_holds_what_the_json_says(tmp_path: Path) -> None:
    clip = write_clip(tmp_path, "a", 40, no_face=[3, 17])
    track, meta = TrackStore(tmp_path / "cache").open(clip), read_meta(clip)
    assert np.array_equal(track.landmarks, meta.landmarks, equal_nan=True)
    assert np.array_equal(track.detections, meta.detections, equal_nan=True)
    boxes = union_boxes(meta.detections, meta.landmarks)
    assert np.flatnonzero(track.facts.widths == 0).tolist() == [3, 17]
    there = track.facts.widths > 0
    assert np.array_equal(track.facts.widths[there], (boxes[there, 2] - boxes[there, 0]).astype(int))
    assert track.facts.frame_size == meta.video_size and track.facts.frames == 40
    assert track.facts.wav == meta.wav_path and track.facts.regions == meta.regions_path
    assert track.facts.twins == () and track.facts.isvalid and track.facts.dropped is None
    assert track.mouths is None and not track.facts.has_mouths


def test_a_track_holds_the_mouths_of_a_clip_that_has_them(tmp_path: Path) -> None:
    mouths = np.random.default_rng(0).uniform(0, 1, (20, 13)).round(3).astype(np.float32)
    clip = write_clip(tmp_path, "a", 20, mouths=mouths)
    store = TrackStore(tmp_path / "cache")
    for _ in range(2):
        track = store.open(clip)
        assert track.facts.has_mouths and np.array_equal(track.mouths, mouths)
    assert np.array_equal(track.landmarks, read_meta(clip).landmarks)


def test_the_json_is_parsed_once_and_again_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_clip(tmp_path, "a", 20)
    parsed: list[Path] = []
    monkeypatch.setattr(tracks_module, "read_meta", lambda path: parsed.append(path) or read_meta(path))
    store = TrackStore(tmp_path / "cache")
    assert store.prepare([clip]) == {}
    for _ in range(3):
        TrackStore(tmp_path / "cache").open(clip)
    assert parsed == [clip]
    content = json.loads(clip.read_text())
    clip.write_text(json.dumps({**content, "isvalid": False, "dropped": "several people"}))
    os.utime(clip, ns=(0, 10**15))
    assert store.facts(clip).dropped == "several people"
    assert len(parsed) == 2


@pytest.mark.parametrize("damage", [b"", b"MuseTrk3\xff\xff\xff\xff", b"nothing of the kind"])
def test_a_damaged_track_is_made_again(tmp_path: Path, damage: bytes) -> None:
    clip = write_clip(tmp_path, "a", 20)
    store = TrackStore(tmp_path / "cache")
    landmarks = store.open(clip).landmarks
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(damage)
    assert np.array_equal(store.open(clip).landmarks, landmarks)
    file.write_bytes(file.read_bytes()[:-8])
    assert np.array_equal(store.open(clip).landmarks, landmarks)


def test_clips_that_cannot_be_read_are_named_with_the_reason(tmp_path: Path) -> None:
    good = write_clip(tmp_path, "good", 20)
    (tmp_path / "bad.json").write_text("{")
    orphan = write_clip(tmp_path, "orphan", 20, twins=[tmp_path / "gone.json"])
    failures = TrackStore(tmp_path / "cache").prepare([good, tmp_path / "bad.json", tmp_path / "none.json", orphan])
    assert list(failures) == [tmp_path / "bad.json", tmp_path / "none.json", orphan]
    assert "bad.json" in failures[tmp_path / "bad.json"] and "gone.json" in failures[orphan]
    with pytest.raises(InputError, match=r"none\.json"):
        TrackStore(tmp_path / "cache").open(tmp_path / "none.json")


def test_faces_outside_the_picture_cannot_be_used(tmp_path: Path) -> None:
    clip = write_clip(tmp_path, "a", 20)
    content = json.loads(clip.read_text())
    content["landmark_list"][5] = [[x + 500, y] for x, y in content["landmark_list"][5]]
    content["face_list"][5] = [600, 10, 760, 200]
    clip.write_text(json.dumps(content))
    widths = TrackStore(tmp_path / "cache").facts(clip).widths
    assert np.flatnonzero(widths == 0).tolist() == [5]
