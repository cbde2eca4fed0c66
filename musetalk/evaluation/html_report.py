"""The report: one HTML file with tables, plots and contact sheets, that needs nothing beside itself."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from musetalk.errors import MuseTalkError
from musetalk.evaluation.catalogue import METRICS
from musetalk.evaluation.evidence import SheetColumn
from musetalk.evaluation.metrics import Metric
from musetalk.evaluation.score import Ranking, Score
from musetalk.evaluation.svg import Line, chart

JPEG_QUALITY = 88
_CURVE_HEIGHT = 200

_STYLE = """
:root { color-scheme: light; --ink: #1b1f24; --soft: #57606a; --rule: #d8dee4; --ground: #fff; --band: #f6f8fa; }
body { font: 15px/1.45 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; color: var(--ink);
  background: var(--ground); margin: 0 auto; padding: 24px; max-width: 1080px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 20px; margin: 36px 0 8px; border-top: 2px solid var(--rule);
  padding-top: 18px; overflow-wrap: anywhere; } h3 { font-size: 15px; margin: 20px 0 6px; }
p, li { color: var(--soft); margin: 4px 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 10px; text-align: left; border-bottom: 1px solid var(--rule); vertical-align: top; }
th.number, td.number { text-align: right; white-space: nowrap; }
tr.group th { background: var(--band); padding-top: 8px; }
td.meaning { color: var(--soft); font-size: 13px; min-width: 240px; } td.best { font-weight: 700; }
th.entry { max-width: 160px; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; display: block; margin: 14px 0; } svg text { fill: var(--ink); font-size: 12px; }
svg .title { font-size: 14px; font-weight: 600; } svg .tick, svg .axis { fill: var(--soft); }
svg .grid { stroke: var(--rule); stroke-width: 1; } svg .mark { stroke: var(--ink); stroke-dasharray: 4 3; }
svg .line { fill: none; stroke-width: 1.6; stroke-linejoin: round; } svg .shade { fill: #e7eaee; }
img.sheet { max-width: 100%; display: block; border: 1px solid var(--rule); }
""".strip()


def report(scores: Sequence[Score], ranking: Ranking, failed: Mapping[str, MuseTalkError]) -> str:
    """The whole page.

    Args:
        scores: Of all entries.
        ranking: Among them.
        failed: Why others were not scored, by name.
    """
    names = ", ".join(score.entry.name for score in scores)
    parts = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Lip-sync scores: {html.escape(names)}</title><style>{_STYLE}</style></head><body>",
        "<h1>Lip-sync scores</h1>",
        f"<p>{html.escape(names)}</p>",
        _failures(failed),
        _table(scores),
        _ranks(ranking),
        *(_entry(score) for score in scores),
        "</body></html>\n",
    ]
    return "\n".join(part for part in parts if part)


def _failures(failed: Mapping[str, MuseTalkError]) -> str:
    if not failed:
        return ""
    lines = "".join(
        f"<li><b>{html.escape(name)}</b>: {html.escape(error.what)}. {html.escape(error.fix)}</li>"
        for name, error in failed.items()
    )
    return f"<h3>Not scored</h3><ul>{lines}</ul>"


def _table(scores: Sequence[Score]) -> str:
    heads = "".join(f'<th class="number entry">{html.escape(score.entry.name)}</th>' for score in scores)
    rows = []
    group = None
    for metric in METRICS:
        if all(score.number(metric.name) is None for score in scores):
            continue
        if metric.group != group:
            group = metric.group
            rows.append(f'<tr class="group"><th colspan="{4 + len(scores)}">{html.escape(group)}</th></tr>')
        rows.append(_row(metric, scores))
    head = f"<tr><th>metric</th>{heads}<th>unit</th><th>better</th><th>meaning</th></tr>"
    return f'<div class="wide"><table id="scores">{head}{"".join(rows)}</table></div>'


def _row(metric: Metric, scores: Sequence[Score]) -> str:
    numbers = [score.number(metric.name) for score in scores]
    badness = [None if number is None else metric.badness(number) for number in numbers]
    known = [one for one in badness if one is not None]
    best = min(known) if len(known) > 1 and max(known) > min(known) else None
    cells = []
    for number, bad in zip(numbers, badness, strict=True):
        kind = "number best" if best is not None and bad == best else "number"
        cells.append(f'<td class="{kind}">{"–" if number is None else metric.text(number)}</td>')
    words = "".join(f"<td>{html.escape(word)}</td>" for word in (metric.unit, metric.better))
    meaning = f'<td class="meaning">{html.escape(metric.meaning)}</td>'
    return f"<tr><td>{html.escape(metric.title)}</td>{''.join(cells)}{words}{meaning}</tr>"


def _ranks(ranking: Ranking) -> str:
    if not ranking.mean:
        return ""
    titles = {metric.name: metric.title for metric in METRICS}
    names = list(ranking.mean)
    heads = "".join(f'<th class="number entry">{html.escape(name)}</th>' for name in names)
    rows = [f"<tr><th>1 is best</th>{heads}</tr>"]
    for metric, ranks in ranking.ranks.items():
        cells = "".join(f'<td class="number">{ranks[name]:g}</td>' for name in names)
        rows.append(f"<tr><td>{html.escape(titles[metric])}</td>{cells}</tr>")
    means = "".join(f'<td class="number">{ranking.mean[name]:.2f}</td>' for name in names)
    rows.append(f"<tr><th>mean of {len(ranking.ranks)}</th>{means}</tr>")
    note = "<p>Every metric counts alike here, which is no verdict: choose those that matter to you.</p>"
    return f'<h2>Ranking</h2>{note}<div class="wide"><table id="ranking">{"".join(rows)}</table></div>'


def _entry(score: Score) -> str:
    given = [f"{key}: {path}" for key, path in vars(score.entry).items() if key != "name" and path is not None]
    titles = {metric.name: metric.title for metric in METRICS}
    missing = [f"{reason}: {', '.join(titles[name] for name in names)}" for reason, names in score.reasons().items()]
    parts = [f"<h2>{html.escape(score.entry.name)}</h2>", _list([*given, *score.notes])]
    parts += plots(score)
    if score.sheet:
        parts.append(f"<h3>Contact sheet</h3>{contact_sheet(score.sheet)}")
    if missing:
        parts.append(f"<h3>Not measured</h3>{_list(missing)}")
    return f"<section>{''.join(parts)}</section>"


def _list(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in lines)}</ul>"


def plots(score: Score) -> list[str]:
    """The charts of an entry, as far as it has curves for them."""
    curves = score.curves
    seconds = curves["seconds"]
    found = []
    if "gap" in curves:
        titles = {"gap": "lip gap", "gap_reference": "lip gap of the reference", "loudness": "loudness"}
        lines = [Line(title, _to_one(curves[name])) for name, title in titles.items() if name in curves]
        silent = curves.get("silent")
        found.append(
            chart(
                "Lip gap over time",
                seconds,
                lines,
                "seconds",
                "share of each curve's highest",
                shaded=None if silent is None else silent > 0,
                shaded_name="silence",
                from_zero=True,
            )
        )
    found += _offset_plots(score)
    differences = [
        Line(title, curves[name])
        for name, title in (
            ("apart_face_source", "outside the lips"),
            ("apart_background_source", "background"),
            ("line_source", "strongest new straight edge"),
        )
        if name in curves
    ]
    if differences:
        found.append(
            chart(
                "Difference to the source, frame by frame",
                seconds,
                differences,
                "seconds",
                "grey levels",
                from_zero=True,
            )
        )
    if "ssim_mouth_reference" in curves:
        regions = (("mouth", "mouth"), ("face", "face"), ("background", "background"))
        lines = [Line(title, curves[f"ssim_{name}_reference"]) for name, title in regions]
        found.append(chart("SSIM to the reference, frame by frame", seconds, lines, "seconds", "SSIM"))
    return found


def _offset_plots(score: Score) -> list[str]:
    curves = score.curves
    found = []
    if "gap_loudness_by_lag" in curves:
        lag = score.number("gap_lag")
        found.append(
            chart(
                "Agreement of lip gap and loudness by offset",
                curves["lags"],
                [Line("r", curves["gap_loudness_by_lag"])],
                "ms by which the mouth is late",
                "r",
                marks=[] if lag is None else [lag],
                height=_CURVE_HEIGHT,
            )
        )
    for name, title, unit, metric in (
        ("lse_by_offset", "LSE: distance of mouth and sound by offset", "mean distance", "lse_offset"),
        ("lse_frames_by_offset", "LSE of whole frames: distance of mouth and sound by offset", "mean distance", None),
        ("syncnet_by_offset", "SyncNet: likeness of mouth and sound by offset", "mean cosine", "syncnet_offset"),
    ):
        if name in curves:
            best = None if metric is None else score.number(metric)
            lines = [Line(unit, curves[name])]
            marks = [] if best is None else [best]
            axis = "frames of 40 ms by which the mouth is late"
            found.append(chart(title, curves["offsets"], lines, axis, unit, marks=marks, height=_CURVE_HEIGHT))
    return found


def _to_one(curve: np.ndarray) -> np.ndarray:
    known = curve[np.isfinite(curve)]
    highest = float(np.percentile(known, 99.5)) if len(known) else 0.0
    return np.minimum(curve / highest, 1.1) if highest > 0 else curve


def contact_sheet(columns: Sequence[SheetColumn]) -> str:
    """An `img` of all moments side by side: generated above, then what was given beside it."""
    rows = [name for name in ("generated", "source", "reference") if any(name in column.pictures for column in columns)]
    side = next(iter(columns[0].pictures.values())).shape[0]
    strips = [
        np.hstack([column.pictures.get(row, np.full((side, side, 3), 128, np.uint8)) for column in columns])
        for row in rows
    ]
    written, data = cv2.imencode(".jpg", np.vstack(strips), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert written
    times = ", ".join(f"{column.seconds:.2f}" for column in columns)
    caption = f"{', '.join(rows)} (from above), at {times} s"
    content = base64.b64encode(data.tobytes()).decode("ascii")
    return f'<img class="sheet" alt="{caption}" src="data:image/jpeg;base64,{content}"><p>{caption}</p>'
