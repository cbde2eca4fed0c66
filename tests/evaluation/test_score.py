"""From evidence to values, ranks and tables."""

from __future__ import annotations

import csv
import io
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from score_factory import speaking, track_of

from musetalk.errors import InputError
from musetalk.evaluation.catalogue import METRICS
from musetalk.evaluation.evidence import Beside, Entry, Evidence, Sound
from musetalk.evaluation.metrics import FACT, HIGHER, LOWER, ONE, ZERO, Metric
from musetalk.evaluation.pairing import Pairing
from musetalk.evaluation.pictures import FramePair
from musetalk.evaluation.score import Score, places, rank, score
from musetalk.evaluation.tables import ranking_table, text_table, to_csv, to_json
from musetalk.evaluation.values import NotMeasurable

ENTRY = Entry("one", Path("one.mp4"))
FRAMES = 100


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of `models` is at hand."""
    monkeypatch.chdir(tmp_path)


def speech_and_gaps(late: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Samples whose loudness is that of lip gaps shown `late` frames after it; a pause in the middle."""
    wave = 0.5 + 0.5 * np.random.default_rng(3).random(FRAMES)
    wave[40:60] = 0
    tone = np.sin(np.arange(FRAMES * 640) * 0.5)
    return (np.repeat(wave, 640) * tone * 0.5).astype(np.float32), 8 * np.roll(wave, late)


def evidence(late: int = 0, **more) -> Evidence:
    samples, gaps = speech_and_gaps(late)
    sound = Sound(Path("a.wav"), samples, Fraction(len(samples), 16000))
    return Evidence(ENTRY, track_of(speaking(gaps)), audio=sound, **more)


def beside(landmarks, **curves) -> Beside:
    track = track_of(landmarks)
    names = FramePair.__dataclass_fields__
    pairs = {name: np.full(FRAMES, curves.get(name, np.nan)) for name in names}
    return Beside(track, Pairing(np.arange(FRAMES), None, ()), pairs)


def test_every_metric_has_a_value_or_a_reason():
    everything = score(Evidence(ENTRY, track_of(speaking(np.zeros(FRAMES)))))
    assert list(everything.values) == [metric.name for metric in METRICS]
    assert len(set(everything.values)) == len(METRICS)
    reasons = everything.reasons()
    assert "gap_reference" in reasons["needs --reference"]
    assert {"seam", "ssim_background_source", "landmark_jitter_ratio"} <= set(reasons["needs --source"])
    assert "gap_other_loudness" in reasons["needs --other_audio"]
    assert any(reason.startswith("needs a sound") and "silence_leak" in names for reason, names in reasons.items())
    assert everything.number("frames") == FRAMES


def test_a_video_without_a_face():
    nothing = score(Evidence(ENTRY, track_of(np.full((FRAMES, 68, 2), np.nan)), audio=evidence().audio))
    assert nothing.number("faces") == 0
    assert "landmark_jitter" in nothing.reasons()["no face was found in the generated video"]
    assert "gap_loudness" in nothing.reasons()["no face was found in the generated video"]


def test_a_mouth_that_follows_its_speech():
    good = score(evidence())
    assert good.number("gap_loudness") > 0.99
    assert abs(good.number("gap_loudness_shifted")) < 0.3
    assert good.number("gap_lag") == 0
    assert good.number("silent_frames") == 16
    assert good.number("silence_leak") == 0
    assert good.number("silence_motion") == pytest.approx(0, abs=1e-6)
    assert good.number("audio_minus_video") == 0


@pytest.mark.parametrize("late", [-5, 3])
def test_a_late_mouth_gives_that_lag(late):
    assert score(evidence(late)).number("gap_lag") == 40 * late


def test_the_reference_and_the_source_are_measured():
    _, gaps = speech_and_gaps()
    reference = beside(speaking(gaps), mse_mouth=100.0, ssim_mouth=0.5)
    source = beside(
        speaking(np.zeros(FRAMES)), edge=4.0, edge_beside=1.0, sharpness=1.0, sharpness_beside=2.0, line=3.0
    )
    found = score(evidence(source=source, reference=reference))
    assert found.number("gap_reference") == pytest.approx(1)
    assert found.number("lmd_mouth") == found.number("lmd_face") == 0
    assert found.number("psnr_mouth_reference") == pytest.approx(10 * np.log10(65025 / 100))
    assert found.number("ssim_mouth_reference") == 0.5
    assert (found.number("seam"), found.number("mouth_sharpness"), found.number("new_line")) == (2, 0.5, 3)
    assert isinstance(found.values["colour_shift"], NotMeasurable)
    assert "perfectly still" in found.values["box_jitter_ratio"].reason


def test_what_several_metrics_share_is_computed_once():
    seen = []

    def compute():
        seen.append(1)
        raise NotMeasurable("because")

    found = evidence()
    for _ in range(2):
        with pytest.raises(NotMeasurable, match="because"):
            found.once("thing", compute)
    assert len(seen) == 1


def metric(name: str, better: str) -> Metric:
    return Metric(name, name, "", better, "", lambda e: 0.0)


def given(name: str, **values: float) -> Score:
    return Score(Entry(name, Path(f"{name}.mp4")), {key: value for key, value in values.items()})


def test_ranks_follow_the_direction_of_each_metric():
    metrics = [
        metric("up", HIGHER),
        metric("down", LOWER),
        metric("zero", ZERO),
        metric("one", ONE),
        metric("fact", FACT),
    ]
    scores = [
        given("a", up=1, down=1, zero=-1, one=0.5, fact=1),
        given("b", up=2, down=2, zero=2, one=1.2, fact=2),
        given("c", up=2, down=3, zero=0, one=3, fact=3),
    ]
    ranking = rank(scores, metrics)
    assert ranking.ranks == {
        "up": {"a": 3, "b": 1.5, "c": 1.5},
        "down": {"a": 1, "b": 2, "c": 3},
        "zero": {"a": 2, "b": 3, "c": 1},
        "one": {"a": 2, "b": 1, "c": 3},
    }
    assert ranking.mean == {"b": 7.5 / 4, "a": 2, "c": 8.5 / 4}
    assert list(ranking.mean) == ["b", "a", "c"]
    assert places({"a": 1.0}) == {"a": 1}


def test_a_metric_that_one_entry_lacks_ranks_nobody():
    lacking = Score(Entry("b", Path("b.mp4")), {"up": NotMeasurable("no")})
    ranking = rank([given("a", up=1), lacking], [metric("up", HIGHER)])
    assert ranking.ranks == {} and ranking.mean == {}
    assert ranking_table(ranking) == ""


def test_the_table_says_what_was_not_measured_and_why():
    text = text_table([score(evidence())])
    assert "lip gap ~ loudness" in text and "higher" in text
    assert "needs --reference: lip gap ~ reference" in text
    first = text.split("\n\n")[0]
    assert "LMD" not in first
    many = [Score(Entry(f"entry {k}", Path("x.mp4")), score(evidence()).values) for k in range(6)]
    text = text_table(many)
    assert "entry 5" in text and text.count("  needs --reference: ") == 1
    silent = Score(Entry("silent", Path("x.mp4")), {"gap_loudness": NotMeasurable("needs a sound")})
    assert "\n  silent: needs a sound: lip gap ~ loudness" in text_table([*many, silent])
    assert max(len(line) for line in text.split("\n\n")[0].splitlines()) < 150
    table = ranking_table(rank(many))
    assert "3.5" in table and "mean of" in table


def test_json_holds_values_reasons_and_curves():
    scored = score(evidence())
    content = json.loads(to_json([scored], rank([scored]), {"bad": InputError("what", "fix")}))
    (entry,) = content["entries"]
    assert entry["generated"] == "one.mp4" and entry["source"] is None
    assert entry["metrics"]["gap_loudness"]["value"] == scored.number("gap_loudness")
    assert entry["metrics"]["seam"] == {"value": None, "reason": "needs --source"}
    assert len(entry["curves"]["gap"]) == len(entry["curves"]["loudness"]) == FRAMES
    assert content["failed"]["bad"] == {"what": "what", "fix": "fix"}
    assert content["definitions"]["seam"]["better"] == "nearer 1"
    assert set(content["definitions"]) == set(entry["metrics"])


def test_csv_has_a_line_for_each_entry():
    rows = list(csv.DictReader(io.StringIO(to_csv([score(evidence()), score(evidence(3))]))))
    assert [float(row["gap_lag"]) for row in rows] == [0, 120]
    assert rows[0]["seam"] == "" and rows[0]["generated"] == "one.mp4"
