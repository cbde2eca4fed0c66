"""The score of an entry: every metric's value or the reason for its absence, and the curves behind them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from musetalk.evaluation.catalogue import METRICS
from musetalk.evaluation.evidence import Entry, Evidence, SheetColumn
from musetalk.evaluation.lip_sync import gap_curve
from musetalk.evaluation.metrics import Metric
from musetalk.evaluation.sync_metrics import offset_curves
from musetalk.evaluation.values import NotMeasurable, Value


@dataclass(frozen=True, eq=False)
class Score:
    """What was measured of an entry.

    Attributes:
        entry: What the user gave.
        values: By name of the metric, in the order of METRICS.
        curves: (n,) float64 by name; `seconds` is the time of each frame. `lags` (ms) and `offsets` (frames) are the
            axes of the curves `…_by_lag` and `…_by_offset`.
        notes: What was done to make things fit.
        sheet: Moments to look at.
    """

    entry: Entry
    values: dict[str, Value]
    curves: dict[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    sheet: list[SheetColumn] = field(default_factory=list)

    def number(self, name: str) -> float | None:
        """The value of a metric, None where it has none."""
        value = self.values.get(name)
        return None if value is None or isinstance(value, NotMeasurable) else value

    def reasons(self) -> dict[str, list[str]]:
        """Names of the metrics without a value, by reason."""
        found: dict[str, list[str]] = {}
        for name, value in self.values.items():
            if isinstance(value, NotMeasurable):
                found.setdefault(value.reason, []).append(name)
        return found


def score(evidence: Evidence, metrics: Iterable[Metric] = METRICS) -> Score:
    """Compute every metric."""
    values = {metric.name: metric.measure(evidence) for metric in metrics}
    return Score(evidence.entry, values, curves(evidence), evidence.notes, evidence.sheet)


def curves(evidence: Evidence) -> dict[str, np.ndarray]:
    """What can be drawn over time or over shifts."""
    found = {"seconds": np.arange(evidence.generated.frames) / float(evidence.generated.fps)}
    if evidence.generated.seen.any():
        found |= {"gap": evidence.gaps, "width": evidence.widths, "aspect": evidence.aspects}
    if evidence.audio is not None:
        found |= {"loudness": evidence.loudness, "silent": evidence.silent.astype(np.float64)}
        if "gap" in found:
            found |= {
                "lags": 1000 * evidence.lags / float(evidence.generated.fps),
                "gap_loudness_by_lag": evidence.loudness_lags,
            }
    for role, beside in (("source", evidence.source), ("reference", evidence.reference)):
        if beside is not None:
            found[f"gap_{role}"] = gap_curve(beside.landmarks)
            found |= {f"{name}_{role}": curve for name, curve in beside.pairs.items()}
    return found | offset_curves(evidence)


@dataclass(frozen=True)
class Ranking:
    """Who is best at what.

    Attributes:
        ranks: For each metric by which entries can be ranked, the rank of each entry by name: 1 is best, equals share
            the mean of their places.
        mean: Mean rank of each entry over these metrics, best first.
    """

    ranks: dict[str, dict[str, float]]
    mean: dict[str, float]


def rank(scores: Iterable[Score], metrics: Iterable[Metric] = METRICS) -> Ranking:
    """Rank entries by every metric that has a better side and a value for all of them."""
    entries = list(scores)
    ranks: dict[str, dict[str, float]] = {}
    for metric in metrics:
        badness = {}
        for one in entries:
            value = one.number(metric.name)
            worse = None if value is None else metric.badness(value)
            if worse is not None:
                badness[one.entry.name] = worse
        if len(entries) > 1 and len(badness) == len(entries):
            ranks[metric.name] = places(badness)
    names = [one.entry.name for one in entries if ranks]
    means = {name: float(np.mean([row[name] for row in ranks.values()])) for name in names}
    return Ranking(ranks, dict(sorted(means.items(), key=lambda item: item[1])))


def places(badness: Mapping[str, float]) -> dict[str, float]:
    """Places from 1 for the smallest; equal ones share the mean of their places."""
    ordered = sorted(badness.values())
    return {name: 1 + ordered.index(value) + (ordered.count(value) - 1) / 2 for name, value in badness.items()}
