"""Scores as text on screen, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from musetalk.errors import MuseTalkError
from musetalk.evaluation.catalogue import METRICS
from musetalk.evaluation.score import Ranking, Score
from musetalk.evaluation.values import NotMeasurable

_COLUMNS = 4
"""Entries side by side on screen."""
_NAMED = 4
"""Metrics that a reason names; the files name all."""
_TITLE, _UNIT, _NUMBER, _BETTER = 44, 15, 14, 10


def text_table(scores: Sequence[Score]) -> str:
    """Metrics down, entries across; below, what was not measured and why, and what was done to make things fit."""
    blocks = [_block(scores[at : at + _COLUMNS]) for at in range(0, len(scores), _COLUMNS)]
    return "\n\n".join([*blocks, *(part for part in (_reasons(scores), _notes(scores)) if part)])


def _block(scores: Sequence[Score]) -> str:
    names = "".join(f"{_short(score.entry.name, _NUMBER):>{_NUMBER + 2}}" for score in scores)
    lines = [f"{'':<{_TITLE}}{'':<{_UNIT}}{names}  {'better':<{_BETTER}}".rstrip()]
    group = None
    for metric in METRICS:
        numbers = [score.number(metric.name) for score in scores]
        if all(number is None for number in numbers):
            continue
        if metric.group != group:
            group = metric.group
            lines.append(f"{group}:")
        cells = "".join(f"{'-' if number is None else metric.text(number):>{_NUMBER + 2}}" for number in numbers)
        lines.append(f"  {metric.title:<{_TITLE - 2}}{metric.unit:<{_UNIT}}{cells}  {metric.better}".rstrip())
    return "\n".join(lines)


def _short(name: str, width: int) -> str:
    return name if len(name) <= width else f"{name[: width - 1]}…"


def _reasons(scores: Sequence[Score]) -> str:
    """Why metrics are missing; entries that lack the same for the same reason share a line."""
    titles = {metric.name: metric.title for metric in METRICS}
    shared: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for one in scores:
        for reason, names in one.reasons().items():
            shared.setdefault((reason, tuple(names)), []).append(one.entry.name)
    lines = []
    for (reason, lacking), entries in shared.items():
        where = f"{', '.join(entries)}: " if len(entries) < len(scores) else ""
        shown = ", ".join(titles[name] for name in lacking[:_NAMED])
        more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
        lines.append(f"  {where}{reason}: {shown}{more}")
    return "\n".join(["not measured:", *lines]) if lines else ""


def _notes(scores: Sequence[Score]) -> str:
    lines = [f"  {one.entry.name}: {note}" for one in scores for note in one.notes]
    return "\n".join(["notes:", *lines]) if lines else ""


def ranking_table(ranking: Ranking) -> str:
    """Ranks of entries, metric by metric; '' where there is nothing to rank."""
    if not ranking.mean:
        return ""
    names = list(ranking.mean)
    titles = {metric.name: metric.title for metric in METRICS}
    head = "".join(f"{_short(name, _NUMBER):>{_NUMBER + 2}}" for name in names)
    lines = [f"{'ranks, 1 is best':<{_TITLE}}{head}"]
    for metric, ranks in ranking.ranks.items():
        lines.append(f"  {titles[metric]:<{_TITLE - 2}}" + "".join(f"{ranks[name]:>{_NUMBER + 2}g}" for name in names))
    means = "".join(f"{ranking.mean[name]:>{_NUMBER + 2}.2f}" for name in names)
    return "\n".join([*lines, f"{f'mean of {len(ranking.ranks)}':<{_TITLE}}{means}"])


def to_json(scores: Sequence[Score], ranking: Ranking, failed: Mapping[str, MuseTalkError]) -> str:
    """Everything but the contact sheets: values or reasons, definitions, curves (null where a frame has no number)."""
    content = {
        "entries": [
            {
                "name": one.entry.name,
                **{key: None if path is None else str(path) for key, path in vars(one.entry).items() if key != "name"},
                "metrics": {name: _value(value) for name, value in one.values.items()},
                "notes": one.notes,
                "curves": {name: _plain(curve) for name, curve in one.curves.items()},
            }
            for one in scores
        ],
        "failed": {name: {"what": error.what, "fix": error.fix} for name, error in failed.items()},
        "ranking": {"ranks": ranking.ranks, "mean": ranking.mean},
        "definitions": {
            metric.name: {"title": metric.title, "unit": metric.unit, "better": metric.better}
            | {"group": metric.group, "meaning": metric.meaning}
            for metric in METRICS
        },
    }
    return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _value(value: float | NotMeasurable) -> dict[str, Any]:
    if isinstance(value, NotMeasurable):
        return {"value": None, "reason": value.reason}
    return {"value": value}


def _plain(curve: np.ndarray) -> list[float | None]:
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in curve.tolist()]


def to_csv(scores: Sequence[Score]) -> str:
    """One line for each entry, one column for each metric; empty where there is no value."""
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(["name", "generated", *(metric.name for metric in METRICS)])
    for one in scores:
        numbers = [one.number(metric.name) for metric in METRICS]
        writer.writerow(
            [one.entry.name, one.entry.generated, *("" if number is None else f"{number:.6g}" for number in numbers)]
        )
    return output.getvalue()
