"""Line charts as inline SVG: no script, no file, no package beside them."""

from __future__ import annotations

import html
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from musetalk.evaluation.silence import runs

WIDTH, HEIGHT = 1040, 230
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 34, 34
MOST_POINTS = 1000
"""Longer curves are drawn by the means of their pieces."""
COLOURS = ("#0b62a4", "#d1620a", "#1d8348", "#8e44ad")
"""Told apart also by people who do not see all colours, and by their lightness."""


@dataclass(frozen=True, eq=False)
class Line:
    """One curve.

    Attributes:
        name: In the legend.
        y: (n,) values, NaN where it breaks off.
    """

    name: str
    y: np.ndarray


def chart(
    title: str,
    x: np.ndarray,
    lines: Sequence[Line],
    x_title: str,
    y_title: str,
    *,
    shaded: np.ndarray | None = None,
    shaded_name: str = "",
    marks: Sequence[float] = (),
    from_zero: bool = False,
    height: int = HEIGHT,
) -> str:
    """A chart.

    Args:
        title: Above it.
        x: (n,) ascending.
        lines: Curves over x; one without any value is left out.
        x_title, y_title: What the axes show, with units.
        shaded: (n,) bool: stretches of x with a grey ground.
        shaded_name: What they are, in the legend.
        marks: Places on x with an upright line.
        from_zero: Whether the y axis begins at 0.
        height: Pixels.

    Returns:
        An `svg` element; a paragraph that says so where there is nothing to draw.
    """
    drawn = [line for line in lines if np.isfinite(line.y).any()]
    if not len(x) or not drawn:
        return f"<p>{html.escape(title)}: nothing to draw.</p>"
    values = np.concatenate([line.y[np.isfinite(line.y)] for line in drawn])
    bottom, top = min(0.0, float(values.min())) if from_zero else float(values.min()), float(values.max())
    if top - bottom < 1e-9:
        bottom, top = bottom - 0.5, top + 0.5
    first, last = float(x[0]), float(x[-1]) if x[-1] > x[0] else float(x[0]) + 1

    def across(value: float) -> float:
        return LEFT + (value - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def down(value: float) -> float:
        return height - BOTTOM - (value - bottom) / (top - bottom) * (height - TOP - BOTTOM)

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{html.escape(title, quote=True)}">',
        f'<text class="title" x="{LEFT}" y="14">{html.escape(title)}</text>',
    ]
    step = float(np.median(np.diff(x))) if len(x) > 1 else 0.0
    for begin, end in [] if shaded is None else runs(shaded):
        left, right = across(float(x[begin])), across(min(float(x[end - 1]) + step, last))
        parts.append(_rectangle(left, TOP, right - left, height - TOP - BOTTOM, "shade"))
    columns = [(across(value), text) for value, text in ticks(first, last, 12)]
    parts += _grid(columns, [(down(value), text) for value, text in ticks(bottom, top)], height)
    parts += [_upright(across(mark), height, "mark") for mark in marks]
    for number, line in enumerate(drawn):
        thin_x, thin_y = thinned(x, line.y)
        path = _path([(across(a), down(b)) if math.isfinite(b) else None for a, b in zip(thin_x, thin_y, strict=True)])
        parts.append(f'<path class="line" stroke="{COLOURS[number % len(COLOURS)]}" d="{path}"/>')
    parts += _legend([line.name for line in drawn], shaded_name if shaded is not None and shaded.any() else "")
    end = WIDTH - RIGHT
    parts.append(f'<text class="axis" x="{end}" y="{height - 4}" text-anchor="end">{html.escape(x_title)}</text>')
    parts.append(f'<text class="axis" x="4" y="{TOP - 6}">{html.escape(y_title)}</text></svg>')
    return "".join(parts)


def ticks(low: float, high: float, about: int = 6) -> list[tuple[float, str]]:
    """Round values from low to high, about so many, with their texts."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    numbers = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    return [(number * step, f"{number * step:.{decimals}f}") for number in numbers]


def thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most MOST_POINTS points: means of as many frames as it takes, NaN where all of them are."""
    size = -(-len(x) // MOST_POINTS)
    if size <= 1:
        return x, y
    padding = -len(x) % size
    pieces = np.pad(y, (0, padding), constant_values=np.nan).reshape(-1, size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of pieces without any value
        return x[::size], np.nanmean(pieces, axis=1)


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    """Path data; the pen is lifted at None."""
    words = []
    drawing = False
    for point in points:
        if point is not None:
            words.append(f"{'L' if drawing else 'M'}{point[0]:.1f} {point[1]:.1f}")
        drawing = point is not None
    return "".join(words)


def _rectangle(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{height:.1f}"/>'


def _upright(x: float, height: int, kind: str) -> str:
    return f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{height - BOTTOM}"/>'


def _grid(columns: Sequence[tuple[float, str]], rows: Sequence[tuple[float, str]], height: int) -> list[str]:
    parts = []
    for x, text in columns:
        parts.append(_upright(x, height, "grid"))
        parts.append(f'<text class="tick" x="{x:.1f}" y="{height - BOTTOM + 14}" text-anchor="middle">{text}</text>')
    for y, text in rows:
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    return parts


def _legend(names: Sequence[str], shaded: str) -> list[str]:
    """Names from the right end of the title line leftwards, in the order of the lines."""
    colours = [COLOURS[number % len(COLOURS)] for number in range(len(names))]
    samples = [f'<path class="line" stroke="{colour}" d="M0 0L18 0"/>' for colour in colours]
    entries = list(zip(names, samples, strict=True))
    if shaded:
        entries.append((shaded, '<rect class="shade" x="0" y="-5" width="18" height="10"/>'))
    parts: list[str] = []
    right = float(WIDTH - RIGHT)
    for name, sample in reversed(entries):
        right -= 32 + 7.2 * len(name)
        text = f'<text class="tick" x="23" y="4">{html.escape(name)}</text>'
        parts.append(f'<g transform="translate({right:.0f} 11)">{sample}{text}</g>')
    return parts
