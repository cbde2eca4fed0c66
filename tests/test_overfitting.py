"""Learning, not only running: two clips are learnt by heart."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
from media_factory import write_video

from musetalk.media.audio_file import read_audio
from musetalk.media.frames import open_source
from musetalk.training.log import read_rows
from musetalk.training.tasks import train
from scripts.preprocess import main as preprocess

SMOKE = Path("configs/training/smoke")
STEPS = 500


@pytest.mark.slow
def test_two_clips_are_learnt_by_heart(tmp_path: Path) -> None:
    """L1 in the mouth box of a prediction falls below half of that of the reference frame in its place."""
    source = tmp_path / "source"
    source.mkdir()
    speech = read_audio("assets/demo/speech.wav", 48000)
    frames = open_source("assets/demo/presenter.mp4").frames()
    for index in range(2):
        sound = speech[index * 48000 * 3 :][: 60 * 1920][None]
        write_video(source / f"{index}.mp4", [frame[40:440, 60:460] for frame in islice(frames, 60)], sound=sound)
    roots = {
        "video_root_raw": source, "video_root_25fps": tmp_path / "25fps", "video_file_list": tmp_path / "videos.txt",
        "video_audio_clip_root": tmp_path / "clips", "meta_root": tmp_path / "meta",
        "video_clip_file_list_train": tmp_path / "train.txt", "video_clip_file_list_val": tmp_path / "val.txt",
    }  # fmt: skip
    assert preprocess(["--config", str(SMOKE / "preprocess.yaml"), *(f"{k}={v}" for k, v in roots.items())]) == 0
    clips = tmp_path / "train.txt"
    train(
        "stage1",
        SMOKE / "stage1.yaml",
        [
            f"output_dir={tmp_path / 'out'}", f"data.train_list={clips}", f"data.val_list={clips}",
            "data.image_size=128", "data.train_bs=4", "num_images_to_keep=16", f"solver.max_train_steps={STEPS}",
            "solver.learning_rate=1e-3", "solver.lr_warmup_steps=20", "solver.lr_scheduler=cosine",
            "solver.adam_beta1=0.9", "solver.gradient_checkpointing=false", "checkpointing_steps=1000",
            "loss_params.latent_loss=0.5", "loss_params.mouth_l1_loss=1", "val_freq=100", "log_every=25",
        ],
    )  # fmt: skip
    last = [row for row in read_rows(tmp_path / "out/test/losses.jsonl") if row["kind"] == "validation"][-1]
    print(last)
    assert last["mouth_l1"] < 0.5 * last["mouth_l1_reference"]
