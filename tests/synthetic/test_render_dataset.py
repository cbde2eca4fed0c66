"""The command that renders a dataset: its files, its truth, going on, and what it says when something is missing."""

from __future__ import annotations

import sys
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from musetalk.evaluation.lip_sync import gap_curve, width_curve
from musetalk.synthetic.synthesizers import available_engines
from musetalk.synthetic.utterance import SAMPLE_RATE
from musetalk.training.preprocess.faces import read_truth
from musetalk.training.preprocess.plan import find_videos
from scripts import render_heads

sys.path.insert(0, str(Path(__file__).parent))
from head_factory import need_renderer, write_folder, write_head

FRAMES, SIZE = 25, 96
SUFFIXES = {".mp4", ".wav", ".landmarks.npz", ".truth.npz", ".twin.mp4", ".twin.wav", ".twin.landmarks.npz"}


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    from musetalk.synthetic.head_model import HeadModel

    path = write_head(tmp_path_factory.mktemp("head") / "head.npz")
    if not available_engines():
        pytest.skip("no synthesizer is installed")
    need_renderer(HeadModel.load(path), 32).close()
    return path


def render(head, out, *words):
    flags = ["--head", head, "--out", out, "--seconds", 1, "--size", SIZE, *words]
    return render_heads.main([str(word) for word in flags])


@pytest.fixture(scope="module")
def dataset(head, tmp_path_factory):
    out = tmp_path_factory.mktemp("heads")
    assert render(head, out, "--clips", 2, "--twins") == 0
    return out


def frames_of(path):
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)])


def content(path):
    """What a file says, whatever the time at which it was written."""
    if path.suffix == ".npz":
        with np.load(path) as data:
            return {name: data[name].tolist() for name in data.files}
    return path.read_bytes()


def test_every_clip_has_its_files_and_nothing_else_is_left(dataset):
    names = {f"train_0_{number:05d}" for number in (0, 1)}
    assert {path.name for path in dataset.iterdir()} == {name + suffix for name in names for suffix in SUFFIXES}


def laughs_silently(path):
    with np.load(path.with_name(path.name.split(".")[0] + ".truth.npz")) as truth:
        return ".twin" in path.name and str(truth["twin_kind"]) == "laughing"


def test_video_sound_and_landmarks_fit_each_other(dataset):
    for path in sorted(dataset.glob("*.mp4")):
        frames = frames_of(path)
        assert frames.shape == (FRAMES, SIZE, SIZE, 3)
        landmarks, mouths = read_truth(path.with_suffix(".landmarks.npz"), FRAMES)
        assert landmarks.dtype == np.float32
        assert np.isfinite(landmarks).all()
        with np.load(path.with_name(path.name.split(".")[0] + ".truth.npz")) as truth:
            np.testing.assert_array_equal(mouths, truth["twin_curves" if ".twin" in path.name else "curves"])
        with wave.open(str(path.with_suffix(".wav"))) as file:
            assert file.getframerate() == SAMPLE_RATE
            assert file.getnframes() == FRAMES * SAMPLE_RATE // 25
        with av.open(str(path)) as container:
            assert container.streams.video[0].average_rate == 25
            assert len(container.streams.audio) == (0 if laughs_silently(path) else 1)


def test_preprocessing_knows_the_twins(dataset):
    videos = find_videos(dataset)
    assert [video.twin_of for video in videos] == [None, "train_0_00000", None, "train_0_00001"]
    assert all(video.truth.is_file() for video in videos)


def test_the_truth_agrees_with_the_landmarks(dataset):
    for path in sorted(dataset.glob("*.truth.npz")):
        with np.load(path, allow_pickle=False) as data:
            for prefix, suffix in (("", ""), ("twin_", ".twin")):
                landmarks = np.load(str(path).replace(".truth", suffix + ".landmarks"))["landmarks"].astype(np.float64)
                np.testing.assert_allclose(data[f"{prefix}gap"], gap_curve(landmarks), atol=1e-4)
                np.testing.assert_allclose(data[f"{prefix}width"], width_curve(landmarks), atol=1e-4)
                assert data[f"{prefix}curves"].shape == (FRAMES, len(data["channels"])) == (FRAMES, 13)
                assert len(data[f"{prefix}phones"]) == len(data[f"{prefix}phone_times"]) > 0
                assert data[f"{prefix}phone_times"][-1, 1] == pytest.approx(1, abs=0.05)
            assert str(data["kind"]) in ("speech", "pauses", "quiet", "laughing")
            assert str(data["twin_kind"]) in ("speech", "closed", "laughing")


def test_a_second_run_does_nothing_and_a_stopped_clip_is_made_again_alike(dataset, head, tmp_path, capsys):
    before = {path.name: (path.stat().st_mtime_ns, content(path)) for path in dataset.iterdir()}
    assert render(head, dataset, "--clips", 2, "--twins") == 0
    assert "2 of 2 clips are there already" in capsys.readouterr().out
    assert {path.name: path.stat().st_mtime_ns for path in dataset.iterdir()} == {
        name: time for name, (time, _) in before.items()
    }
    (dataset / "train_0_00001.truth.npz").unlink()
    (dataset / "train_0_00001.mp4").write_bytes(b"half a video")
    assert render(head, dataset, "--clips", 2, "--twins") == 0
    for path in dataset.iterdir():
        assert content(path) == before[path.name][1], path.name
    assert (dataset / "train_0_00000.mp4").stat().st_mtime_ns == before["train_0_00000.mp4"][0]


def test_other_settings_make_the_clip_again_and_the_rate_is_told(head, tmp_path, capsys):
    assert render(head, tmp_path, "--clips", 1) == 0
    assert f"{FRAMES} frames of {SIZE}×{SIZE}" in capsys.readouterr().out
    assert not list(tmp_path.glob("*.twin*"))
    first = frames_of(tmp_path / "train_0_00000.mp4")
    assert render(head, tmp_path, "--clips", 1, "--size", 64) == 0
    assert frames_of(tmp_path / "train_0_00000.mp4").shape == (FRAMES, 64, 64, 3) != first.shape


def test_seeds_splits_and_the_twins_flag(head, tmp_path, dataset):
    assert render(head, tmp_path, "--clips", 1, "--first", 1) == 0
    alone, with_twin = (folder / "train_0_00001.mp4" for folder in (tmp_path, dataset))
    assert alone.read_bytes() == with_twin.read_bytes()
    assert render(head, tmp_path, "--clips", 1, "--first", 1, "--seed", 7) == 0
    assert render(head, tmp_path / "more", "--clips", 1, "--first", 1, "--twins", 2) == 0
    for suffix in (".mp4", ".twin.mp4"):
        both = [folder / f"train_0_00001{suffix}" for folder in (dataset, tmp_path / "more")]
        assert both[0].read_bytes() == both[1].read_bytes()
    with np.load(tmp_path / "more" / "train_0_00001.truth.npz") as truth:
        assert not np.array_equal(truth["twin_curves"], truth["twin2_curves"])
    assert {path.name for path in (tmp_path / "more").glob("*.twin2.*")} == {
        f"train_0_00001.twin2{suffix}" for suffix in (".mp4", ".wav", ".landmarks.npz")
    }
    assert render(head, tmp_path, "--clips", 1, "--first", 1, "--split", "held_out") == 0
    clips = [frames_of(tmp_path / f"{name}_00001.mp4").astype(int) for name in ("train_0", "train_7", "held_out_0")]
    assert min(np.abs(clips[a] - clips[b]).mean() for a, b in ((0, 1), (0, 2), (1, 2))) > 5


def test_two_processes_make_the_same_from_the_folder_of_obj_files(head, tmp_path, dataset):
    folder = write_folder(tmp_path / "FaceXModel")
    assert render(folder, tmp_path / "out", "--clips", 2, "--workers", 2) == 0
    for number in (0, 1):
        name = f"train_0_{number:05d}.wav"
        assert (tmp_path / "out" / name).read_bytes() == (dataset / name).read_bytes()
        video = f"train_0_{number:05d}.mp4"
        ours, theirs = (frames_of(place / video).astype(int) for place in (tmp_path / "out", dataset))
        assert np.abs(ours - theirs).mean() < 3  # the OBJ files hold fewer digits


def test_a_wrong_head_is_told_in_two_lines(tmp_path, capsys):
    assert render(tmp_path / "nothing.npz", tmp_path / "out") == 1
    told = capsys.readouterr().err
    assert "nothing.npz" in told
    assert "fix: " in told
    assert "Traceback" not in told
    assert render(tmp_path, tmp_path / "out") == 1
    assert "generic_neutral_mesh.obj" in capsys.readouterr().err


def test_missing_synthesizers_are_told_before_any_work(head, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(render_heads, "available_engines", lambda: ())
    assert render(head, tmp_path / "out") == 1
    assert "flite" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_missing_opengl_is_told(head, tmp_path, capsys, monkeypatch):
    import moderngl

    def refuse(**options):
        raise Exception("cannot load libEGL")

    monkeypatch.setattr(moderngl, "create_context", refuse)
    assert render(head, tmp_path / "out") == 1
    told = capsys.readouterr().err
    assert "EGL" in told
    assert "apt-get" in told


def test_wrong_flags_end_with_code_2(head, tmp_path):
    with pytest.raises(SystemExit) as ended:
        render(head, tmp_path, "--clips", 0)
    assert ended.value.code == 2
