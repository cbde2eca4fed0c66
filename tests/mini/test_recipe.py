"""The recipe's commands are such that the commands take them."""

from __future__ import annotations

from pathlib import Path

import pytest

from musetalk.errors import TrainingError
from musetalk.mini.recipe import CONFIGS, STEPS, Recipe, training_overrides
from musetalk.schema import read_settings
from musetalk.training.preprocess.settings import PreprocessConfig
from musetalk.training.tasks import TASK_TYPES


@pytest.mark.parametrize("step", ["vae", "decoder", "audio", "syncnet", "stage1", "stage2"])
def test_each_training_step_reads_its_settings_and_places(step: str, tmp_path: Path) -> None:
    schema = TASK_TYPES["vae" if step == "decoder" else step][0]
    config, warnings = read_settings(schema, CONFIGS / f"{step}.yaml", training_overrides(step, tmp_path))
    run = getattr(config, "train", config)
    assert run.folder == tmp_path / "trained" / step / "mini"
    assert warnings == []


def test_preprocessing_takes_its_places(tmp_path: Path) -> None:
    (command,) = Recipe(tmp_path, Path("head")).commands("clips")
    overrides = command[command.index("--config") + 2 :]
    config, _ = read_settings(PreprocessConfig, CONFIGS / "preprocess.yaml", overrides)
    assert config.video_root_raw == tmp_path / "heads"
    assert config.landmarks == "truth"


def test_heads_are_rendered_for_training_and_held_out(tmp_path: Path) -> None:
    train, held_out = Recipe(tmp_path, Path("head"), clips=50).commands("heads")
    assert train[train.index("--clips") + 1] == "50" and held_out[held_out.index("--clips") + 1] == "5"
    assert held_out[held_out.index("--split") + 1] == "held_out"


def test_a_step_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="the step vae failed"):
        Recipe(tmp_path, Path("head")).run("vae", tmp_path / "out")
    assert set(STEPS) >= {"speech", "heads", "clips", "export"}
