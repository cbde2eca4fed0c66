from __future__ import annotations

import sys
from pathlib import Path

import pytest

from musetalk.errors import ConfigError
from musetalk.training.launch import Devices, launch_command, processes_not_started, read_devices

GPU, CONFIG = Path("gpu.yaml"), Path("my stage.yaml")


def test_reads_the_devices_of_accelerates_file() -> None:
    assert read_devices({"gpu_ids": "5, 7", "num_processes": 2}, GPU) == Devices((5, 7), 2)
    assert read_devices({"gpu_ids": "all", "debug": True}, GPU) == Devices(None, None)
    assert read_devices({"gpu_ids": 3}, GPU) == Devices((3,), None)


@pytest.mark.parametrize("content", [{"gpu_ids": "a,b"}, {"num_processes": 0}, {"num_processes": "two"}])
def test_names_what_is_wrong_with_them(content: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"gpu.yaml: (gpu_ids|num_processes)"):
        read_devices(content, GPU)


def test_one_process_on_a_cpu_needs_no_launcher() -> None:
    command = launch_command("stage1", CONFIG, GPU, Devices((0, 1), 2), 0, None, ["seed=3"])
    assert command == [sys.executable, "-m", "scripts.train", "stage1", "--config", "my stage.yaml", "seed=3"]


def test_several_processes_on_a_cpu() -> None:
    command = launch_command("stage2", CONFIG, GPU, Devices(None, 8), 0, 2, [])
    assert command[1:] == ["-m", "scripts.train", "stage2", "--config", "my stage.yaml", "--num_processes", "2"]


LAUNCHED = {"ACCELERATE_MIXED_PRECISION": "no", "ACCELERATE_USE_CPU": "True", "MASTER_ADDR": "127.0.0.1"}


@pytest.mark.parametrize("words", [["--num_processes", "2"], ["--num_processes=2"], ["--num-processes", "2"]])
def test_what_accelerate_does_not_start_on_a_cpu_is_known(words: list[str]) -> None:
    launcher = ["python", "/bin/accelerate", "launch", "--cpu", *words, "-m", "scripts.train"]
    assert processes_not_started(LAUNCHED, launcher) == 2
    assert processes_not_started(LAUNCHED | {"WORLD_SIZE": "2"}, launcher) == 1
    assert processes_not_started(LAUNCHED | {"ACCELERATE_USE_CPU": "False"}, launcher) == 1
    assert processes_not_started({"MASTER_ADDR": "a"}, ["sh"]) == 1


def test_several_processes_of_a_file_cannot_be_counted() -> None:
    with pytest.raises(ConfigError, match="started one process"):
        processes_not_started(LAUNCHED, ["accelerate", "launch", "--config_file", "cpu.yaml"])


def test_gpus_are_those_of_the_file_and_have_to_exist() -> None:
    command = launch_command("stage1", CONFIG, GPU, Devices((0, 1), 2), 2, None, [])
    assert command[command.index("--config_file") + 1] == "gpu.yaml"
    assert command[command.index("--num_processes") + 1] == "2"
    with pytest.raises(ConfigError, match="no GPU 5, 7; it has 2"):
        launch_command("stage1", CONFIG, GPU, Devices((1, 5, 7), 2), 2, None, [])
