"""The scorer as users run it, on the demonstration presenter with MediaPipe."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from media_factory import numbered_frame, tone, write_sound, write_video

from musetalk.media.frames import open_source
from scripts import evaluate

REPOSITORY = Path(__file__).parent.parent
PRESENTER = REPOSITORY / "assets/demo/presenter.mp4"
FRAMES = 30
pytestmark = pytest.mark.skipif(not PRESENTER.is_file(), reason="no assets/demo/presenter.mp4")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A clip, the same with a brighter box pasted over its lower face, and a sound."""
    folder = tmp_path_factory.mktemp("clips")
    frames = list(islice(open_source(PRESENTER).frames(), FRAMES))
    sharp = {"crf": "4", "preset": "ultrafast"}
    write_video(folder / "clip.mp4", frames, options=sharp)
    pasted = [frame.copy() for frame in frames]
    for frame in pasted:
        frame[260:420, 150:360] = np.clip(frame[260:420, 150:360].astype(int) + 25, 0, 255)
    write_video(folder / "pasted.mp4", pasted, options=sharp, sound=tone(FRAMES / 25))
    write_video(folder / "nobody.mp4", [numbered_frame(k) for k in range(5)])
    write_sound(folder / "speech.wav", tone(FRAMES / 25))
    return folder


@pytest.fixture
def models(tmp_path):
    """An empty folder: weights that somebody has downloaded must not change what tests see."""
    return ["--models_dir", str(tmp_path / "models"), "--gpu_id", "-1"]


def numbers(path: Path, name: str) -> dict:
    content = json.loads(path.read_text())
    (entry,) = [entry for entry in content["entries"] if entry["name"] == name]
    return {key: value["value"] for key, value in entry["metrics"].items()}


def test_a_real_command_writes_table_json_csv_and_report(clips, tmp_path):
    out = tmp_path / "an 'out' folder"
    words = ["--generated", clips / "pasted.mp4", "--source", clips / "clip.mp4", "--reference", clips / "clip.mp4"]
    words += ["--audio", clips / "speech.wav", "--out", out, "--models_dir", tmp_path, "--gpu_id", "-1"]
    done = subprocess.run(
        [sys.executable, "-m", "scripts.evaluate", *map(str, words)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "strongest new straight edge" in done.stdout and "not measured:" in done.stdout
    found = numbers(out / "scores.json", "pasted")
    assert found["faces"] == found["frames"] == FRAMES
    assert found["new_line"] > 10  # 25 grey levels along part of the face
    assert found["colour_shift"] > 3
    assert found["psnr_background_source"] > 45 > found["psnr_face_source"]
    assert found["lmd_mouth"] < 6
    assert found["gap_reference"] > 0.5
    assert found["lse_d"] is None
    (row,) = csv.DictReader((out / "scores.csv").read_text().splitlines())
    assert float(row["new_line"]) == pytest.approx(found["new_line"], rel=1e-4)
    report = (out / "report.html").read_text()
    assert "Lip gap over time" in report and "data:image/jpeg" in report
    assert sorted(path.name for path in out.iterdir()) == ["report.html", "scores.csv", "scores.json"]


def test_many_with_bad_ones_among_them(clips, tmp_path, models, capsys):
    (tmp_path / "many.yaml").write_text(
        json.dumps(
            {
                "same": {"generated": str(clips / "clip.mp4"), "source": str(clips / "clip.mp4")},
                "pasted": {"generated": str(clips / "pasted.mp4"), "source": str(clips / "clip.mp4")},
                "gone": {"generated": str(clips / "gone.mp4")},
                "typo": {"generatd": "x.mp4"},
            }
        )
    )
    arguments = ["--config", str(tmp_path / "many.yaml"), "--out", str(tmp_path / "out"), *models]
    assert evaluate.main(arguments) == 1
    output = capsys.readouterr()
    assert "gone.mp4: no such file" in output.err and "did you mean generated?" in output.err
    assert "2 of 4 entries failed: gone, typo" in output.err
    assert "ranks, 1 is best" in output.out
    content = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert set(content["failed"]) == {"gone", "typo"}
    assert content["ranking"]["ranks"]["new_line"] == {"same": 1, "pasted": 2}
    same = numbers(tmp_path / "out" / "scores.json", "same")
    assert same["psnr_face_source"] == 100 and same["new_line"] == same["colour_shift"] == 0
    assert same["seam"] == same["mouth_sharpness"] == 1 and same["landmark_jitter_ratio"] == pytest.approx(1)
    assert same["ssim_mouth_source"] == pytest.approx(1)


def test_fair_leaves_equal_videos_equal(clips, tmp_path, models):
    entry = ["--generated", str(clips / "pasted.mp4"), "--source", str(clips / "pasted.mp4")]
    assert evaluate.main([*entry, "--fair", "--out", str(tmp_path / "out"), *models]) == 0
    found = numbers(tmp_path / "out" / "scores.json", "pasted")
    assert found["psnr_face_source"] == 100 and found["frames"] == FRAMES
    assert found["audio_seconds"] == pytest.approx(FRAMES / 25, abs=0.03)
    content = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert any("encoded anew" in note for note in content["entries"][0]["notes"])
    assert content["entries"][0]["generated"] == str(clips / "pasted.mp4")


def test_a_video_without_a_face_is_told(clips, tmp_path, models, capsys):
    assert evaluate.main(["--generated", str(clips / "nobody.mp4"), *models]) == 0
    assert "no face was found in the generated video" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "nothing to score"),
        (["--generated", "a.mp4", "--config", "b.yaml"], 2, "--config and flags for one video"),
        (["--config", "missing.yaml"], 1, "missing.yaml: no such file"),
        (["--generated", "missing.mp4"], 1, "missing.mp4: no such file"),
    ],
)
def test_wrong_words(words, code, said, models, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert evaluate.main([*words, *models]) == code
    error = capsys.readouterr().err
    assert said in error and "fix: " in error


def test_a_folder_that_cannot_be_written_is_found_before_the_work(clips, tmp_path, models, capsys):
    (tmp_path / "file").write_text("")
    assert (
        evaluate.main(["--generated", str(clips / "clip.mp4"), "--out", str(tmp_path / "file" / "out"), *models]) == 1
    )
    output = capsys.readouterr()
    assert "cannot be written" in output.err and "clip:" not in output.out
