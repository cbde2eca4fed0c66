"""The tables of a benchmark, in Markdown that also reads well on a screen."""

from __future__ import annotations

from collections.abc import Sequence

from musetalk.benchmark.machine import Rates
from musetalk.benchmark.results import Benchmark, Setting, StageCost

HEADER = ("stage", "on", "ms", "share", "GFLOP", "GFLOP/s", "of matrix", "MB", "GB/s", "of copy", "× least")
LEGEND = (
    "Per frame of the result; medians. A multiply-add counts as two FLOPs; those of attention's own products are "
    "counted. MB: moved at the least (weights once a pass, what goes in, what comes out); GB: 10⁹ bytes.",
    "of matrix, of copy: share of the machine's measured matrix rate and copy bandwidth. × least: the time over the "
    "least that these two rates allow.",
)
BUSY = "Other programs were running (load above the number of cores): the times are longer than they should be."


def shares(seconds: Sequence[float]) -> list[float]:
    """What each is of the sum; zeros where the sum is 0."""
    total = sum(seconds)
    return [value / total if total else 0.0 for value in seconds]


def least_seconds(stage: StageCost, rates: Rates) -> float | None:
    """The time below which a stage cannot be at the measured rates; None where a rate was not measured."""
    matrix, copy = matrix_rate(stage, rates), rates.copy.get(stage.device)
    if copy is None or (stage.flops is not None and matrix is None):
        return None
    return max(stage.bytes / copy, stage.flops / matrix if stage.flops is not None and matrix else 0.0)


def matrix_rate(stage: StageCost, rates: Rates) -> float | None:
    """The rate to compare the stage's FLOPs with."""
    return None if stage.dtype is None else rates.matrix.get(stage.dtype)


def aligned(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A Markdown table with columns of even width, the first `left` of them to the left, the first row its header."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = ["-" * width if column < left else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    lines = []
    for row in (rows[0], rule, *rows[1:]):
        cells = [
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def stage_rows(setting: Setting, rates: Rates) -> list[list[str]]:
    """Header, a row for each stage, their sum, and the whole pipeline where it was run."""
    rows = [list(HEADER)]
    for stage, share in zip(setting.stages, shares([stage.seconds for stage in setting.stages]), strict=True):
        rows.append(_stage_row(stage, share, rates))
    blank = [""] * (len(HEADER) - 4)
    rows.append(["sum", "", _milliseconds(sum(stage.seconds for stage in setting.stages)), "100 %", *blank])
    if setting.whole is not None:
        rows.append(["whole", "", _milliseconds(setting.whole.seconds / setting.whole.frames), "", *blank])
    return rows


def _stage_row(stage: StageCost, share: float, rates: Rates) -> list[str]:
    row = [stage.name, stage.device, _milliseconds(stage.seconds), f"{100 * share:.1f} %"]
    matrix, copy = matrix_rate(stage, rates), rates.copy.get(stage.device)
    if stage.flops is None:
        row += ["-", "-", "-"]
    else:
        rate = stage.flops / stage.seconds
        row += [f"{stage.flops / 1e9:.2f}", f"{rate / 1e9:.0f}", _percent(rate, matrix)]
    rate = stage.bytes / stage.seconds
    row += [f"{stage.bytes / 1e6:.2f}", f"{rate / 1e9:.2f}", _percent(rate, copy)]
    least = least_seconds(stage, rates)
    return [*row, f"{stage.seconds / least:.1f}" if least else "-"]


def setting_table(setting: Setting, rates: Rates) -> str:
    """The title and table of one setting."""
    title = f"{setting.dtype}, batch size {setting.batch_size}"
    lines = [title, "", aligned(stage_rows(setting, rates), left=2)]
    if setting.whole is not None:
        whole = setting.whole
        parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in whole.stages.items())
        lines += [
            "",
            f"The whole: {whole.frames} frames in {whole.seconds:.2f} s, {whole.frames / whole.seconds:.1f} fps. "
            f"Its threads worked, in seconds: {parts}.",
        ]
    return "\n".join(lines)


def head(benchmark: Benchmark) -> str:
    """What was measured, where, and the machine's rates."""
    machine, clip = benchmark.machine, benchmark.clip
    weights = "its weights" if benchmark.trained else "random weights of its size"
    load = "unknown" if benchmark.load is None else f"{benchmark.load[0]:.2f} to {benchmark.load[1]:.2f}"
    matrix = ", ".join(f"{name} {rate / 1e9:.0f} GFLOP/s" for name, rate in benchmark.rates.matrix.items())
    copy = ", ".join(f"{name} {rate / 1e9:.1f} GB/s" for name, rate in benchmark.rates.copy.items())
    return "\n".join(
        (
            f"{benchmark.version} with {weights}; {benchmark.backends}; {clip.frames} frames of {clip.video} "
            f"({clip.width}×{clip.height}), {clip.audio_seconds:.1f} s of {clip.audio}; "
            f"medians of {benchmark.repeats}.",
            f"{machine.processor}, {machine.usable_cores} of {machine.cores} cores, {machine.threads} threads; "
            f"{machine.device}; {machine.system}, Python {machine.python_version}, torch {machine.torch_version}; "
            f"{benchmark.date}, load {load}.",
            f"Matrix products: {matrix} (float32 precision: {machine.float32_precision}). Copies: {copy}.",
        )
    )


def report(benchmark: Benchmark) -> str:
    """Everything, as text."""
    machine, load = benchmark.machine, benchmark.load
    busy = load is not None and max(load) > machine.usable_cores + 0.5
    tables = [setting_table(setting, benchmark.rates) for setting in benchmark.settings]
    return "\n\n".join(
        [
            head(benchmark),
            *tables,
            "\n".join(LEGEND),
            f"Peak memory {benchmark.peak_memory}.",
            *([BUSY] if busy else []),
        ]
    )


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.2f}"


def _percent(value: float, whole: float | None) -> str:
    return "-" if not whole else f"{100 * value / whole:.1f} %"
