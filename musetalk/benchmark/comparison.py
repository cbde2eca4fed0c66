"""Two benchmarks side by side: ratios of every stage and setting, and what else differs between the runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from musetalk.benchmark.results import Benchmark, Setting
from musetalk.benchmark.table import aligned

WHOLE = "whole"
_SETUP = ("version", "trained", "backends", "repeats")


@dataclass(frozen=True)
class Ratio:
    """One stage of one setting in both runs; seconds a frame."""

    dtype: str
    batch_size: int
    stage: str
    first: float
    second: float

    @property
    def ratio(self) -> float | None:
        """Second over first: below 1 the second is faster. None where the first took no time."""
        return self.second / self.first if self.first else None


def ratios(first: Benchmark, second: Benchmark) -> list[Ratio]:
    """Every stage of every setting that both have, and the whole where both ran it, in the order of the first."""
    others = {(setting.dtype, setting.batch_size): _seconds(setting) for setting in second.settings}
    return [
        Ratio(setting.dtype, setting.batch_size, stage, seconds, other[stage])
        for setting in first.settings
        for other in [others.get((setting.dtype, setting.batch_size), {})]
        for stage, seconds in _seconds(setting).items()
        if stage in other
    ]


def unmatched(first: Benchmark, second: Benchmark) -> list[str]:
    """Settings that only one of the two has."""
    names = [
        {f"{setting.dtype}, batch size {setting.batch_size}": None for setting in b.settings} for b in (first, second)
    ]
    return [
        f"{name}: only in {where}"
        for own, other, where in ((names[0], names[1], "A"), (names[1], names[0], "B"))
        for name in own
        if name not in other
    ]


def differences(first: Benchmark, second: Benchmark) -> list[str]:
    """What differs beside the times: machine, clip, networks; one line each, "name: A → B"."""
    return [f"{name}: {a} → {b}" for name, a, b in _facts(first, second) if a != b]


def comparison_report(first: Benchmark, second: Benchmark) -> str:
    """The comparison as text."""
    rows = [["dtype", "batch", "stage", "A ms", "B ms", "B / A"]]
    rows += [
        [
            item.dtype,
            str(item.batch_size),
            item.stage,
            f"{1000 * item.first:.2f}",
            f"{1000 * item.second:.2f}",
            "-" if item.ratio is None else f"{item.ratio:.2f}",
        ]
        for item in ratios(first, second)
    ]
    rates = [["rate", "A", "B", "B / A"]]
    for kind, unit, a, b in (
        ("matrix", "GFLOP/s", first.rates.matrix, second.rates.matrix),
        ("copy", "GB/s", first.rates.copy, second.rates.copy),
    ):
        rates += [
            [f"{kind} {name}, {unit}", f"{a[name] / 1e9:.1f}", f"{b[name] / 1e9:.1f}", f"{b[name] / a[name]:.2f}"]
            for name in a
            if name in b
        ]
    other = differences(first, second)
    parts = [
        "Differs: " + "; ".join(other) if other else "Machine, clip and networks are the same.",
        *(["\n".join(unmatched(first, second))] if unmatched(first, second) else []),
        aligned(rows, left=3) if len(rows) > 1 else "No setting is in both.",
        aligned(rates) if len(rates) > 1 else "",
        "B / A: below 1, B is faster (stages) or slower (rates).",
    ]
    return "\n\n".join(part for part in parts if part)


def _facts(first: Benchmark, second: Benchmark) -> Iterator[tuple[str, object, object]]:
    for name in _SETUP:
        yield name, getattr(first, name), getattr(second, name)
    for group in ("machine", "clip"):
        a, b = asdict(getattr(first, group)), asdict(getattr(second, group))
        for name in a:
            yield f"{group} {name}", a[name], b[name]


def _seconds(setting: Setting) -> dict[str, float]:
    seconds = {stage.name: stage.seconds for stage in setting.stages}
    if setting.whole is not None:
        seconds[WHOLE] = setting.whole.seconds / setting.whole.frames
    return seconds
