from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from musetalk.evaluation.svg import HEIGHT, LEFT, MOST_POINTS, RIGHT, TOP, WIDTH, Line, chart, thinned, ticks


def points(svg: str, number: int = 0) -> list[tuple[float, float]]:
    data = [path.get("d") for path in ElementTree.fromstring(svg).iter("path")][number]
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", data)]


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (0, 1, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (-600, 600, ["-600", "-400", "-200", "0", "200", "400", "600"]),
        (0.31, 0.62, ["0.4", "0.5", "0.6"]),
        (0, 0.003, ["0.0000", "0.0005", "0.0010", "0.0015", "0.0020", "0.0025", "0.0030"]),
        (3, 27, ["5", "10", "15", "20", "25"]),
    ],
)
def test_ticks_are_round(low, high, texts):
    found = ticks(low, high)
    assert [text for _, text in found] == texts
    assert all(low - 1e-9 <= value <= high + 1e-9 for value, _ in found)


def test_a_line_reaches_from_corner_to_corner():
    drawn = points(chart("t", np.arange(3.0), [Line("a", np.array([0.0, 5.0, 10.0]))], "x", "y"))
    assert drawn[0] == (LEFT, HEIGHT - 34) and drawn[-1] == (WIDTH - RIGHT, TOP)
    assert drawn[1][0] == pytest.approx((LEFT + WIDTH - RIGHT) / 2)


def test_a_line_breaks_off_where_there_is_no_value():
    svg = chart("t", np.arange(5.0), [Line("a", np.array([1, 2, np.nan, 3, 4.0]))], "x", "y")
    assert re.search(r'd="M[^M]*L[^M]*M[^M]*L[^M]*"', svg)


def test_silence_is_shaded_where_it_is():
    flags = np.zeros(101, bool)
    flags[25:50] = True
    svg = chart("t", np.arange(101.0), [Line("a", np.arange(101.0))], "x", "y", shaded=flags, shaded_name="silence")
    (shade, sample) = [r for r in ElementTree.fromstring(svg).iter("rect") if r.get("class") == "shade"]
    inner = WIDTH - LEFT - RIGHT
    assert float(shade.get("x")) == pytest.approx(LEFT + inner / 4, abs=0.1)
    assert float(shade.get("width")) == pytest.approx(inner / 4, abs=0.1)
    assert "silence" in svg and sample is not None


def test_hostile_names_stay_text():
    svg = chart("<b>&", np.arange(2.0), [Line('"><script>', np.arange(2.0))], "<x>", "&y")
    texts = [text.text for text in ElementTree.fromstring(svg).iter("text")]
    assert {"<b>&", '"><script>', "<x>", "&y"} <= set(texts)


def test_nothing_to_draw_is_said_and_flat_lines_are_drawn():
    assert chart("t", np.arange(2.0), [Line("a", np.full(2, np.nan))], "x", "y") == "<p>t: nothing to draw.</p>"
    assert chart("t", np.zeros(0), [Line("a", np.zeros(0))], "x", "y").startswith("<p>")
    assert len(points(chart("t", np.arange(2.0), [Line("a", np.full(2, 3.0))], "x", "y"))) == 2
    assert points(chart("t", np.zeros(1), [Line("a", np.ones(1))], "x", "y"))


def test_long_curves_are_drawn_by_means():
    count = 3 * MOST_POINTS
    y = np.arange(float(count))
    y[:3] = np.nan
    x, means = thinned(np.arange(float(count)), y)
    assert len(x) == len(means) == MOST_POINTS
    assert np.isnan(means[0]) and means[1] == 4 and x[1] == 3
    x, means = thinned(np.arange(5.0), np.arange(5.0))
    assert means.tolist() == [0, 1, 2, 3, 4]
