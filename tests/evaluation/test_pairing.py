from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from media_factory import numbered_frame, read_number, write_video
from score_factory import Finder, face_points, speaking, track_of

from musetalk.evaluation.pairing import (
    AGAIN,
    FORWARD_AND_BACKWARD,
    HELD,
    Pairing,
    loop_index,
    pair_reference,
    pair_source,
    read_paired,
)
from musetalk.evaluation.track import measure_track


def pictures(indices):
    """Small pictures of which each number has its own."""
    rng = np.random.default_rng(5)
    known = rng.integers(0, 255, (64, 24, 24), dtype=np.uint8)
    return known[np.asarray(indices)]


def standing(count, **more):
    return track_of(speaking(np.zeros(count)), **more)


@pytest.mark.parametrize(
    ("loop", "expected"),
    [
        (FORWARD_AND_BACKWARD, [0, 1, 2, 2, 1, 0, 0, 1]),
        (AGAIN, [0, 1, 2, 0, 1, 2, 0, 1]),
        (HELD, [0, 1, 2, 2, 2, 2, 2, 2]),
    ],
)
def test_how_a_short_source_goes_on_is_told_by_the_pictures(loop, expected):
    assert loop_index(8, 3, loop).tolist() == expected
    source = standing(3, thumbnails=pictures(range(3)))
    noise = np.random.default_rng(1).integers(0, 20, (8, 24, 24), dtype=np.uint8)
    generated = standing(8, thumbnails=pictures(expected) // 2 + 50 + noise)
    found = pair_source(generated, source)
    assert found.loop == loop
    assert found.index.tolist() == expected
    assert "the source ends after 0.12 s of 0.32 s and goes on " + loop in found.notes[-1]


def test_a_longer_source_is_used_as_far_as_needed():
    found = pair_source(standing(5), standing(9))
    assert (found.index.tolist(), found.loop, found.notes) == ([0, 1, 2, 3, 4], None, ())


def test_frames_after_the_reference_have_no_partner_and_that_is_said():
    found = pair_reference(standing(5), standing(3))
    assert found.index.tolist() == [0, 1, 2, -1, -1]
    assert found.paired.tolist() == [True] * 3 + [False] * 2
    assert "the generated video is longer (0.20 s against 0.12 s); only what both have is compared" in found.notes
    assert pair_reference(standing(3), standing(5)).index.tolist() == [0, 1, 2]
    assert pair_reference(standing(3), standing(3)).notes == ()


def test_other_rates_and_sizes_are_said():
    other = standing(5, own_fps=Fraction(30000, 1001), size=(400, 300))
    (rate, size) = pair_source(standing(5), other).notes
    assert "29.97 fps is read by time at 25 fps" in rate
    assert "400×300 is scaled to 200×200" in size


def test_videos_of_two_rates_are_read_side_by_side(tmp_path):
    """50 fps beside 25: every other frame, in the order of the pairing."""
    write_video(tmp_path / "fast.mp4", [numbered_frame(k) for k in range(20)], 50)
    track = measure_track(tmp_path / "fast.mp4", Finder([face_points()] * 10), Fraction(25))
    assert (track.frames, track.fps, track.own_fps) == (10, 25, 50)

    def read(pairing):
        frames = read_paired(tmp_path / "fast.mp4", Fraction(25), pairing, (160, 96))
        return [None if frame is None else read_number(frame) for frame in frames]

    assert read(Pairing(loop_index(13, 10, FORWARD_AND_BACKWARD), FORWARD_AND_BACKWARD, ()))[8:] == [16, 18, 18, 16, 14]
    assert read(Pairing(loop_index(13, 10, AGAIN), AGAIN, ()))[8:] == [16, 18, 0, 2, 4]
    assert read(Pairing(loop_index(13, 10, HELD), HELD, ()))[8:] == [16, 18, 18, 18, 18]
    assert read(Pairing(np.array([0, 1, 2, -1]), None, ())) == [0, 2, 4, None]
    assert read(Pairing(np.array([*range(10), -1, -1]), None, ()))[9:] == [18, None, None]


def test_a_frame_of_another_size_is_scaled(tmp_path):
    write_video(tmp_path / "small.mp4", [numbered_frame(3, 80, 48)])
    (frame,) = read_paired(tmp_path / "small.mp4", Fraction(25), Pairing(np.array([0]), None, ()), (160, 96))
    assert frame.shape == (96, 160, 3)


def test_a_track_knows_where_there_is_no_face(tmp_path):
    write_video(tmp_path / "clip.mp4", [numbered_frame(k) for k in range(3)])
    counted = []
    points = face_points()
    track = measure_track(tmp_path / "clip.mp4", Finder([points, None, points]), advance=lambda: counted.append(1))
    assert track.seen.tolist() == [True, False, True]
    assert np.isnan(track.landmarks[1]).all() and np.isnan(track.detections[1]).all()
    assert np.array_equal(track.landmarks[2], points)
    assert [face is None for face in track.faces()] == [False, True, False]
    assert track.seconds == Fraction(3, 25) and len(counted) == 3
    assert track.thumbnails.shape == (3, 24, 24)
