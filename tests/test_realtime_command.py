"""The command for prepared avatars as users run it, on small sources with tiny untrained networks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from avatar_factory import KnowingFinder, box_of, write_source
from media_factory import media_facts, tone, write_sound
from model_factory import write_mini

from musetalk.config import AvatarTask, load_avatars
from musetalk.errors import ConfigError
from scripts import realtime_inference

REPOSITORY = Path(__file__).parent.parent
COUNT = 6
ANNA = Path("results/mini/avatars/anna")


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory):
    return write_mini(tmp_path_factory.mktemp("models"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a source and two sounds."""
    from musetalk.face.mediapipe_finder import MediaPipeFinder

    finder = KnowingFinder({i: box_of(i) for i in range(COUNT) if i != 4})
    monkeypatch.setattr(MediaPipeFinder, "find", lambda self, frames: finder.find(frames))
    monkeypatch.chdir(tmp_path)
    write_source(tmp_path / "source", COUNT)
    write_sound(tmp_path / "a.wav", tone(0.5))
    write_sound(tmp_path / "b.wav", tone(0.3, frequency=200.0))
    return tmp_path


def anna(preparation=True, **clips):
    return {"preparation": preparation, "video_path": "source", "audio_clips": clips or {"hello": "a.wav"}}


def write_avatars(**avatars):
    Path("avatars.yaml").write_text(json.dumps(avatars), encoding="utf-8")


def run(models_dir, *more):
    """The command in this process."""
    words = ["--inference_config", "avatars.yaml", "--version", "mini", "--models_dir", str(models_dir)]
    return realtime_inference.main([*words, "--dtype", "float32", "--gpu_id", "-1", *more])


def leftovers():
    return [path for path in Path("results").rglob("*") if "partial" in path.name]


def test_avatars_are_prepared_and_speak_all_frames_of_their_clips(folder, models_dir, capsys):
    write_avatars(anna=anna(one="a.wav", two="b.wav"))
    assert run(models_dir) == 0
    for name, seconds in (("one", 0.5), ("two", 0.3)):
        facts = media_facts(ANNA / "vid_output" / f"{name}.mp4")
        assert (facts.frame_count, facts.fps, facts.audio_codec) == (int(seconds * 25), 25, "aac")
    told = capsys.readouterr().out
    assert "1 of 6 source frames have no face and pass through unchanged" in told
    assert "generate" in told and "result: " in told
    assert not leftovers()


def test_an_avatar_that_fits_is_not_prepared_again(folder, models_dir, capsys):
    write_avatars(anna=anna())
    assert run(models_dir) == 0
    manifest = (ANNA / "manifest.json").stat().st_mtime_ns
    capsys.readouterr()
    assert run(models_dir) == 0
    assert "preparing" not in capsys.readouterr().out
    assert (ANNA / "manifest.json").stat().st_mtime_ns == manifest
    assert run(models_dir, "--rebuild") == 0
    assert (ANNA / "manifest.json").stat().st_mtime_ns != manifest


def test_what_has_changed_is_named_and_rebuilt_only_when_that_is_allowed(folder, models_dir, capsys):
    write_avatars(anna=anna())
    assert run(models_dir) == 0
    write_avatars(anna=anna(preparation=False))
    assert run(models_dir, "--extra_margin", "20") == 1
    told = capsys.readouterr().err
    assert "extra_margin (10, now 20)" in told and "fix: " in told and "--rebuild" in told
    assert run(models_dir, "--extra_margin", "20", "--rebuild") == 0
    assert run(models_dir, "--extra_margin", "20") == 0
    write_avatars(anna=anna())
    capsys.readouterr()
    assert run(models_dir, "--parsing_mode", "raw", "--extra_margin", "20") == 0
    assert "preparing source (changed: parsing_mode (jaw, now raw))" in capsys.readouterr().out


def test_without_preparation_the_avatar_has_to_be_there(folder, models_dir, capsys):
    write_avatars(anna=anna(preparation=False))
    assert run(models_dir) == 1
    assert "there is no prepared avatar" in capsys.readouterr().err
    assert not Path("results").exists()


def test_a_prepared_avatar_needs_its_source_no_more(folder, models_dir):
    write_avatars(anna=anna())
    assert run(models_dir) == 0
    Path("source").rename("moved")
    write_avatars(anna=anna(preparation=False))
    assert run(models_dir) == 0


def test_skip_save_images_measures_and_writes_nothing(folder, models_dir, capsys):
    write_avatars(anna=anna())
    assert run(models_dir, "--skip_save_images") == 0
    told = capsys.readouterr().out
    assert "generate" in told and "blend" in told and "result: " not in told
    assert not list(Path("results").rglob("*.mp4"))


def test_the_clip_can_be_named_on_the_command_line(folder, models_dir, capsys):
    write_avatars(anna=anna())
    assert run(models_dir, "--output_vid_name", "other.mp4") == 0
    assert [path.name for path in Path("results").rglob("*.mp4")] == ["other.mp4"]
    write_avatars(anna=anna(one="a.wav", two="b.wav"))
    assert run(models_dir, "--output_vid_name", "other.mp4") == 2
    assert "there are 2" in capsys.readouterr().err


def test_boxes_are_saved_and_used_again(folder, models_dir):
    write_avatars(anna=anna())
    assert run(models_dir, "--saved_coord") == 0
    boxes = json.loads(Path("results/coords/source.json").read_text())["boxes"]
    assert [box is None for box in boxes] == [False] * 4 + [True, False]
    boxes[4] = boxes[3]
    Path("results/coords/source.json").write_text(json.dumps({"boxes": boxes}))
    assert run(models_dir, "--use_saved_coord") == 0
    assert json.loads((ANNA / "manifest.json").read_text())["frames"]["with_face"] == 6


def test_what_fails_does_not_keep_the_others(folder, models_dir, capsys):
    write_sound(folder / "short.wav", tone(0.01))
    write_avatars(
        anna=anna(),
        sounds=anna(bad="none.wav"),
        short=anna(bad="short.wav"),
        gone={**anna(), "video_path": "none.mp4"},
        typo={**anna(), "preperation": True},
    )
    assert run(models_dir) == 1
    told = capsys.readouterr().err
    assert "4 of 5 tasks failed: sounds, short, gone, typo" in told
    assert "did you mean preparation?" in told and "lasts 0.010 s" in told
    assert [path.parent.parent.name for path in Path("results").rglob("*.mp4")] == ["anna"]
    assert sorted(path.name for path in ANNA.parent.iterdir()) == ["anna"]


def test_a_clip_that_fails_half_way_leaves_the_others(folder, models_dir, monkeypatch, capsys):
    from musetalk.errors import OutputError
    from musetalk.media.writer import VideoWriter

    write = VideoWriter.write

    def full_disk(self, frame):
        if self._path.name == "one.mp4" and self.frames_written == 3:
            raise OutputError("one.mp4: the disk is full", "Free some space.")
        write(self, frame)

    monkeypatch.setattr(VideoWriter, "write", full_disk)
    write_avatars(anna=anna(one="a.wav", two="b.wav"))
    assert run(models_dir) == 1
    assert "1 of 1 tasks failed: anna" in capsys.readouterr().err
    assert [path.name for path in Path("results").rglob("*.mp4")] == ["two.mp4"]
    assert not leftovers()


def test_inference_sh_realtime_starts_this_command(folder):
    done = subprocess.run(
        ["sh", str(REPOSITORY / "inference.sh"), "mini", "realtime", "--inference_config", "none.yaml"],
        cwd=folder,
        env={**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "none.yaml: no such file" in done.stderr


PUBLISHED = """
avator_1:
  preparation: True
  bbox_shift: 5
  video_path: "data/video/yongen.mp4"
  audio_clips:
    audio_0: "data/audio/yongen.wav"
    audio_1: "data/audio/eng.wav"
"""


def test_published_files_load(tmp_path):
    path = tmp_path / "realtime.yaml"
    path.write_text(PUBLISHED)
    (task,) = load_avatars(path).tasks
    clips = {"audio_0": Path("data/audio/yongen.wav"), "audio_1": Path("data/audio/eng.wav")}
    assert task == AvatarTask("avator_1", True, Path("data/video/yongen.mp4"), 5, clips)
    assert load_avatars(path, ["avator_1.preparation=false"]).tasks[0].preparation is False


def test_the_avatars_of_the_project_load():
    file = load_avatars(REPOSITORY / "configs" / "inference" / "realtime.yaml")
    assert file.tasks and not file.wrong
    for task in file.tasks:
        assert (REPOSITORY / task.video_path).exists()
        assert all((REPOSITORY / audio).exists() for audio in task.audio_clips.values())


def test_wrong_avatars_are_told_all_at_once(tmp_path):
    entries = {
        "../up": {"preparation": True, "video_path": "a.mp4"},
        "yes": {"preparation": "yes", "video_path": "a.mp4"},
        "clips": {"preparation": True, "video_path": "a.mp4", "audio_clips": {"a/b": "a.wav", "c": 5}},
        "twice": {"preparation": True, "video_path": "a.mp4", "audio_clips": {"a": "a.wav", "a.mp4": "b.wav"}},
        "list": {"preparation": True, "video_path": "a.mp4", "audio_clips": ["a.wav"]},
        "good": {"preparation": False, "video_path": "a.mp4"},
    }
    path = tmp_path / "avatars.yaml"
    path.write_text(json.dumps(entries))
    file = load_avatars(path)
    told = {name: error.what for name, error in file.wrong.items()}
    assert [task.name for task in file.tasks] == ["good"]
    assert "not a plain file name, as the name of an avatar has to be" in told["../up"]
    assert "yes.preparation: 'yes' is not true or false" in told["yes"]
    assert "clips.audio_clips.a/b: 'a/b' is not a plain" in told["clips"]
    assert "clips.audio_clips.c: 5 is not the path of a sound" in told["clips"]
    assert "another clip has this name" in told["twice"]
    assert "list.audio_clips: ['a.wav'] is not a list of keys" in told["list"]
    with pytest.raises(ConfigError, match="no such file"):
        load_avatars(tmp_path / "none.yaml")


def test_frames_of_a_clip_are_those_of_the_source_where_nothing_is_spoken(folder, models_dir):
    """The frame without a face comes out of the clip as it went in, but for the coding."""
    from musetalk.media.frames import open_source

    write_avatars(anna=anna())
    assert run(models_dir) == 0
    clip = list(open_source(ANNA / "vid_output" / "hello.mp4").frames())
    source = list(open_source("source").frames())
    assert np.abs(clip[4].astype(int) - source[4]).mean() < 12


# Live


def live(models_dir, *more):
    return run(models_dir, "--avatar", "anna", *more)


@pytest.fixture
def prepared(folder, models_dir):
    """The working folder with the avatar prepared, and five seconds of sound."""
    write_avatars(anna=anna())
    assert run(models_dir, "--skip_save_images") == 0
    write_sound(folder / "five.wav", tone(5.0))
    return folder


def test_a_file_is_spoken_into_a_file_as_fast_as_it_goes(prepared, models_dir, capsys):
    assert live(models_dir, "--audio", "five.wav", "--output", "out.mp4") == 0
    facts = media_facts(Path("out.mp4"))
    assert (facts.frame_count, facts.fps, facts.audio_codec) == (125, 25, "aac")
    assert abs(facts.video_seconds - facts.audio_seconds) < 0.04
    told = capsys.readouterr().out
    assert "125 frames, 125 of speech; for want of time 0 faces were repeated and 0 frames skipped" in told


def test_in_real_time_nothing_of_the_sound_is_lost(prepared, models_dir, capsys):
    assert live(models_dir, "--audio", "a.wav", "--pace", "--output", "out.mkv") == 0
    facts = media_facts(Path("out.mkv"))
    assert facts.frame_count >= 12 and abs(facts.video_seconds - facts.audio_seconds) < 0.05
    assert "look-ahead" in capsys.readouterr().out


def child(models_dir, *more, **streams):
    words = ["--inference_config", "avatars.yaml", "--version", "mini", "--models_dir", str(models_dir)]
    words += ["--dtype", "float32", "--gpu_id", "-1", "--avatar", "anna", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "scripts.realtime_inference", *words],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        **streams,
    )


def test_raw_sound_comes_in_and_the_stream_goes_out_through_pipes(prepared, models_dir):
    process = child(
        models_dir,
        *("--audio", "-", "--audio_rate", "8000", "--audio_format", "f32le", "--audio_channels", "2", "--no-pace"),
        *("--output", "-"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    sound = np.repeat(tone(2.0, rate=8000)[0], 2).astype("<f4")
    out, told = process.communicate(sound.tobytes(), timeout=120)
    assert process.returncode == 0, told.decode()
    assert b"anna: speaks - to standard output" in told and out[:1] == b"\x47"
    Path("out.ts").write_bytes(out)
    facts = media_facts(Path("out.ts"))
    assert abs(facts.frame_count - 50) <= 1 and facts.audio_codec == "aac"


def test_a_signal_leaves_a_file_that_can_be_played(prepared, models_dir):
    process = child(
        models_dir,
        *("--audio", "-", "--output", "out.mp4"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    for line in process.stdout:
        if b"speaks" in line:
            break
    # Frames come without any sound; the file grows in pieces.
    while not Path("out.mp4").exists() or Path("out.mp4").stat().st_size < 20_000:
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 143 and b"Traceback" not in told, told.decode()
    assert media_facts(Path("out.mp4")).frame_count > 10


def test_an_output_that_closes_is_one_error(prepared, models_dir):
    process = child(
        models_dir,
        *("--audio", "five.wav", "--pace", "--output", "-"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.read(1000)
    process.stdout.close()
    told = process.stderr.read()
    assert process.wait(60) == 1
    assert b"error: standard output: the other side has closed it" in told and b"Traceback" not in told


@pytest.mark.parametrize(
    ("words", "told", "code"),
    [
        (["--audio", "a.wav"], "--avatar needs --audio and --output", 2),
        (["--audio", "a.wav", "--output", "out.xyz"], "no container is known", 1),
        (["--audio", "none.wav", "--output", "out.mp4"], "none.wav: no such file", 1),
        (["--audio", "a.wav", "--output", "source"], "no container is known", 1),
        (["--audio", "a.wav", "--output", "out.mp4", "--delay", "60"], "not between 0 and 10", 2),
    ],
)
def test_wrong_live_commands_are_told_before_any_work(prepared, models_dir, capsys, words, told, code):
    try:
        assert live(models_dir, *words) == code
    except SystemExit as end:
        assert end.code == code
    assert told in capsys.readouterr().err
    assert not list(Path.cwd().glob("out.*"))


def test_the_name_of_an_avatar_is_checked(prepared, models_dir, capsys):
    words = ["--audio", "a.wav", "--output", "out.mp4"]
    assert run(models_dir, "--avatar", "ana", *words) == 2
    assert "did you mean anna?" in capsys.readouterr().err
    assert run(models_dir, *words) == 2
    write_avatars(somebody=anna())
    assert live(models_dir, *words) == 0  # not in the file, but prepared
