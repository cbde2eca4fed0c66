from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from musetalk.errors import InputError
from musetalk.training.clip_meta import ClipMeta, median_face_size, read_list, read_meta, write_list, write_meta


def published(frames=3):
    """What the published preprocessing writes."""
    return {
        "mp4_path": "clips/a.mp4",
        "wav_path": "clips/a.wav",
        "video_size": [512, 640],
        "face_size": [200, 180],
        "frames": frames,
        "face_list": [[10.5, 20, 190.25, 220]] * frames,
        "landmark_list": [[[x, x + 1] for x in range(68)]] * frames,
        "isvalid": True,
    }


def write_json(path: Path, content) -> Path:
    path.write_text(json.dumps(content))
    return path


def meta_of(**changes) -> ClipMeta:
    detections = np.array([[1, 2, 31, 42], [np.nan] * 4, [3.126, 2, 31, 42]], np.float32)
    landmarks = np.random.default_rng(0).uniform(0, 40, (3, 68, 2)).astype(np.float32)
    landmarks[1] = np.nan
    values = {
        "mp4_path": Path("a b.mp4"),
        "wav_path": Path("ü.wav"),
        "video_size": (96, 128),
        "face_size": (40, 30),
        "frames": 3,
        "detections": detections,
        "landmarks": landmarks,
        "isvalid": True,
    }
    return ClipMeta(**{**values, **changes})


def test_a_published_file_is_read(tmp_path):
    meta = read_meta(write_json(tmp_path / "a.json", published()))

    assert (meta.video_size, meta.face_size, meta.frames, meta.isvalid) == ((512, 640), (200, 180), 3, True)
    assert meta.detections.dtype == np.float32 and meta.detections[1].tolist() == [10.5, 20, 190.25, 220]
    assert meta.landmarks.shape == (3, 68, 2) and meta.landmarks[2, 5].tolist() == [5, 6]
    assert meta.has_face.all() and meta.fps == 25
    assert (meta.regions_path, meta.dropped, meta.settings, meta.mouths) == (None,) * 4 and meta.twins == ()


def test_what_is_written_is_read_again(tmp_path):
    mouths = np.random.default_rng(3).uniform(0, 1, (3, 13)).astype(np.float32)
    given = meta_of(
        twins=(Path("t.json"), Path("u.json")),
        regions_path=Path("a.regions"),
        settings="f00",
        first_frame=750,
        mouths=mouths,
    )

    write_meta(tmp_path / "deep" / "a.json", given)
    read = read_meta(tmp_path / "deep" / "a.json")

    for name in ("mp4_path", "wav_path", "video_size", "face_size", "frames", "isvalid", "regions_path", "settings"):
        assert getattr(read, name) == getattr(given, name)
    assert (read.twins, read.first_frame, read.dropped) == ((Path("t.json"), Path("u.json")), 750, None)
    np.testing.assert_allclose(read.detections, given.detections, atol=0.006)
    np.testing.assert_allclose(read.landmarks, given.landmarks, atol=0.006)
    np.testing.assert_allclose(read.mouths, mouths, atol=0.0006)
    assert read.has_face.tolist() == [True, False, True]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("rows", "told"), [([[0.5] * 12] * 3, "not 13 numbers"), ([[0.5] * 13, None, [0.5] * 13], "null"), ([], "has 0")]
)
def test_wrong_mouths_are_named(tmp_path, rows, told):
    path = write_json(tmp_path / "a.json", {**published(), "mouth_list": rows})
    with pytest.raises(InputError, match=f"mouth_list.*{told}"):
        read_meta(path)


def test_the_keys_are_the_published_ones(tmp_path):
    write_meta(tmp_path / "a.json", meta_of())
    content = json.loads((tmp_path / "a.json").read_text())

    assert set(published()) <= set(content)
    assert content["face_list"][1] is None and content["landmark_list"][1] is None
    assert content["face_list"][2][0] == 3.13
    assert len(content["landmark_list"][0]) == 68


@pytest.mark.parametrize("empty", [None, []])
def test_frames_without_a_face_are_null_or_empty(tmp_path, empty):
    content = published()
    content["face_list"][1:] = [empty, [1, 2, 3, 4]]
    content["landmark_list"] = [content["landmark_list"][0], content["landmark_list"][1], empty]

    meta = read_meta(write_json(tmp_path / "a.json", content))

    assert meta.has_face.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("frames", 4),
        ("frames", "3"),
        ("frames", True),
        ("face_list", [[1, 2, 3]] * 3),
        ("face_list", [[5, 2, 3, 4]] * 3),
        ("face_list", [["a", 2, 3, 4]] * 3),
        ("face_list", 7),
        ("landmark_list", [[[1, 2]] * 67] * 3),
        ("landmark_list", [[[1, 2]] * 68, [[1, 2]] * 67, [[1, 2]] * 68]),
        ("landmark_list", [[[1, float("nan")]] * 68] * 3),
        ("video_size", [512]),
        ("isvalid", 1),
        ("mp4_path", ""),
        ("wav_path", 3),
        ("twins", 3),
        ("dropped", {}),
    ],
)
def test_a_wrong_value_is_named(tmp_path, key, value):
    path = write_json(tmp_path / "a.json", {**published(), key: value})

    with pytest.raises(InputError) as caught:
        read_meta(path)

    assert str(path) in caught.value.what and "\n" not in caught.value.what
    assert key in caught.value.what or "frames" in caught.value.what


@pytest.mark.parametrize("key", sorted(published()))
def test_a_missing_key_is_named(tmp_path, key):
    content = published()
    del content[key]
    with pytest.raises(InputError, match=f"a.json: {key} is missing"):
        read_meta(write_json(tmp_path / "a.json", content))


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[1]", b'{"frames": 3', b"[" * 100_000])
def test_something_else_is_no_clip(tmp_path, data):
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.json"):
        read_meta(tmp_path / "a.json")
    with pytest.raises(InputError, match="no such file"):
        read_meta(tmp_path / "b.json")


def test_a_moved_data_set_finds_its_files(tmp_path, monkeypatch):
    """Paths are relative to the working directory as published, and still lead somewhere from another one."""
    root = tmp_path / "data"
    (root / "clips").mkdir(parents=True)
    (root / "meta").mkdir()
    (root / "clips" / "a.mp4").write_bytes(b"x")
    write_json(root / "meta" / "a.json", published())
    monkeypatch.chdir(root)
    assert read_meta("meta/a.json").mp4_path == Path("clips/a.mp4")
    monkeypatch.chdir(tmp_path)
    meta = read_meta("data/meta/a.json")
    assert meta.mp4_path == root / "clips" / "a.mp4"
    assert meta.wav_path == Path("clips/a.wav")  # nowhere


def test_median_face_size_leaves_out_frames_without_a_face():
    boxes = np.array([[0, 0, 10, 20], [np.nan] * 4, [0, 0, 30, 50], [0, 0, 20, 30]])
    assert median_face_size(boxes) == (30, 20)
    assert median_face_size(boxes[1:2]) == (0, 0)


def test_a_list_keeps_its_first_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clips = [Path("meta/a.json"), Path("meta/b c.json")]
    write_list(Path("lists/train.txt"), clips)
    (tmp_path / "meta").mkdir()
    for clip in clips:
        clip.write_text("{}")

    assert read_list("lists/train.txt") == clips


def test_a_list_passes_over_blank_lines_and_comments(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "train.txt").write_bytes("\ufeff# mine\r\n\r\n a.json \r\n".encode())
    assert read_list(tmp_path / "train.txt") == [tmp_path / "a.json"]


def test_a_published_list_names_files_of_its_root(tmp_path):
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "a.json").write_text("{}")
    (tmp_path / "train.txt").write_text("a.json\n")
    assert read_list(tmp_path / "train.txt", [tmp_path / "meta"]) == [tmp_path / "meta" / "a.json"]


@pytest.mark.parametrize("data", [None, b"", b"# nothing\n\n", b"\xff\xff"])
def test_a_list_without_clips_is_an_error(tmp_path, data):
    if data is not None:
        (tmp_path / "train.txt").write_bytes(data)
    with pytest.raises(InputError, match=r"train\.txt"):
        read_list(tmp_path / "train.txt")
