"""Every settings file of training in the repository is read, and the published keys are all known."""

from __future__ import annotations

from pathlib import Path

import pytest

from musetalk.schema import read_settings
from musetalk.training.config import StageConfig
from musetalk.training.preprocess.settings import PreprocessConfig
from musetalk.training.tasks import TASK_TYPES

FOLDER = Path("configs/training")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("**/*.yaml")), ids=str)
def test_every_file_is_read_without_a_warning(path: Path) -> None:
    if path.stem == "gpu":
        pytest.skip("accelerate's own")
    task = "vae" if path.stem == "decoder" else path.stem
    schema = PreprocessConfig if task == "preprocess" else TASK_TYPES[task][0]
    _, warnings = read_settings(schema, path)
    assert warnings == []


def test_the_stages_have_the_published_values() -> None:
    first, second = (read_settings(StageConfig, FOLDER / f"stage{n}.yaml")[0] for n in (1, 2))
    assert (first.data.train_bs, first.data.n_sample_frames, first.solver.gradient_accumulation_steps) == (32, 1, 1)
    assert (second.data.train_bs, second.data.n_sample_frames, second.solver.gradient_accumulation_steps) == (2, 16, 8)
    assert (first.solver.learning_rate, second.solver.learning_rate) == (2e-5, 5e-6)
    assert (first.data.min_face_size, second.data.min_face_size) == (150, 200)
    assert (first.crop_type, second.crop_type) == ("crop_resize", "dynamic_margin_crop_resize")
    losses = second.loss_params
    assert (losses.l1_loss, losses.vgg_loss, losses.gan_loss, losses.mouth_gan_loss, losses.sync_loss) == (
        1.0, 0.01, 0.01, 0.01, 0.05,
    )  # fmt: skip
    assert (first.random_init_unet, second.random_init_unet) == (True, False)


def test_the_published_misspelling_is_read_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "stage1.yaml"
    text = (FOLDER / "stage1.yaml").read_text().replace("control_face_min_size: true", "contorl_face_min_size: false")
    path.write_text(text)
    config, warnings = read_settings(StageConfig, path)
    assert config.data.control_face_min_size is False
    assert warnings == [f"{path}: data.contorl_face_min_size is read as data.control_face_min_size"]
