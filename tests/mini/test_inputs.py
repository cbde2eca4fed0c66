"""A step that was trained from other data is not taken for one of today's."""

from __future__ import annotations

from pathlib import Path

import pytest

from musetalk.errors import TrainingError, WeightsError
from musetalk.mini.inputs import INPUTS, check_inputs


def work(folder: Path) -> Path:
    for name in sorted({name for names in INPUTS.values() for name in names}):
        path = folder / name
        if path.suffix:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        else:
            path.mkdir()
            (path / "00000.npz").write_text("speech")
    return folder


@pytest.mark.parametrize("step", INPUTS)
def test_each_input_counts_once_a_step_has_begun(step: str, tmp_path: Path) -> None:
    folder = work(tmp_path)
    check_inputs(step, folder)
    check_inputs(step, folder)
    for name in INPUTS[step]:
        changed = folder / name if (folder / name).suffix else folder / name / "00001.npz"
        before = changed.read_text() if changed.exists() else None
        changed.write_text("another")
        check_inputs(step, folder)  # nothing is trained yet
        checkpoint = folder / "trained" / step / "mini" / "checkpoints" / "checkpoint-250"
        checkpoint.mkdir(parents=True)
        check_inputs(step, folder)
        if before is None:
            changed.unlink()
        else:
            changed.write_text(before)
        with pytest.raises(TrainingError, match=f"{step}: .* was trained from other data"):
            check_inputs(step, folder)
        checkpoint.rmdir()
        check_inputs(step, folder)


def test_a_step_whose_inputs_are_not_there_says_which(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"vae: .*train\.txt is missing"):
        check_inputs("vae", tmp_path)
    assert not (tmp_path / "trained").exists()
