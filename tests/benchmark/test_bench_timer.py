"""Medians with a clock that is told what to say, and the rates of the machine."""

import pytest
import torch

from musetalk.benchmark.machine import Machine, measure_rates, processor_name
from musetalk.benchmark.timer import median_seconds

CPU = torch.device("cpu")


def test_the_median_of_the_repeats_without_the_warm_up():
    runs, ticks = [], iter([0.0, 5.0, 10.0, 11.0, 20.0, 22.0])
    seconds = median_seconds(lambda: runs.append(1), CPU, 3, warm_up=2, clock=lambda: next(ticks))
    assert seconds == 2.0  # of 5, 1 and 2
    assert len(runs) == 5


def test_the_processor_is_named_as_the_system_names_it(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: A: fine CPU\nflags\t: avx\n")
    assert processor_name(tmp_path / "cpuinfo") == "A: fine CPU"
    assert processor_name(tmp_path / "absent")


def test_rates_are_measured_for_each_dtype_and_place():
    rates = measure_rates(CPU, [torch.float32, torch.bfloat16], 1, side=16, copy_bytes=1024)
    assert set(rates.matrix) == {"float32", "bfloat16"} and set(rates.copy) == {"cpu"}
    assert all(rate > 0 for rate in (*rates.matrix.values(), *rates.copy.values()))
    assert Machine.of(CPU).device == "CPU"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_has_rates_of_its_own():
    rates = measure_rates(torch.device("cuda", 0), [torch.float16], 1, side=256, copy_bytes=1 << 20)
    assert set(rates.copy) == {"cpu", "cuda"}
