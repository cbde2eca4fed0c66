"""How faces are tracked and cut out before LSE is computed."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest
from formula_weights import fill
from media_factory import write_video
from score_factory import texture

from musetalk.evaluation.lse.distance import FaceEmbedder, embed_sound, from_embeddings
from musetalk.evaluation.lse.face_tracks import cut_face, find_tracks, is_cut, shots, suppress, thin_out
from musetalk.evaluation.lse.network import FACE_SIZE, LseSyncNet
from musetalk.evaluation.lse.scoring import score_frames, score_tracks
from musetalk.media.frames import open_source

FACE = (100.0, 50.0, 220.0, 200.0)


def whole(frames, box=FACE):
    return [[box] for _ in range(frames)]


def test_only_certain_faces_that_do_not_overlap_are_kept():
    candidates = np.array(
        [
            [0, 0, 10, 10, 0.91],
            [1, 1, 11, 11, 0.99],
            [50, 50, 60, 60, 0.95],
            [80, 80, 90, 90, 0.89],
            [9, 9, 30, 30, 0.92],
        ]
    )
    assert suppress(candidates) == [(1, 1, 11, 11), (50, 50, 60, 60), (9, 9, 30, 30)]
    assert suppress(np.zeros((0, 5))) == []


def test_a_track_needs_more_than_a_hundred_frames():
    assert find_tracks(whole(100), [(0, 100)]) == []
    (track,) = find_tracks(whole(101), [(0, 101)])
    assert (track.first, track.end) == (0, 101)
    # A median of 13 with zeros around the ends.
    assert np.array_equal(track.centres[50], (160, 125)) and track.halves[50] == 75


def test_small_faces_are_not_scored():
    assert find_tracks(whole(120, (0, 0, 99.0, 100.0)), [(0, 120)]) == []
    assert len(find_tracks(whole(120, (0, 0, 90.0, 100.5)), [(0, 120)])) == 1


def test_gaps_are_filled_and_long_ones_end_a_track():
    boxes = whole(260)
    for frame in [*range(40, 60), *range(110, 140)]:
        boxes[frame] = []
    for frame in range(60, 110):
        boxes[frame] = [(110.0, 50.0, 230.0, 200.0)]
    tracks = find_tracks(boxes, [(0, 260)])
    # 40 + 50 detections are too few; after the long gap there are 120.
    assert [(track.first, track.end) for track in tracks] == [(140, 260)]
    boxes[110:120] = [[(110.0, 50.0, 230.0, 200.0)]] * 10
    boxes[120:125] = [[(110.0, 50.0, 230.0, 200.0)]] * 5
    tracks = find_tracks(boxes, [(0, 260)])
    (track,) = tracks
    assert (track.first, track.end) == (0, 260)
    assert track.centres[49, 0] == pytest.approx(160 + 10 * 10 / 21)


def test_two_faces_are_two_tracks_and_a_jump_ends_one():
    boxes = [[FACE, (400.0, 50.0, 520.0, 200.0)] for _ in range(150)]
    tracks = find_tracks(boxes, [(0, 150)])
    assert sorted(track.centres[75, 0] for track in tracks) == [160, 460]
    jumping = whole(110) + whole(110, (400.0, 50.0, 520.0, 200.0))
    assert [(track.first, track.end) for track in find_tracks(jumping, [(0, 220)])] == [(0, 110), (110, 220)]


def test_shots_are_tracked_apart():
    assert shots([], 90) == [(0, 90)]
    assert shots([10, 30, 40, 50], 90) == [(0, 30), (30, 50), (50, 90)]
    assert find_tracks(whole(220), [(0, 99), (99, 220)])[0].first == 99


def test_a_cut_is_a_great_change():
    dark, light = np.zeros((90, 640, 3), np.uint8), np.full((90, 640, 3), 255, np.uint8)
    assert thin_out(dark).shape == (30, 214, 3)
    assert is_cut(thin_out(dark), thin_out(light))
    assert not is_cut(thin_out(dark), thin_out(dark + 80))


def test_the_cut_reaches_further_down_and_to_the_sides():
    """1.4 halves to each side, 1 up and 1.8 down, grey outside the frame."""
    frame = np.zeros((200, 200, 3), np.uint8)
    frame[90:110, 90:110] = 255
    face = cut_face(frame, np.array([100.0, 100.0]), 50.0)
    assert face.shape == (FACE_SIZE, FACE_SIZE, 3)
    rows, columns = (np.flatnonzero(face.max(axis=2).max(axis=axis) > 128) for axis in (1, 0))
    scale = FACE_SIZE / 140
    assert rows.min() == pytest.approx(40 * scale, abs=1) and rows.max() == pytest.approx(60 * scale, abs=1)
    assert columns.min() == pytest.approx(60 * scale, abs=1) and columns.max() == pytest.approx(80 * scale, abs=1)
    corner = cut_face(frame, np.array([0.0, 0.0]), 50.0)
    assert (corner[0, 0] == 110).all() and (corner[-1, -1] == 0).all()


class Detector:
    """Sees the same face everywhere, in pixels of the reduced frame."""

    def __init__(self, missing=()):
        self.missing, self.seen = set(missing), 0

    def candidates(self, frames):
        for frame in frames:
            assert frame.shape == (60, 80, 3)
            self.seen += 1
            box = [*(edge / 4 for edge in FACE), 0.99]
            yield np.array([box] if self.seen - 1 not in self.missing else [], np.float64).reshape(-1, 5)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    base = texture(size=(240, 320))
    frames = [np.roll(base, 3 * k, axis=1) for k in range(108)]
    return write_video(tmp_path_factory.mktemp("lse") / "a.mp4", frames)


@pytest.fixture(scope="module")
def network():
    return fill(LseSyncNet(), 1.4).eval()


def test_a_video_is_scored_as_its_cut_faces_are(video, network, monkeypatch):
    embedded = []

    class Embedder(FaceEmbedder):
        def push(self, face):
            embedded.append(face)
            super().push(face)

    monkeypatch.setattr("musetalk.evaluation.lse.scoring.FaceEmbedder", Embedder)
    sound = (0.3 * np.sin(np.arange(9 * 640) * 0.1)).astype(np.float32)
    found = score_tracks(network, Detector(), video, sound)
    assert len(embedded) == 108
    (track,) = found.tracks
    assert track.windows == 4  # nine frames have sound
    assert found.distance == track.distance and found.longest is track
    frames = list(open_source(video, Fraction(25)).frames())
    assert np.array_equal(embedded[50], cut_face(frames[50], np.array([160.0, 125.0]), 75.0))
    by_hand = FaceEmbedder(network, 9)
    for face in embedded:
        by_hand.push(face)
    seen = by_hand.finish()
    heard = embed_sound(network, np.round(sound * 32768).astype(np.int16), len(seen))
    assert track.distance == from_embeddings(seen, heard).distance


def test_no_track_no_score(video, network):
    assert score_tracks(network, Detector(missing=range(3, 200)), video, np.zeros(16000, np.float32)) is None


def test_whole_frames_are_scored_too(video, network):
    sound = (0.3 * np.sin(np.arange(8 * 640) * 0.1)).astype(np.float32)
    found = score_frames(network, video, sound)
    assert found.windows == 3
    frames = [cv2.resize(frame, (224, 224)) for frame in open_source(video).frames()]
    embedder = FaceEmbedder(network, 8)
    for frame in frames:
        embedder.push(frame)
    heard = embed_sound(network, np.round(sound * 32768).astype(np.int16), 3)
    assert found.distance == from_embeddings(embedder.finish(), heard).distance
    assert score_frames(network, video, np.zeros(10, np.float32)) is None
