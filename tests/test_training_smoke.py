"""Every step of training once, at small size, as a user types it: from raw videos to a dubbed one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path

import av
import pytest
from media_factory import write_video

from musetalk.media.audio_file import read_audio
from musetalk.media.frames import open_source
from musetalk.training.log import read_rows

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
SMOKE = Path("configs/training/smoke")
FRAMES = 60


def run(*command: str) -> str:
    done = subprocess.run(
        command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two raw videos of the demo's presenter, and the training set that scripts.preprocess makes of them."""
    folder = tmp_path_factory.mktemp("dataset")
    source = folder / "source"
    source.mkdir()
    speech = read_audio(ROOT / "assets/demo/speech.wav", 48000)
    frames = open_source(ROOT / "assets/demo/presenter.mp4").frames()
    for index, name in enumerate(("first one.mp4", "held_out.mp4")):
        sound = speech[index * 48000 * 3 :][: FRAMES * 1920][None]
        write_video(source / name, [frame[40:440, 60:460] for frame in islice(frames, FRAMES)], sound=sound)
    keys = {
        "video_root_raw": source,
        "video_root_25fps": folder / "25fps",
        "video_file_list": folder / "videos.txt",
        "video_audio_clip_root": folder / "clips",
        "meta_root": folder / "meta",
        "video_clip_file_list_train": folder / "train.txt",
        "video_clip_file_list_val": folder / "val.txt",
    }
    run(
        sys.executable, "-m", "scripts.preprocess", "--config", str(SMOKE / "preprocess.yaml"),
        *(f"{key}={value}" for key, value in keys.items()),
    )  # fmt: skip
    return folder


def test_every_step_from_raw_videos_to_a_dubbed_one(data: Path, tmp_path: Path) -> None:
    lists = [f"data.train_list={data / 'train.txt'}", f"data.val_list={data / 'val.txt'}"]

    def command(task: str, *changes: str) -> list[str]:
        config = ["--config", str(SMOKE / f"{task}.yaml")]
        return ["sh", "train.sh", task, *config, *lists, f"output_dir={tmp_path / task}", *changes]

    # Stage 1 is killed in its middle, then goes on.
    process = subprocess.Popen(command("stage1"), cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("saved"):
            process.send_signal(signal.SIGKILL)
            break
    process.stdout.read()
    assert process.wait() == -signal.SIGKILL
    assert "going on from" in run(*command("stage1"))
    first = tmp_path / "stage1" / "test"
    assert [row["step"] for row in read_rows(first / "losses.jsonl") if row["kind"] == "train"] == [1, 2, 3, 4, 5, 6]

    # Stage 2 needs a SyncNet of its own size.
    within = {"data.": "train.samples.", "output_dir": "train.output_dir"}
    words = command("syncnet")
    run(*(next((word.replace(a, b) for a, b in within.items() if word.startswith(a)), word) for word in words))
    syncnet = tmp_path / "syncnet" / "test" / "syncnet.pt"
    run(*command("stage2", f"init_unet={first / 'unet.pth'}", f"syncnet_path={syncnet}"))
    second = tmp_path / "stage2" / "test"
    last = [row for row in read_rows(second / "losses.jsonl") if row["kind"] == "train"][-1]
    for name in ("l1_loss", "gan_loss", "fm_loss", "mouth_gan_loss", "mouth_fm_loss", "sync_loss"):
        assert name in last

    # What it exports goes straight into inference.
    tasks = tmp_path / "tasks.yaml"
    video, sound = data / "source" / "held_out.mp4", ROOT / "assets/demo/speech.wav"
    tasks.write_text(f"one:\n  video_path: '{video}'\n  audio_path: '{sound}'\n  result_name: dubbed.mp4\n")
    run(
        sys.executable, "-m", "scripts.inference", "--version", "mini", "--inference_config", str(tasks),
        "--unet_model_path", str(second / "unet.pth"), "--unet_config", str(second / "musetalk.json"),
        "--result_dir", str(tmp_path / "results"), "--fps", "3",
    )  # fmt: skip
    with av.open(str(tmp_path / "results" / "mini" / "dubbed.mp4")) as result:
        assert result.streams.video[0].frames > 0
