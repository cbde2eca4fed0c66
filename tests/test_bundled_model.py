"""The bundled model on real faces: the demo's presenter, and a recorded clip where one is at hand."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from media_factory import media_facts, write_sound, write_video

from musetalk.evaluation.lip_sync import correlation, lip_gaps, loudness_envelope
from musetalk.face.mediapipe_finder import MediaPipeFinder
from musetalk.media.audio_file import read_audio
from musetalk.media.frames import open_source
from scripts import inference

REPOSITORY = Path(__file__).parent.parent
PRESENTER = REPOSITORY / "assets" / "demo" / "presenter.mp4"
SPEECH = REPOSITORY / "assets" / "demo" / "speech.wav"
RECORDED = REPOSITORY.parent / "shared" / "media"
FPS = Fraction(25)


def dub(folder, video, audio, *more):
    """Run the command in this process; the frames as PNG files are in `frames`."""
    tasks = folder / "tasks.yaml"
    task = {"video_path": str(video), "audio_path": str(audio), "result_name": "out.mp4"}
    tasks.write_text(json.dumps({"task": task}))
    words = ["--inference_config", str(tasks), "--version", "mini", "--models_dir", str(REPOSITORY / "models")]
    code = inference.main([*words, "--result_dir", str(folder / "results"), *more])
    assert code == 0
    return folder / "results" / "mini" / "out.mp4"


def first_frames(path, count):
    frames = []
    for frame in open_source(path).frames():
        frames.append(frame)
        if len(frames) == count:
            break
    return frames


def read_frames(folder):
    return [cv2.imread(str(path)) for path in sorted(folder.glob("*.png"))]


def test_the_mouth_follows_the_speech_and_not_another(tmp_path):
    result = dub(tmp_path, PRESENTER, SPEECH)
    samples = read_audio(SPEECH)
    with MediaPipeFinder() as finder:
        gaps = lip_gaps(open_source(result).frames(), finder)
    assert len(gaps) == len(samples) * 25 // 16000
    assert np.isfinite(gaps).all()
    own = correlation(gaps, loudness_envelope(samples, FPS, len(gaps)))
    # Other speech of the same kind: the same sound, elsewhere.
    others = [
        correlation(gaps, loudness_envelope(np.roll(samples, len(samples) * part // 8), FPS, len(gaps)))
        for part in range(2, 7)
    ]
    assert own >= 0.3
    assert np.mean(others) < own / 2


def test_a_second_without_a_face_passes_through_and_nothing_shifts(tmp_path):
    frames = first_frames(PRESENTER, 60)
    blank = np.full_like(frames[0], 120)
    source = [blank if index == 0 or 20 <= index < 45 else frame for index, frame in enumerate(frames)]
    write_video(tmp_path / "gap.mp4", source)
    write_sound(tmp_path / "speech.wav", read_audio(SPEECH)[None, 8000 : 8000 + 60 * 640], 16000)
    result = dub(tmp_path, tmp_path / "gap.mp4", tmp_path / "speech.wav", "--frames_dir", str(tmp_path / "frames"))
    decoded = list(open_source(tmp_path / "gap.mp4").frames())
    written = read_frames(tmp_path / "frames")
    assert len(written) == len(decoded) == media_facts(result).frame_count == 60
    untouched = 0
    for index, (before, after) in enumerate(zip(decoded, written, strict=True)):
        changed = np.abs(before.astype(int) - after).max(axis=2) > 0
        if index == 0 or 20 <= index < 45:
            assert not changed.any(), index
        elif not changed.any():  # the mouth it was to have
            untouched += 1
        else:
            rows, columns = np.nonzero(changed)
            assert rows.min() > 160, index  # the eyes and all above, and all around the face, are the input's
            assert columns.min() > 90 and columns.max() < 430, index
    assert untouched < 10  # of 34


def test_in_silence_the_mouth_is_stiller_than_in_speech(tmp_path):
    samples = read_audio(SPEECH)
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    write_sound(tmp_path / "still.wav", np.zeros((1, 16000 * 4), np.float32), 16000)
    write_sound(tmp_path / "speech.wav", samples[None, : 16000 * 4], 16000)
    with MediaPipeFinder() as finder:
        still, spoken = (
            lip_gaps(open_source(dub(tmp_path / name, PRESENTER, tmp_path / sound)).frames(), finder)
            for name, sound in (("a", "still.wav"), ("b", "speech.wav"))
        )
    assert np.nanstd(still) < 0.5 * np.nanstd(spoken)


@pytest.mark.skipif(not (RECORDED / "yongen.mp4").is_file(), reason="no recorded clip at hand")
def test_a_recorded_clip(tmp_path):
    words = ["--version", "mini", "--result_dir", str(tmp_path / "results"), "--frames_dir", str(tmp_path / "frames")]
    tasks = {"task": {"video_path": str(RECORDED / "yongen.mp4"), "audio_path": str(RECORDED / "yongen.wav")}}
    (tmp_path / "tasks.yaml").write_text(json.dumps(tasks))
    command = [sys.executable, "-m", "scripts.inference", "--inference_config", str(tmp_path / "tasks.yaml"), *words]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    facts = media_facts(tmp_path / "results" / "mini" / "yongen_yongen.mp4")
    assert facts.frame_count == 200
    assert facts.fps == 25
    source = first_frames(RECORDED / "yongen.mp4", 200)
    for index in (0, 99, 199):
        after = cv2.imread(str(sorted((tmp_path / "frames").glob("*.png"))[index]))
        changed = np.abs(source[index].astype(int) - after).max(axis=2) > 0
        assert changed.any()
        assert changed.mean() < 0.1  # a mouth, not a picture
