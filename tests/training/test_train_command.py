"""Training through the shell: as users start, stop and continue it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from clip_factory import write_clip, write_clips
from model_factory import write_mini

from musetalk.training.clip_meta import write_list
from musetalk.training.log import read_rows

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a world")
    write_mini(folder / "models")
    write_clips(folder / "data", 4)
    write_list(folder / "data" / "val.txt", [write_clip(folder / "data", "held_out", 60, 9)])
    return folder


def overrides(world: Path, out: Path, **changes: Any) -> list[str]:
    root = world / "models"
    values = {
        "output_dir": out,
        "pretrained_model_name_or_path": root,
        "unet_sub_folder": "mini/unet",
        "vae_type": "mini/vae",
        "whisper_path": root / "mini" / "audio_encoder",
        "data.train_list": world / "data" / "train.txt",
        "data.val_list": world / "data" / "val.txt",
        "data.image_size": 64,
        "data.train_bs": 2,
        "data.num_workers": 0,
        "data.min_face_size": 60,
        "loss_params.vgg_loss": 0,
        "loss_params.gan_loss": 0.01,
        "loss_params.fm_loss": "[1,1,1]",
        "model_params.discriminator_params.block_expansion": 2,
        "model_params.discriminator_params.num_blocks": 3,
        "discriminator_train_params.start_gan": 0,
        "solver.max_train_steps": 5,
        "solver.learning_rate": 1e-3,
        "solver.lr_warmup_steps": 0,
        "val_freq": 100,
        "log_every": 1,
    }
    return [f"{name}={value}" for name, value in (values | changes).items()]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False)


def losses(folder: Path) -> list[float]:
    return [row["loss"] for row in read_rows(folder / "losses.jsonl") if row["kind"] == "train"]


def test_two_processes_reach_the_losses_of_one_with_twice_the_batch(world: Path, tmp_path: Path) -> None:
    program = ["-m", "scripts.train", "--config", "configs/training/stage1.yaml"]
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"]
    two = run(*launcher, *program, "exp_name=two", *overrides(world, tmp_path))
    assert two.returncode == 0, two.stderr
    one = run(sys.executable, *program, "exp_name=one", *overrides(world, tmp_path, **{"data.train_bs": 4}))
    assert one.returncode == 0, one.stderr
    assert len(losses(tmp_path / "one")) == 5
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=1e-3)


def test_sigterm_saves_and_the_same_command_goes_on(world: Path, tmp_path: Path) -> None:
    steps = {"solver.max_train_steps": 400}
    command = ["sh", "train.sh", "stage1", "--config", "configs/training/stage1.yaml"]
    process = subprocess.Popen(
        [*command, *overrides(world, tmp_path, **steps)],
        cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("step 3/"):
            process.send_signal(signal.SIGTERM)
            break
    rest = process.stdout.read()
    assert process.wait(timeout=60) == 143, rest
    done = len(losses(tmp_path / "test"))
    assert [path.name for path in (tmp_path / "test" / "checkpoints").iterdir()] == [f"checkpoint-{done}"]

    again = run(*command, *overrides(world, tmp_path, **{"solver.max_train_steps": done + 2}))
    assert again.returncode == 0, again.stderr
    assert f"going on from {tmp_path}/test/checkpoints/checkpoint-{done}" in again.stdout
    assert len(losses(tmp_path / "test")) == done + 2


def test_sigterm_reaches_every_process(world: Path, tmp_path: Path) -> None:
    command = ["sh", "train.sh", "stage1", "--num_processes", "2", "--config", "configs/training/stage1.yaml"]
    process = subprocess.Popen(
        [*command, *overrides(world, tmp_path, **{"solver.max_train_steps": 400})],
        cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("step 2/"):
            process.send_signal(signal.SIGTERM)
            break
    rest = process.stdout.read()
    assert process.wait(timeout=60) == 143, rest
    assert "Traceback" not in rest
    done = len(losses(tmp_path / "test"))
    assert [path.name for path in (tmp_path / "test" / "checkpoints").iterdir()] == [f"checkpoint-{done}"]


def test_two_processes_tell_an_error_once(world: Path, tmp_path: Path) -> None:
    command = ["sh", "train.sh", "stage1", "--num_processes", "2", "--config", "configs/training/stage1.yaml"]
    done = run(*command, *overrides(world, tmp_path, **{"data.train_list": world / "none.txt"}))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 2, done.stderr


def test_errors_are_two_lines_and_an_exit_code(world: Path, tmp_path: Path) -> None:
    command = ["sh", "train.sh", "stage1", "--config", "configs/training/stage1.yaml"]
    typo = run(*command, *overrides(world, tmp_path, **{"solver.max_train_step": 3}))
    assert (typo.returncode, typo.stdout) == (1, "")
    assert typo.stderr.splitlines()[0].endswith("unknown key solver.max_train_step, did you mean max_train_steps?")
    wrong = run("sh", "train.sh", "stage3")
    assert wrong.returncode == 2
    assert "stage3" in wrong.stderr
