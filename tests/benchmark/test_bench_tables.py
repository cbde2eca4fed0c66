"""Shares, bounds, tables, files and comparisons of numbers that are known."""

from dataclasses import replace

import pytest

from musetalk.benchmark.comparison import comparison_report, differences, ratios, unmatched
from musetalk.benchmark.machine import Machine, Rates
from musetalk.benchmark.results import (
    Benchmark,
    ClipFacts,
    Setting,
    StageCost,
    Whole,
    read_benchmark,
    write_benchmark,
)
from musetalk.benchmark.stages import in_order
from musetalk.benchmark.table import BUSY, aligned, least_seconds, report, setting_table, shares, stage_rows
from musetalk.errors import InputError

RATES = Rates({"float32": 100e9}, {"cpu": 10e9})
READ = StageCost("read", 0.010, None, 1e6, None, "cpu")
UNET = StageCost("unet", 0.030, 1.5e9, 30e6, "float32", "cpu")
SETTING = Setting("float32", 2, (READ, UNET), Whole(8, 0.24, {"generate": 0.2}))
BENCHMARK = Benchmark(
    "mini",
    True,
    "mediapipe, landmarks",
    "2026-01-02T03:04:05+00:00",
    (0.5, 1.5),
    3,
    Machine("A CPU", 4, 2, 2, "CPU", "Linux x86_64", "3.11", "2.13", "highest"),
    RATES,
    ClipFacts("clip.mp4", "speech.wav", 64, 48, 8, 0.32),
    (SETTING,),
    "1.00 GB",
)


def slower(factor):
    stages = tuple(replace(stage, seconds=stage.seconds * factor) for stage in SETTING.stages)
    return replace(SETTING, stages=stages, whole=Whole(4, 0.24, {}))


def test_shares_add_up():
    assert shares([1, 3]) == [0.25, 0.75]
    assert shares([0, 0]) == [0, 0]


def test_the_least_time_is_that_of_the_slower_rate():
    assert least_seconds(UNET, RATES) == pytest.approx(0.015)  # 1.5 GFLOP at 100 GFLOP/s
    assert least_seconds(replace(UNET, bytes=400e6), RATES) == pytest.approx(0.040)  # 400 MB at 10 GB/s
    assert least_seconds(READ, RATES) == pytest.approx(0.0001)
    assert least_seconds(replace(UNET, dtype="bfloat16"), RATES) is None
    assert least_seconds(replace(READ, device="cuda"), RATES) is None


def test_rows_of_a_setting():
    header, read, unet, total, whole = stage_rows(SETTING, RATES)
    assert len({len(row) for row in (header, read, unet, total, whole)}) == 1
    assert read == ["read", "cpu", "10.00", "25.0 %", "-", "-", "-", "1.00", "0.10", "1.0 %", "100.0"]
    assert unet == ["unet", "cpu", "30.00", "75.0 %", "1.50", "50", "50.0 %", "30.00", "1.00", "10.0 %", "2.0"]
    assert total[2] == "40.00" and whole[2] == "30.00"
    assert "8 frames in 0.24 s, 33.3 fps" in setting_table(SETTING, RATES)


def test_a_table_is_markdown_of_even_width():
    lines = aligned([["name", "ms"], ["a", "1.00"]]).splitlines()
    assert lines == ["| name |   ms |", "| ---- | ---: |", "| a    | 1.00 |"]


def test_stages_come_in_the_order_of_the_pipeline():
    assert [stage.name for stage in in_order([UNET, READ])] == ["read", "unet"]


def test_the_report_says_what_ran_where():
    text = report(BENCHMARK)
    assert "mini with its weights" in text and "A CPU, 2 of 4 cores" in text and "Peak memory 1.00 GB" in text
    assert "random weights" in report(replace(BENCHMARK, trained=False))
    assert BUSY not in text and BUSY in report(replace(BENCHMARK, load=(0.5, 3.0)))


def test_a_file_gives_back_what_was_written(tmp_path):
    for benchmark in (BENCHMARK, replace(BENCHMARK, settings=(replace(SETTING, whole=None),), load=None)):
        write_benchmark(tmp_path / "a.json", benchmark)
        assert read_benchmark(tmp_path / "a.json") == benchmark


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1}', '{"format": 1, "machine": 3}'])
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "b.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"b\.json"):
        read_benchmark(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_benchmark(tmp_path / "absent.json")


def test_ratios_are_second_over_first():
    found = ratios(BENCHMARK, replace(BENCHMARK, settings=(slower(1.5),)))
    assert [(item.stage, item.ratio) for item in found] == [
        ("read", pytest.approx(1.5)),
        ("unet", pytest.approx(1.5)),
        ("whole", pytest.approx(2.0)),  # the same time for half the frames
    ]


def test_settings_of_one_run_alone_are_named_and_not_compared():
    other = replace(BENCHMARK, settings=(replace(SETTING, batch_size=8),))
    assert ratios(BENCHMARK, other) == []
    assert unmatched(BENCHMARK, other) == ["float32, batch size 2: only in A", "float32, batch size 8: only in B"]
    assert "No setting is in both" in comparison_report(BENCHMARK, other)


def test_what_differs_in_the_machine_is_marked():
    machine = replace(BENCHMARK.machine, processor="B CPU", threads=1)
    other = replace(BENCHMARK, machine=machine, date="2027", rates=Rates({"float32": 50e9}, {"cpu": 10e9}))
    assert differences(BENCHMARK, other) == ["machine processor: A CPU → B CPU", "machine threads: 2 → 1"]
    text = comparison_report(BENCHMARK, other)
    assert "Differs: machine processor: A CPU → B CPU" in text
    assert "| matrix float32, GFLOP/s | 100.0 | 50.0 |  0.50 |" in text
    assert "are the same" in comparison_report(BENCHMARK, BENCHMARK)
