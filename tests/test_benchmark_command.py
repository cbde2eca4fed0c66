"""The command, with tiny networks on a few frames of the demo. Times are not looked at."""

from functools import partial

import pytest
from model_factory import write_mini

from musetalk.benchmark import session
from musetalk.benchmark.machine import measure_rates
from musetalk.benchmark.results import read_benchmark
from musetalk.benchmark.stages import NETWORK_STAGES, STAGES
from scripts import benchmark


@pytest.fixture(autouse=True)
def small_measurements(monkeypatch):
    monkeypatch.setattr(session, "measure_rates", partial(measure_rates, side=64, copy_bytes=4096))


def test_every_stage_and_the_whole_are_timed_and_compared(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    models_dir = write_mini(tmp_path / "models")
    words = ["--version", "mini", "--models_dir", str(models_dir), "--gpu_id", "-1", "--repeats", "1", "--frames", "3"]
    assert benchmark.main([*words, "--dtype", "float32", "bfloat16", "--batch_size", "1", "5", "--json", "a.json"]) == 0
    out = capsys.readouterr().out
    assert all(f"| {name} " in out for name in (*STAGES, "sum", "whole"))

    done = read_benchmark(tmp_path / "a.json")
    assert [(setting.dtype, setting.batch_size) for setting in done.settings] == [
        ("float32", 1),
        ("float32", 5),
        ("bfloat16", 1),
        ("bfloat16", 5),
    ]
    assert done.clip.frames == 3 and done.trained
    first, _, last, _ = done.settings
    for setting in done.settings:
        assert tuple(stage.name for stage in setting.stages) == STAGES
        assert setting.whole is not None and setting.whole.frames == 3
        assert "generate" in setting.whole.stages
    one = {stage.name: stage for stage in first.stages}
    assert {name for name, stage in one.items() if stage.flops} == {*NETWORK_STAGES, "features"}
    half = {stage.name: stage for stage in last.stages}
    assert half["unet"].bytes == one["unet"].bytes / 2 and half["unet"].flops == one["unet"].flops
    assert half["unet"].dtype == "bfloat16" and half["features"].dtype == "float32"
    assert {path.name for path in tmp_path.iterdir()} == {"models", "a.json"}

    assert benchmark.main(["--compare", "a.json", "a.json"]) == 0
    out = capsys.readouterr().out
    assert "are the same" in out and "1.00" in out


def test_wrong_files_end_the_command_before_the_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert benchmark.main(["--compare", "a.json", "b.json"]) == 1
    assert benchmark.main(["--version", "mini", "--models_dir", "nowhere", "--gpu_id", "-1"]) == 1
    assert benchmark.main(["--version", "mini", "--video", "absent.mp4", "--gpu_id", "-1"]) == 1
    errors = capsys.readouterr().err
    assert "a.json: cannot be read" in errors and "missing for mini" in errors and "absent.mp4" in errors
