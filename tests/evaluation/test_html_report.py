"""The report, read as a document and opened in a real browser where one is at hand."""

from __future__ import annotations

import base64
import os
import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from score_factory import texture

from musetalk.errors import InputError
from musetalk.evaluation.evidence import Entry, SheetColumn
from musetalk.evaluation.html_report import contact_sheet, plots, report
from musetalk.evaluation.score import Score, rank
from musetalk.evaluation.values import NotMeasurable

HOSTILE = "<script>alert(\"a\")</script> & 'b'"
FRAMES = 300


def scored(name: str, gap_loudness: float = 0.5) -> Score:
    time = np.arange(FRAMES) / 25
    curves = {
        "seconds": time,
        "gap": 0.1 + 0.05 * np.sin(time * 9),
        "loudness": 0.2 + 0.2 * np.sin(time * 9 + 0.3),
        "gap_reference": 0.1 + 0.04 * np.sin(time * 9),
        "silent": (time > 5) * (time < 6.0),
        "lags": np.arange(-600, 601, 40.0),
        "gap_loudness_by_lag": np.cos(np.arange(-15, 16) / 6),
        "offsets": np.arange(-15, 16.0),
        "lse_by_offset": 12 - 5 * np.exp(-(np.arange(-15, 16.0) ** 2)),
        "syncnet_by_offset": np.exp(-(np.arange(-15, 16.0) ** 2)),
        "apart_face_source": 2 + np.cos(time),
        "apart_background_source": np.full(FRAMES, 0.5),
        "line_source": 1 + np.abs(np.sin(time * 3)),
        **{f"ssim_{region}_reference": 0.9 + 0.05 * np.cos(time) for region in ("face", "mouth", "background")},
    }
    values = {
        "frames": float(FRAMES),
        "gap_loudness": gap_loudness,
        "gap_lag": -40.0,
        "lse_offset": 1.0,
        "seam": 0.8,
        "fid": NotMeasurable("lacks models/a & b"),
    }
    face = cv2.resize(texture(), (180, 180))
    sheet = [SheetColumn(0.4 * k, {"generated": face, "source": 255 - face}) for k in range(5)]
    return Score(Entry(name, Path(f"{name}.mp4"), source=Path("s.mp4")), values, curves, ["a note <i>"], sheet)


@pytest.fixture(scope="module")
def page() -> str:
    scores = [scored(HOSTILE), scored("second", 0.7)]
    return report(scores, rank(scores), {"third <": InputError("third.mp4: no such file", "Check the path.")})


class Reader(HTMLParser):
    """Collects tags and texts, and complains about tags that are not closed."""

    EMPTY = ("meta", "img", "path", "line", "rect")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def test_the_page_is_well_formed_and_needs_nothing_beside_itself(page):
    tags = read(page).tags
    assert not [tag for tag, _ in tags if tag in ("script", "link", "iframe")]
    addresses = [value for _, attributes in tags for key, value in attributes.items() if key in ("src", "href")]
    assert addresses and all(address.startswith("data:image/jpeg;base64,") for address in addresses)
    assert "http" not in re.sub(r'"data:[^"]*"', "", page)


def test_names_and_reasons_stay_text(page):
    texts = read(page).texts
    assert texts.count(HOSTILE) == 3  # in both tables and above its plots
    assert any(text.startswith("lacks models/a & b: FID") for text in texts)
    assert "a note <i>" in texts and "third <" in texts
    assert any("third.mp4: no such file" in text for text in texts)


def test_the_better_value_stands_out(page):
    assert '<td class="number">0.500</td><td class="number best">0.700</td>' in page
    assert 'best">300' not in page


def test_an_entry_has_its_plots():
    drawn = plots(scored("a"))
    titles = [re.search(r'aria-label="([^"]*)"', svg)[1] for svg in drawn]
    assert [title.split(":")[0].split(",")[0] for title in titles] == [
        "Lip gap over time",
        "Agreement of lip gap and loudness by offset",
        "LSE",
        "SyncNet",
        "Difference to the source",
        "SSIM to the reference",
    ]
    assert {"lip gap", "lip gap of the reference", "loudness", "silence"} <= set(read(drawn[0]).texts)
    assert plots(Score(Entry("a", Path("a.mp4")), {}, {"seconds": np.arange(3.0)})) == []


def test_the_contact_sheet_is_a_picture_of_all_moments():
    one = scored("a").sheet
    columns = [*one[:4], replace(one[4], pictures={"generated": one[4].pictures["generated"]})]
    content = re.search(r"base64,([^\"]*)", contact_sheet(columns))[1]
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (2 * 180, 5 * 180, 3)
    assert np.abs(picture[180:, 720:].astype(int) - 128).mean() < 0.5  # a moment without a source
    assert "at 0.00, 0.40, 0.80, 1.20, 1.60 s" in contact_sheet(columns)


def test_the_page_opens_in_a_browser(page, tmp_path):
    """Playwright's Chromium, or the one of MUSETALK_TEST_BROWSER (a path and flags)."""
    sync_api = pytest.importorskip("playwright.sync_api")
    (tmp_path / "report.html").write_text(page, "utf-8")
    named = shlex.split(os.environ.get("MUSETALK_TEST_BROWSER", ""))
    complaints: list[str] = []
    with sync_api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=named[0] if named else None, args=named[1:])
        except sync_api.Error as error:
            if named or "Executable doesn't exist" not in str(error):
                raise
            pytest.skip("no browser is installed")
        tab = browser.new_page(viewport={"width": 1100, "height": 800})
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("dialog", lambda dialog: complaints.append(dialog.message))
        tab.on("request", lambda request: complaints.append(request.url) if "report.html" not in request.url else None)
        tab.goto((tmp_path / "report.html").as_uri())
        assert "Lip-sync scores" in tab.title()
        charts = tab.locator("svg")
        assert charts.count() == 12
        for index in range(charts.count()):
            box = charts.nth(index).bounding_box()
            assert box["width"] > 800 and box["height"] > 100
            line = charts.nth(index).locator("path.line").first
            assert line.bounding_box()["width"] > 700
            assert line.evaluate("element => getComputedStyle(element).stroke") == "rgb(11, 98, 164)"
        assert tab.evaluate("[...document.images].map(image => image.naturalWidth)") == [900, 900]
        assert tab.evaluate("document.documentElement.scrollWidth") <= 1100
        assert tab.locator("#scores tr").count() > 6 and tab.locator("#ranking tr").count() > 3
        browser.close()
    assert [one for one in complaints if not one.startswith("data:")] == []
