"""The summary of rendered heads: known mouths give known numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from media_factory import tone, write_sound, write_video
from score_factory import Finder, face_points, texture

from musetalk.errors import InputError
from musetalk.evaluation.collect import Collector
from musetalk.evaluation.rendered import ClipScores, clip_values, find_clips, markdown, summarize

FRAMES = 25
SHARP = {"crf": "6"}


def points(gaps):
    return [face_points(gap, at=(100.0, 50.0)) for gap in gaps]


@pytest.fixture
def folder(tmp_path):
    """A clip whose mouth opens twice, and its twin, whose mouth opens once."""
    time = np.arange(FRAMES) / FRAMES
    said, own = 5 + 4 * np.sin(4 * np.pi * time), 5 + 4 * np.cos(2 * np.pi * time)
    write_video(tmp_path / "c.mp4", [texture(seed=1)] * FRAMES, options=SHARP)
    write_video(tmp_path / "c.twin.mp4", [texture(seed=1) + 9] * FRAMES, options=SHARP)
    write_sound(tmp_path / "c.wav", tone(1.0))
    curves = {"gap": said / 100, "width": said / 50, "twin_gap": own / 100, "twin_width": own / 50}
    np.savez(tmp_path / "c.truth.npz", kind=np.array("speech"), **curves)
    return tmp_path


def test_clips_are_found_with_their_truth(folder):
    (clip,) = find_clips(folder)
    assert (clip.name, clip.kind) == ("c", "speech")
    assert clip.source == folder / "c.twin.mp4" and len(clip.gap) == FRAMES


def test_what_is_missing_is_named(folder, tmp_path_factory):
    with pytest.raises(InputError, match="holds no rendered clips"):
        find_clips(tmp_path_factory.mktemp("empty"))
    (folder / "c.wav").unlink()
    with pytest.raises(InputError, match=r"c\.wav is missing"):
        find_clips(folder)
    (folder / "c.truth.npz").write_bytes(b"PK damaged")
    with pytest.raises(InputError, match="no truth"):
        find_clips(folder)


def test_a_mouth_that_says_the_speech_is_told_from_one_that_says_its_own(folder):
    (clip,) = find_clips(folder)
    said, own = points(100 * clip.gap), points(100 * clip.source_gap)
    collector = Collector(Finder(said, own))
    truth = clip_values(clip, collector.collect(clip.entry(clip.video)))
    source = clip_values(clip, collector.collect(clip.entry(clip.source)))
    assert truth["gap_r"] == pytest.approx(1, abs=0.01) and abs(truth["own_gap_r"]) < 0.1
    assert source["own_gap_r"] == pytest.approx(1, abs=0.01) and abs(source["gap_r"]) < 0.1
    assert truth["mouth_psnr"] > source["mouth_psnr"] + 10
    assert truth["apart_face"] == pytest.approx(9, abs=1)


def test_the_summary_says_what_is_reached(folder):
    (clip,) = find_clips(folder)

    def one(name, kind, gap_r, deviation, psnr, offset):
        model = {"gap_r": gap_r, "gap_deviation": deviation, "mouth_psnr": psnr, "offset": offset}
        source = {"gap_deviation": 0.1, "mouth_psnr": 20.0}
        return ClipScores(replace(clip, name=name, kind=kind), {"model": model, "truth": model, "source": source})

    scores = [one("a", "speech", 0.9, 0.04, 27.0, 0), one("b", "speech", 0.7, 0.04, 25.0, -2)]
    scores.append(one("c", "quiet", 0.0, 0.002, 26.0, 1))
    del scores[-1].values["model"]["gap_r"]
    still = replace(clip, gap=0 * clip.gap, source_gap=0 * clip.source_gap)
    scores.append(ClipScores(still, {system: {"mouth_psnr": 100.0} for system in ("model", "truth", "source")}))
    rows = {row.name: row for row in summarize(scores)}
    assert rows["gap_r"].values["model"] == pytest.approx(0.8) and rows["gap_r"].reached is False
    assert rows["gap_r"].clips == 2 and rows["gap_r"].values["source"] is None
    assert rows["mouth_gain"].values["model"] == pytest.approx(6) and rows["mouth_gain"].reached
    assert rows["mouth_gain"].clips == 3  # a quiet one, too, whose source speaks; not where neither moves
    assert rows["stillness"].values["model"] == pytest.approx(0.05) and rows["stillness"].reached
    assert rows["in_sync"].values["model"] == pytest.approx(2 / 3) and rows["in_sync"].reached is False
    assert rows["width_r"].values["model"] is None and rows["width_r"].reached is None
    table = markdown(rows.values())
    assert "| lip gap ~ truth, r | 2 | 0.8 ✗ | ≥ 0.85 | 0.8 | – |" in table
