from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy_task import Line, Samples

from musetalk.errors import ConfigError, OutputError, TrainingError, WeightsError
from musetalk.training import checkpoint as checkpoint_module
from musetalk.training.accelerator import build_accelerator
from musetalk.training.checkpoint import read_facts
from musetalk.training.config import RunConfig, SolverConfig
from musetalk.training.files import save_tensors
from musetalk.training.log import read_rows
from musetalk.training.trainer import Trainer


def settings(folder: Path, steps: int = 10, every: int = 4, **solver: object) -> RunConfig:
    chosen = SolverConfig(
        max_train_steps=steps, learning_rate=0.1, lr_warmup_steps=0, **solver  # type: ignore[arg-type]
    )
    return RunConfig(
        output_dir=folder, checkpointing_steps=every, val_freq=5, log_every=1, total_limit=2, solver=chosen
    )


def train(config: RunConfig, task: Line) -> Trainer:
    trainer = Trainer(config, "x: 1\n", task, build_accelerator(config.solver))
    trainer.run()
    return trainer


def errors(folder: Path) -> list[float]:
    return [row["error"] for row in read_rows(folder / "test" / "losses.jsonl") if row["kind"] == "train"]


def test_learns_the_line_and_exports_it(tmp_path: Path) -> None:
    task = Line(batch_size=4)
    train(settings(tmp_path, steps=150, every=1000, lr_scheduler="constant"), task)
    weight, bias = (float(p.detach()) for p in task.networks["line"].parameters())
    assert (weight, bias) == (pytest.approx(2, abs=0.1), pytest.approx(1, abs=0.1))
    assert float((tmp_path / "test" / "exported.txt").read_text()) == pytest.approx(bias)


def test_an_interrupted_run_goes_on_to_the_same_losses(tmp_path: Path) -> None:
    whole = Line(noise=0.5)
    train(settings(tmp_path / "whole"), whole)

    first = Line(noise=0.5)
    first.after = lambda step: os.kill(os.getpid(), signal.SIGTERM) if step == 5 else None
    with pytest.raises(KeyboardInterrupt):
        train(settings(tmp_path / "cut"), first)
    assert sorted(p.name for p in (tmp_path / "cut/test/checkpoints").iterdir()) == ["checkpoint-4", "checkpoint-6"]
    second = Line(noise=0.5)
    train(settings(tmp_path / "cut"), second)

    assert first.seen + second.seen == whole.seen
    assert errors(tmp_path / "cut") == errors(tmp_path / "whole")
    for a, b in zip(second.networks["line"].parameters(), whole.networks["line"].parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_killed_run_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(step: int) -> None:
        if step == 6:
            raise Killed

    first, whole, second = Line(), Line(), Line()
    first.after = kill
    with pytest.raises(Killed):
        train(settings(tmp_path / "cut"), first)
    train(settings(tmp_path / "cut"), second)
    train(settings(tmp_path / "whole"), whole)
    assert second.seen == whole.seen[4:]
    assert errors(tmp_path / "cut") == errors(tmp_path / "whole")


def test_accumulation_equals_a_larger_batch_and_counts_steps_of_the_optimiser(tmp_path: Path) -> None:
    small, large = Line(batch_size=2), Line(batch_size=6)
    train(settings(tmp_path / "small", gradient_accumulation_steps=3), small)
    train(settings(tmp_path / "large"), large)
    assert small.samples.taken[:60] == large.samples.taken[:60]
    for a, b in zip(small.networks["line"].parameters(), large.networks["line"].parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    facts = read_facts(tmp_path / "small/test/checkpoints/checkpoint-10")
    assert (facts["step"], facts["position"]) == (10, 60)


def test_only_the_newest_checkpoints_stay(tmp_path: Path) -> None:
    train(settings(tmp_path, steps=10, every=2), Line())
    assert sorted(p.name for p in (tmp_path / "test/checkpoints").iterdir()) == ["checkpoint-10", "checkpoint-8"]


def test_the_schedule_continues_and_takes_a_new_learning_rate(tmp_path: Path) -> None:
    config = settings(tmp_path, steps=4)
    train(config, Line())
    longer = replace(config, solver=replace(config.solver, max_train_steps=8, learning_rate=0.2))
    trainer = train(longer, Line())
    rates = [row["learning_rate"] for row in read_rows(tmp_path / "test/losses.jsonl") if row["kind"] == "train"]
    assert rates[:4] == pytest.approx([0.075, 0.05, 0.025, 0.0])
    assert rates[4:] == pytest.approx([0.075, 0.05, 0.025, 0.0])
    assert trainer.step == 8


def test_a_loss_that_is_no_number_stops_before_the_weights_are_harmed(tmp_path: Path) -> None:
    task = Line(Samples(flawed=lambda number: number == 13))
    with pytest.raises(TrainingError, match=r"step 7: .*error nan") as caught:
        train(settings(tmp_path), task)
    assert "checkpoint-4" in caught.value.fix
    assert all(torch.isfinite(p).all() for p in task.networks["line"].parameters())


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = checkpoint_module.write_tensors

    def full(value: object, path: Path) -> None:
        if "checkpoint-8" in str(path) and path.name == "optimizer.pt":
            path.write_bytes(b"half of it")
            raise OSError(28, "No space left on device")
        real(value, path)

    monkeypatch.setattr(checkpoint_module, "write_tensors", full)
    with pytest.raises(OutputError, match="No space left") as caught:
        train(settings(tmp_path), Line())
    assert "checkpoint-4" in caught.value.fix
    assert [p.name for p in (tmp_path / "test/checkpoints").iterdir()] == ["checkpoint-4"]
    monkeypatch.undo()
    after, whole = Line(), Line()
    train(settings(tmp_path), after)
    train(settings(tmp_path / "whole"), whole)
    assert after.seen == whole.seen[4:]


def test_the_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    train(settings(tmp_path, steps=4), Line())
    other = Line()
    other.networks = {"line": torch.nn.Linear(1, 3)}
    with pytest.raises(WeightsError, match=r"line\.pt: checkpoint of the wrong shape: weight has the shape"):
        train(settings(tmp_path, steps=8), other)


def test_resuming_can_be_refused_or_pointed_at_a_checkpoint(tmp_path: Path) -> None:
    config = settings(tmp_path, steps=8)
    train(config, Line())
    with pytest.raises(ConfigError, match="already holds checkpoints"):
        train(replace(config, resume_from_checkpoint=False), Line())
    again = Line()
    train(replace(config, resume_from_checkpoint=tmp_path / "test/checkpoints/checkpoint-4"), again)
    assert len(again.seen) == 4
    assert sorted(p.name for p in (tmp_path / "test/checkpoints").iterdir()) == [
        "checkpoint-4", "checkpoint-8", "checkpoint-8.aside",
    ]  # fmt: skip
    with pytest.raises(WeightsError, match="not a whole checkpoint"):
        train(replace(config, resume_from_checkpoint=tmp_path / "nowhere"), Line())


def test_a_finished_run_does_nothing_more(tmp_path: Path) -> None:
    train(settings(tmp_path, steps=4), Line())
    again = Line()
    train(settings(tmp_path, steps=4), again)
    assert again.seen == []


def test_the_average_is_validated_exported_and_kept(tmp_path: Path) -> None:
    config = settings(tmp_path, steps=10, lr_scheduler="constant", ema_decay=0.9)
    task = Line()
    train(config, task)
    exported = float((tmp_path / "test" / "exported.txt").read_text())
    assert exported != pytest.approx(float(task.networks["line"].bias.detach()))  # type: ignore[operator, arg-type]
    resumed = Line()
    trainer = train(replace(config, solver=replace(config.solver, max_train_steps=11)), resumed)
    assert float(trainer.averages["line"].n_averaged) == 11
    rows = [row for row in read_rows(tmp_path / "test/losses.jsonl") if row["kind"] == "validation"]
    assert [row["step"] for row in rows] == [5, 10, 11]


def test_losses_and_pictures_lie_on_the_disk_and_in_tensorboard(tmp_path: Path) -> None:
    train(settings(tmp_path, steps=5), Line())
    folder = tmp_path / "test"
    assert (folder / "images" / "strip-0000005.jpg").is_file()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(folder / "tensorboard"))
    board.Reload()
    assert [event.step for event in board.Scalars("train/error")] == [1, 2, 3, 4, 5]
    assert board.Tags()["images"] == ["strip"]


def test_half_precision_without_a_gpu_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ConfigError, match="fp16 trains on CUDA only"):
        build_accelerator(SolverConfig(mixed_precision="fp16"))


def test_a_checkpoint_whose_weights_give_no_number_is_set_aside(tmp_path: Path) -> None:
    """The checkpoint before it is what the error names, and what is taken next."""
    task = Line(Samples(flawed=lambda number: number >= 8))  # the first pass of step 5
    with pytest.raises(TrainingError, match=r"step 5: .*checkpoint-4\.aside holds the weights") as caught:
        train(settings(tmp_path, every=2), task)
    assert "go on from" in caught.value.fix and "checkpoint-2" in caught.value.fix
    again = Line()
    train(settings(tmp_path, every=2), again)
    assert len(again.seen) == 8


class FullAfter:
    """A file on a disk that takes so many bytes."""

    def __init__(self, path: Path, room: int) -> None:
        self.file, self.room = path.open("wb"), room

    def write(self, data: bytes) -> int:
        self.room -= len(data)
        if self.room < 0:
            raise OSError(28, "No space left on device")
        return self.file.write(data)

    def __getattr__(self, name: str) -> object:
        return getattr(self.file, name)


@pytest.mark.parametrize("room", [0, 100, 5000, 300_000])
def test_torch_hides_no_full_disk(tmp_path: Path, room: int) -> None:
    with pytest.raises(OSError, match="No space left"):
        save_tensors({"a": torch.zeros(100_000)}, FullAfter(tmp_path / "a.pt", room))  # type: ignore[arg-type]
