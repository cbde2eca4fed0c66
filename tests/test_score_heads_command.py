"""`scripts.score_heads`, run on one short clip: the presenter as the truth, and as the twin that is dubbed."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import numpy as np
from media_factory import tone, write_sound, write_video

from musetalk.media.frames import open_source
from scripts import score_heads

FRAMES = 12
PRESENTER = Path(__file__).resolve().parents[1] / "assets" / "demo" / "presenter.mp4"


def test_a_clip_is_dubbed_compared_and_summed_up(tmp_path: Path) -> None:
    heads, out = tmp_path / "heads", tmp_path / "out"
    heads.mkdir()
    frames = list(islice(open_source(PRESENTER).frames(), FRAMES))
    for name in ("c.mp4", "c.twin.mp4"):
        write_video(heads / name, frames)
    write_sound(heads / "c.wav", tone(FRAMES / 25))
    moving = np.linspace(0, 0.1, FRAMES)
    curves = {"gap": moving, "width": 1 - moving, "twin_gap": moving, "twin_width": moving}
    np.savez(heads / "c.truth.npz", kind=np.array("speech"), **curves)
    assert score_heads.main(["--heads", str(heads), "--out", str(out), "--version", "mini"]) == 0
    assert open_source(out / "c.mp4").info.frame_estimate == FRAMES
    numbers = json.loads((out / "summary.json").read_text())
    rows = {row["name"]: row for row in numbers["summary"]}
    assert set(numbers["clips"]) == {"c"} and rows["gap_r"]["clips"] == 1
    assert rows["mouth_psnr"]["values"]["truth"] > rows["mouth_psnr"]["values"]["model"] > 15
    assert "lip gap ~ truth" in (out / "summary.md").read_text() and (out / "report.html").is_file()


def test_a_head_without_a_face_is_named_and_the_others_are_scored(tmp_path: Path, capsys) -> None:
    heads, out = tmp_path / "heads", tmp_path / "out"
    heads.mkdir()
    faces = list(islice(open_source(PRESENTER).frames(), FRAMES))
    for clip, frames in (("a", [np.zeros_like(face) for face in faces]), ("b", faces)):
        for name in (f"{clip}.mp4", f"{clip}.twin.mp4"):
            write_video(heads / name, frames)
        write_sound(heads / f"{clip}.wav", tone(FRAMES / 25))
        moving = np.linspace(0, 0.1, FRAMES)
        curves = {"gap": moving, "width": 1 - moving, "twin_gap": moving, "twin_width": moving}
        np.savez(heads / f"{clip}.truth.npz", kind=np.array("speech"), **curves)
    assert score_heads.main(["--heads", str(heads), "--out", str(out), "--version", "mini"]) == 1
    told = capsys.readouterr().err
    assert "error: a: " in told and "no face" in told and "1 of 2 tasks failed: a" in told
    assert set(json.loads((out / "summary.json").read_text())["clips"]) == {"b"}


def test_a_folder_without_clips_is_refused_before_anything_is_written(tmp_path: Path, capsys) -> None:
    assert score_heads.main(["--heads", str(tmp_path), "--out", str(tmp_path / "out"), "--version", "mini"]) == 1
    assert "holds no rendered clips" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
