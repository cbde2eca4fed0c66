"""Seeing and hearing entries, with a finder that has been told the landmarks."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from media_factory import tone, write_sound, write_video
from score_factory import Finder, face_points, texture

from musetalk.errors import InputError
from musetalk.evaluation.collect import SHEET_COLUMNS, SHEET_SIDE, Collector, check_entry, sheet_frames
from musetalk.evaluation.evidence import Entry
from musetalk.evaluation.fair import Encoder
from musetalk.evaluation.score import score
from musetalk.evaluation.track import measure_track
from musetalk.media.ffmpeg import find_ffmpeg
from musetalk.media.frames import open_source

FRAMES = 24
POINTS = face_points(5, at=(100.0, 50.0))
SHARP = {"crf": "6"}


def frames(count=FRAMES, brighter=0):
    return [texture(seed=1) + brighter for _ in range(count)]


@pytest.fixture
def folder(tmp_path):
    write_video(tmp_path / "g.mp4", frames(brighter=9), options=SHARP, sound=tone(1.0))
    write_video(tmp_path / "s.mp4", frames(10), options=SHARP)
    write_sound(tmp_path / "a.wav", tone(0.96))
    return tmp_path


def told(count, points=POINTS):
    return [points] * count


def test_a_video_is_looked_at_once(folder):
    counted = []
    collector = Collector(Finder(told(FRAMES), told(10)), advance=counted.append)
    entry = Entry("a", folder / "g.mp4", source=folder / "s.mp4")
    first = collector.collect(entry)
    second = collector.collect(entry)  # the finder has no more to tell
    assert second.generated is first.generated and second.source.track is first.source.track
    assert counted.count("faces") == FRAMES + 10 and counted.count("pictures") == 2 * FRAMES
    same = collector.collect(Entry("b", folder / "s.mp4", source=folder / "s.mp4"))
    assert same.source.track is first.source.track


def test_pairs_are_measured_in_step(folder):
    evidence = Collector(Finder(told(FRAMES), told(10))).collect(Entry("a", folder / "g.mp4", source=folder / "s.mp4"))
    pairs = evidence.source.pairs
    assert all(len(curve) == FRAMES for curve in pairs.values())
    assert pairs["apart_face"] == pytest.approx(9, abs=0.7) and pairs["apart_background"] == pytest.approx(9, abs=0.7)
    assert evidence.source.landmarks.shape == (FRAMES, 68, 2)
    assert score(evidence).number("colour_shift") > 2
    assert any("goes on" in note for note in evidence.notes)


def test_frames_without_a_face_or_partner_have_no_numbers(folder):
    lost = [*told(4), None, *told(5)]
    entry = Entry("a", folder / "g.mp4", reference=folder / "s.mp4")
    evidence = Collector(Finder([None, *told(FRAMES - 1)], lost)).collect(entry)
    known = np.isfinite(evidence.reference.pairs["mse_face"])
    # A generated frame without a face is compared all the same: that is a fault of the video.
    assert np.flatnonzero(known).tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 9]


def test_a_larger_source_is_scaled_with_its_landmarks(tmp_path):
    write_video(tmp_path / "g.mp4", frames(3), options=SHARP)
    write_video(tmp_path / "s.mp4", [np.kron(f, np.ones((2, 2, 1), np.uint8)) for f in frames(3)], options=SHARP)
    evidence = Collector(Finder(told(3), told(3, 2 * POINTS))).collect(
        Entry("a", tmp_path / "g.mp4", source=tmp_path / "s.mp4", reference=tmp_path / "s.mp4")
    )
    assert evidence.source.pairs["apart_face"].max() < 1.5
    found = score(evidence)
    assert found.number("lmd_face") == pytest.approx(0, abs=1e-9)
    assert any("400×400 is scaled to 200×200" in note for note in found.notes)


def test_the_sound_is_the_video_s_own_unless_given(folder):
    own = Collector(Finder(told(FRAMES))).collect(Entry("a", folder / "g.mp4"))
    assert own.audio.seconds == pytest.approx(Fraction(1), abs=0.03)
    given = Collector(Finder(told(FRAMES))).collect(Entry("a", folder / "g.mp4", audio=folder / "a.wav"))
    assert given.audio.seconds == Fraction(96, 100)
    silent = Collector(Finder(told(10))).collect(Entry("a", folder / "s.mp4"))
    assert silent.audio is None
    assert any("s.mp4: the file has no sound track" in note for note in silent.notes)


def test_the_contact_sheet_shows_moments_spread_over_the_video(folder):
    evidence = Collector(Finder(told(FRAMES), told(10))).collect(Entry("a", folder / "g.mp4", source=folder / "s.mp4"))
    assert len(evidence.sheet) == SHEET_COLUMNS
    times = [column.seconds for column in evidence.sheet]
    assert times == sorted(times) and times[0] < 0.1 and times[-1] > 0.8
    assert all(set(column.pictures) == {"generated", "source"} for column in evidence.sheet)
    assert evidence.sheet[0].pictures["source"].shape == (SHEET_SIDE, SHEET_SIDE, 3)


def test_the_contact_sheet_prefers_frames_with_a_face(folder):
    track = measure_track(folder / "g.mp4", Finder([None] * 20 + told(4)))
    assert sheet_frames(track).tolist() == [20, 21, 22, 23]
    nobody = measure_track(folder / "s.mp4", Finder([None] * 10))
    assert sheet_frames(nobody).tolist() == list(range(10))


def test_files_are_checked_before_the_work(folder):
    good = Entry("a", folder / "g.mp4", source=folder / "s.mp4", audio=folder / "a.wav")
    assert check_entry(good) == FRAMES + 10
    for entry in (
        Entry("a", folder / "missing.mp4"),
        Entry("a", folder / "g.mp4", reference=folder / "missing.mp4"),
        Entry("a", folder / "g.mp4", audio=folder / "missing.wav"),
        Entry("a", folder / "g.mp4", other_audio=folder / "s.mp4"),
    ):
        with pytest.raises(InputError):
            check_entry(entry)


def test_fair_encodes_every_video_alike_and_once(tmp_path):
    write_video(tmp_path / "fast.mp4", [texture(k) for k in range(20)], 50, options={"crf": "0"}, sound=tone(0.4))
    write_video(tmp_path / "slow.mkv", [texture(k) for k in range(4)], 10, options={"crf": "35"})
    counted = []
    encoder = Encoder(tmp_path / "fair", find_ffmpeg(), advance=lambda: counted.append(1))
    entry = Entry("a", tmp_path / "fast.mp4", source=tmp_path / "slow.mkv", reference=tmp_path / "fast.mp4")
    fair = encoder.entry(entry)
    assert fair.reference == fair.generated != entry.generated
    assert (fair.name, fair.audio) == ("a", tmp_path / "fast.mp4")
    for path in (fair.generated, fair.source):
        source = open_source(path)
        assert source.info.fps == 25
        assert sum(1 for _ in source.frames()) == 10
    assert len(counted) == 20
    assert encoder.entry(Entry("b", tmp_path / "slow.mkv")) == Entry("b", fair.source)
    assert "crf 18, 25 fps" in encoder.note
