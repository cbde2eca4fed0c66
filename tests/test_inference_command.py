"""The command as users run it, on small clips with given boxes and tiny untrained networks."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from media_factory import media_facts, tone, write_sound, write_video
from model_factory import write_mini

from scripts import inference

REPOSITORY = Path(__file__).parent.parent
WIDTH, HEIGHT, FRAMES = 96, 128, 24
BOX = [24, 30, 72, 90]
NASTY = "a 'b' \"c\" $(touch owned) ü.mp4"


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory):
    return write_mini(tmp_path_factory.mktemp("models"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a clip, a sound and boxes for the clip."""
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "clip.mp4", clip_frames())
    write_sound(tmp_path / "speech.wav", tone(0.8))
    give_boxes(tmp_path, "clip.mp4", [BOX] * FRAMES)
    return tmp_path


def clip_frames(count=FRAMES):
    base = np.linspace(0, 255, HEIGHT * WIDTH * 3).reshape(HEIGHT, WIDTH, 3).astype(np.uint8)
    return [np.roll(base, 2 * i, axis=1) for i in range(count)]


def give_boxes(folder, video, boxes):
    path = folder / "results" / "coords" / f"{video}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"boxes": boxes}))


def write_tasks(folder, **tasks):
    (folder / "tasks.yaml").write_text(json.dumps(tasks), encoding="utf-8")


def task(video="clip.mp4", audio="speech.wav", **more):
    return {"video_path": str(video), "audio_path": str(audio), **more}


def arguments(models_dir, *more):
    return [
        *("--inference_config", "tasks.yaml", "--version", "mini", "--models_dir", str(models_dir)),
        *("--use_saved_coord", "--dtype", "float32", "--gpu_id", "-1", *more),
    ]


def command(*words):
    return [sys.executable, "-m", "scripts.inference", *words]


def environment():
    return {**os.environ, "PYTHONPATH": str(REPOSITORY)}


def run(models_dir, *more):
    """The command in this process: the same code, without the seconds that Python takes to import torch."""
    return inference.main(arguments(models_dir, *more))


def frame_total(path):
    capture = cv2.VideoCapture(str(path))
    count = 0
    while capture.read()[0]:
        count += 1
    return count


def leftovers(folder):
    return [path for path in folder.rglob("*") if "partial" in path.name or path.name.endswith(".part")]


def test_a_real_command_with_hostile_names(folder, models_dir):
    (folder / "clip.mp4").rename(folder / NASTY)
    (folder / "speech.wav").rename(folder / "-speech.wav")
    give_boxes(folder, NASTY, [BOX] * 8 + [None] * 8 + [BOX] * 8)
    write_tasks(folder, good=task(NASTY, "-speech.wav"), bad=task("missing.mp4"))
    done = subprocess.run(
        command(*arguments(models_dir, "--frames_dir", "png")),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1  # of the bad task
    assert "Traceback" not in done.stderr
    assert "missing.mp4: no such file" in done.stderr and "fix: " in done.stderr
    assert "1 of 2 tasks failed: bad" in done.stderr
    result = folder / "results" / "mini" / f"{Path(NASTY).stem}_-speech.mp4"
    assert f"result: {result.relative_to(folder)}" in done.stdout
    assert "8 of " in done.stdout and "pass through unchanged" in done.stdout
    for word in ("faces", "generate", "blend", "write", "in all", "peak memory"):
        assert word in done.stdout
    facts = media_facts(result)
    assert (facts.frame_count, facts.fps) == (20, Fraction(25))
    assert not (folder / "owned").exists()
    assert not leftovers(folder)
    # The PNG frames are those before encoding: without a face, exactly the decoded ones.
    pictures = sorted((folder / "png" / "good").glob("*.png"))
    assert [picture.name for picture in pictures] == [f"{i:08d}.png" for i in range(20)]
    from musetalk.media.frames import open_source

    for i, (picture, decoded) in enumerate(zip(pictures, open_source(folder / NASTY).frames(), strict=False)):
        same = np.array_equal(cv2.imread(str(picture)), decoded)
        assert same == (8 <= i < 16)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_leave_nothing_behind(folder, models_dir, number, code):
    write_sound(folder / "long.wav", tone(120.0, rate=16000), rate=16000)
    write_tasks(folder, only=task(audio="long.wav"))
    process = subprocess.Popen(
        command(*arguments(models_dir, "--frames_dir", "png")),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for line in process.stdout:
            if line.startswith("only: "):
                break
        waiting = threading.Event()  # nobody sets it: it leaves the processor to the command
        while process.poll() is None and not list((folder / "png").rglob("*.png")):
            waiting.wait(0.05)
        process.send_signal(number)
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == code
    assert "Traceback" not in errors
    assert not leftovers(folder)
    assert not list((folder / "results").rglob("*.mp4"))
    assert not (folder / "png").exists()


def test_usage_errors_exit_with_2(folder, models_dir, capsys):
    for words in (["--version", "v2"], ["--fps", "zero"], ["--batch_size", "0"], ["--bbox_shift", "x"], ["--nonsense"]):
        with pytest.raises(SystemExit) as caught:
            inference.main(words)
        assert caught.value.code == 2
        assert [line[:7] for line in capsys.readouterr().err.splitlines()] == ["error: ", "  fix: "]
    assert inference.main(["--output_vid_name", "../x.mp4"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_the_sound_decides_the_length(folder, models_dir):
    write_sound(folder / "longer.wav", tone(2.0))
    write_tasks(folder, short=task(), long=task(audio="longer.wav"))
    assert run(models_dir) == 0
    assert frame_total("results/mini/clip_speech.mp4") == 20
    assert frame_total("results/mini/clip_longer.mp4") == 50


def test_an_image_speaks_at_25_fps_or_at_the_rate_asked_for(folder, models_dir):
    cv2.imwrite("face.png", clip_frames(1)[0])
    give_boxes(folder, "face.png", [BOX])
    write_tasks(folder, only=task("face.png"))
    assert run(models_dir) == 0
    assert frame_total("results/mini/face_speech.mp4") == 20
    assert run(models_dir, "--fps", "30000/1001") == 0
    assert media_facts(Path("results/mini/face_speech.mp4")).fps == Fraction(30000, 1001)
    assert frame_total("results/mini/face_speech.mp4") == 23


def test_overrides_change_a_task(folder, models_dir):
    write_tasks(folder, only=task())
    assert run(models_dir, "only.result_name=other.mp4") == 0
    assert Path("results/mini/other.mp4").is_file()


def test_boxes_are_saved_and_used_again(folder, models_dir, monkeypatch):
    from musetalk.face.mediapipe_finder import MediaPipeFinder
    from musetalk.pipeline.template import template_face

    boxes = Path("results/coords/clip.mp4.json")
    boxes.unlink()
    monkeypatch.setattr(MediaPipeFinder, "find", lambda self, frames: [template_face(tuple(BOX)) for _ in frames])
    write_tasks(folder, only=task())
    assert run(models_dir, "--saved_coord") == 0
    saved = json.loads(boxes.read_text())["boxes"]
    assert len(saved) == FRAMES  # of the source, although the sound needs only 20
    first = Path("results/mini/clip_speech.mp4").read_bytes()
    monkeypatch.setattr(MediaPipeFinder, "find", lambda self, frames: [template_face(tuple(BOX)) for _ in frames])
    assert run(models_dir) == 0
    assert Path("results/mini/clip_speech.mp4").read_bytes() == first


def test_no_face_in_any_frame(folder, models_dir, monkeypatch, capsys):
    from musetalk.face.mediapipe_finder import MediaPipeFinder

    Path("results/coords/clip.mp4.json").unlink()
    monkeypatch.setattr(MediaPipeFinder, "find", lambda self, frames: [None] * len(frames))
    write_tasks(folder, only=task())
    assert run(models_dir, "--saved_coord") == 1
    assert "no face was found" in capsys.readouterr().err
    assert not list(Path("results").rglob("*.mp4"))


class Owned:
    def __reduce__(self):
        return (os.mkdir, ("owned",))


def bad_unet(models_dir):
    Path("unet.pth").write_bytes(pickle.dumps({"conv_in.weight": Owned()}))
    return "unet.pth"


BAD_INPUTS = {
    "empty video": (lambda: Path("bad.mp4").write_bytes(b""), task("bad.mp4"), "0 bytes"),
    "text as video": (lambda: Path("bad.mp4").write_text("hello " * 99), task("bad.mp4"), "bad.mp4"),
    "no such sound": (lambda: None, task(audio="none.wav"), "none.wav: no such file"),
    "sound without sound": (lambda: None, task(audio="clip.mp4"), "no sound track"),
    "sound too short": (lambda: write_sound(Path("s.wav"), tone(0.01)), task(audio="s.wav"), "lasts 0.010 s"),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input_is_one_line_of_what_and_one_of_how_to_fix_it(folder, models_dir, capsys, case):
    prepare, entry, told = BAD_INPUTS[case]
    prepare()
    write_tasks(folder, only=entry)
    assert run(models_dir) == 1
    lines = capsys.readouterr().err.splitlines()
    assert told in lines[0] and lines[0].startswith("error: only: ")
    assert lines[1].startswith("  fix: ")
    assert not list(Path("results").rglob("*.mp4"))


def test_silence_works(folder, models_dir):
    write_sound(folder / "silence.wav", np.zeros((1, 48000), np.float32))
    write_tasks(folder, only=task(audio="silence.wav"))
    assert run(models_dir) == 0
    assert frame_total("results/mini/clip_silence.mp4") == 25


def test_code_in_a_checkpoint_is_never_run(folder, models_dir, capsys):
    write_tasks(folder, only=task())
    assert run(models_dir, "--unet_model_path", bad_unet(models_dir)) == 1
    assert "unet.pth" in capsys.readouterr().err
    assert not Path("owned").exists()


def test_missing_weights_are_all_listed_before_any_work(folder, models_dir, capsys):
    write_tasks(folder, only=task("missing.mp4"))
    assert run(models_dir, "--version", "v15") == 1
    errors = capsys.readouterr().err
    for name in ("unet.pth", "musetalk.json", "sd-vae", "whisper"):
        assert name in errors
    assert "scripts.download_weights" in errors and "missing.mp4" not in errors


def test_unknown_key_names_the_nearest(folder, models_dir, capsys):
    write_tasks(folder, wrong={**task(), "bbox_shft": 3}, right=task(result_name="right.mp4"))
    assert run(models_dir) == 1
    errors = capsys.readouterr().err
    assert "did you mean bbox_shift?" in errors and "1 of 2 tasks failed: wrong" in errors
    assert [path.name for path in Path("results").rglob("*.mp4")] == ["right.mp4"]


def test_two_tasks_with_one_result_stop_before_any_work(folder, models_dir, capsys):
    write_tasks(folder, a=task(), b=task())
    assert run(models_dir) == 1
    errors = capsys.readouterr().err
    assert errors.count("a and b both write") == 1 and "2 of 2 tasks failed: a, b" in errors
    assert not Path("results/mini").exists()


def test_result_folder_that_cannot_be_written(folder, models_dir, capsys):
    Path("file").write_text("")
    write_tasks(folder, only=task())
    assert run(models_dir, "--result_dir", "file/below", "--saved_coord") == 1
    assert "error: only: " in capsys.readouterr().err


def test_wrong_number_of_boxes(folder, models_dir, capsys):
    give_boxes(folder, "clip.mp4", [BOX] * 7)
    write_tasks(folder, only=task())
    assert run(models_dir) == 1
    assert "is for 7 frames" in capsys.readouterr().err


def test_a_task_that_fails_half_way_leaves_the_others(folder, models_dir, monkeypatch, capsys):
    from musetalk.errors import OutputError
    from musetalk.media.writer import VideoWriter

    write = VideoWriter.write

    def full_disk(self, frame):
        if self._path.name == "first.mp4" and self.frames_written == 5:
            raise OutputError("first.mp4: the disk is full", "Free some space.")
        write(self, frame)

    monkeypatch.setattr(VideoWriter, "write", full_disk)
    write_tasks(folder, first=task(result_name="first.mp4"), second=task(result_name="second.mp4"))
    assert run(models_dir) == 1
    assert "1 of 2 tasks failed: first" in capsys.readouterr().err
    assert [path.name for path in Path("results").rglob("*.mp4")] == ["second.mp4"]
    assert not leftovers(folder)


def test_the_api_in_five_lines(folder, models_dir):
    import musetalk

    dubber = musetalk.Dubber.load("mini", models_dir)
    result = dubber.dub("clip.mp4", "speech.wav", "out/api.mp4", use_boxes="results/coords/clip.mp4.json")
    assert (result.frames, result.fps, result.faces) == (20, Fraction(25), (20, 20))
    assert frame_total(result.path) == 20
    with pytest.raises(musetalk.MuseTalkError, match="no model version 'v2'"):
        musetalk.Dubber.load("v2", models_dir)
    for wrong in ({"fps": 12.5}, {"fps": Fraction(0)}, {"batch_size": 0}):
        with pytest.raises(musetalk.MuseTalkError, match=next(iter(wrong))):
            musetalk.DubSettings(**wrong)


def test_importing_the_package_loads_nothing():
    code = "import sys, musetalk; assert not {'torch', 'cv2', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], env=environment(), check=True)


@pytest.mark.parametrize(
    ("words", "told"),
    [([], "usage"), (["v3", "normal"], "usage"), (["mini", "fast"], "usage")],
)
def test_inference_sh_refuses_other_words(words, told):
    done = subprocess.run(["sh", "inference.sh", *words], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and told in done.stderr
