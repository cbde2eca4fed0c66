"""Raw videos for preprocessing: numbered frames that click, with true landmarks; and the demo's presenter."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from media_factory import HEIGHT, WIDTH, numbered_frame, tone, write_video

from scripts import preprocess

PRESENTER = Path(__file__).parents[2] / "assets/demo/presenter.mp4"
needs_presenter = pytest.mark.skipif(not PRESENTER.is_file(), reason="no assets/demo/presenter.mp4")
SOUND_RATE = 48000


def write_settings(folder, **changes):
    """A settings file for the folder's `raw`, with true landmarks."""
    settings = {
        "clip_len_second": 1,
        "video_root_raw": "raw",
        "video_root_25fps": "v25",
        "video_file_list": "files.txt",
        "video_audio_clip_root": "clips",
        "meta_root": "meta",
        "video_clip_file_list_train": "train.txt",
        "video_clip_file_list_val": "val.txt",
        "val_list_hdtf": ["held_out"],
        "landmarks": "truth",
        "min_clip_frames": 10,
        "min_face_size": 10,
    }
    (folder / "preprocess.yaml").write_text(json.dumps({**settings, **changes}), encoding="utf-8")


def run(*overrides):
    """The command in this process."""
    return preprocess.main(["--config", "preprocess.yaml", *overrides])


def true_landmarks(frames, width=60, x=40.0, y=20.0):
    """(frames, 68, 2): a face that moves slowly to the right."""
    points = np.random.default_rng(3).uniform(0, 1, (68, 2))
    points[:2] = [[0, 0], [1, 1]]
    points[29] = [0.5, 0.5]
    moving = np.arange(frames)[:, None, None] * [0.05, 0.0]
    return (points[None] * width + [x, y] + moving).astype(np.float32)


def clicking(frames, rate=Fraction(25), every=10, start=0.0):
    """(1, n) sound: a click in the middle of every tenth frame, `start` seconds later, over a soft tone."""
    sound = tone(float(frames / Fraction(rate)), SOUND_RATE) * 0.02
    for frame in range(0, frames, every):
        at = round((Fraction(2 * frame + 1, 2) / rate + Fraction(start)) * SOUND_RATE)
        sound[0, at : at + 48] = 0.9
    return sound


def write_numbered(path, frames, rate=25, *, sound=None, truth=True, size=(WIDTH, HEIGHT), **more):
    """A video whose frames tell their number, with sound and true landmarks beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if sound is None:
        sound = clicking(frames, Fraction(rate))
    pictures = [numbered_frame(i, *size) for i in range(frames)]
    write_video(path, pictures, rate, sound=sound, sound_rate=SOUND_RATE, **more)
    if truth:
        np.savez(path.with_name(path.stem + ".landmarks.npz"), landmarks=true_landmarks(frames))
    return path


def presenter_frames(count):
    """The first frames of the presenter at half size: a face 132 pixels wide in 256 x 256."""
    capture = cv2.VideoCapture(str(PRESENTER))
    frames = [cv2.resize(capture.read()[1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for _ in range(count)]
    capture.release()
    return frames


def write_frames(path, frames):
    """A video of any frames, with sound and without true landmarks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_video(path, frames, 25, sound=clicking(len(frames)), sound_rate=SOUND_RATE, options={"crf": "15"})


def files_of(folder, but=("lock",)):
    """Every file made, by path."""
    made = [path for part in ("v25", "clips", "meta") for path in (folder / part).rglob("*") if path.is_file()]
    made += [folder / name for name in ("train.txt", "val.txt", "files.txt") if (folder / name).exists()]
    return {path.relative_to(folder).as_posix(): path for path in made if path.name not in but}


def contents(folder):
    return {name: path.read_bytes() for name, path in files_of(folder).items()}


def written(folder):
    """When each file was written, to tell which are made again."""
    return {name: path.stat().st_mtime_ns for name, path in files_of(folder).items()}


def leftovers(folder):
    return [path for path in folder.rglob("*") if ".partial" in path.name or path.name == "lock"]


def summary_of(folder):
    return json.loads((folder / "meta" / "summary.json").read_text(encoding="utf-8"))
