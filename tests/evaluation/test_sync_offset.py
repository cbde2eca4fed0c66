import numpy as np
import pytest
import torch
from formula_weights import fill
from syncnet_factory import FRAMES, SIDE, tiny_syncnet
from torch import nn

from musetalk.evaluation.sync_offset import clip_offset, even_window_starts, offset_curve, window_starts


def directions(count, width=64, seed=1):
    vectors = np.random.default_rng(seed).standard_normal((count, width))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_offset_by_hand():
    """Pictures 0, 1, 2 show what is heard at 1, 2, 3: the sound is one frame late."""
    heard = np.eye(5)
    found = offset_curve(heard[1:4], heard, max_shift=1)
    assert found.offset == 1
    np.testing.assert_allclose(found.similarity, [0, 0, 1])
    assert found.confidence == 1.0


@pytest.mark.parametrize("offset", [-15, -4, 0, 1, 15])
def test_offset_of_a_shifted_sound(offset):
    mouths = directions(80)
    sounds = np.roll(mouths, offset, axis=0)
    found = offset_curve(mouths, sounds)
    assert found.offset == offset
    assert found.confidence > 0.8


def test_windows_may_begin_anywhere():
    sounds = directions(60)
    frames = [20, 30, 31]
    assert offset_curve(sounds[[23, 33, 34]], sounds, frames).offset == 3


def test_unrelated_sound_has_little_confidence():
    assert offset_curve(directions(80), directions(80, seed=2)).confidence < 0.1


def test_equal_similarities_mean_no_offset():
    """Silence and a still mouth: every shift fits as well as any other."""
    still = np.ones((40, 1))
    found = offset_curve(still, still)
    assert (found.offset, found.confidence) == (0, 0.0)


def test_shifts_with_few_pairs_do_not_count():
    """Ten pictures, ten sounds: beyond a shift of five less than half are left, where one chance match would win."""
    mouths, sounds = directions(10), directions(10, seed=2)
    sounds[9] = mouths[0]
    found = offset_curve(mouths, sounds)
    assert np.isnan(found.similarity[[0, 9, 21, 30]]).all()
    assert np.isfinite(found.similarity[10:21]).all()
    assert abs(found.offset) <= 5


def test_sound_that_was_not_embedded_does_not_count():
    sounds = directions(30)
    mouths = np.roll(sounds, -2, axis=0)[:20]
    sounds[::3] = np.nan
    assert offset_curve(mouths, sounds).offset == 2


@pytest.mark.parametrize("sounds", [np.zeros((0, 64)), np.full((5, 64), np.nan)])
def test_no_pair_at_all_is_an_error(sounds):
    with pytest.raises(ValueError, match="no visual window has a mel window"):
        offset_curve(directions(3), sounds)


def test_windows_are_spread_over_the_clip_and_close_together_within_a_run():
    starts = window_starts(np.ones(100, bool), 16, runs=2, windows=3)
    assert starts == [0, 2, 4, 80, 82, 84]  # the last window ends with frame 99


def test_windows_keep_clear_of_frames_without_a_face():
    has_face = np.ones(30, bool)
    has_face[10] = False
    starts = window_starts(has_face, 5, runs=4, windows=4)
    assert starts and all(not start <= 10 < start + 5 for start in starts)
    assert {min(starts), max(starts)} == {0, 25}


@pytest.mark.parametrize(("frames", "expected"), [(0, []), (4, []), (5, [0]), (6, [0])])
def test_short_clips(frames, expected):
    assert window_starts(np.ones(frames, bool), 5) == expected


def test_every_window_is_looked_at_or_every_few_of_a_long_video():
    has_face = np.ones(20, bool)
    has_face[9] = False
    every = [0, 1, 2, 3, 4, *range(10, 16)]
    assert even_window_starts(has_face, 5, most=11) == every
    assert even_window_starts(has_face, 5, most=10) == every[::2]
    assert even_window_starts(has_face, 5, most=3) == every[::4]
    assert even_window_starts(np.zeros(20, bool), 5, most=3) == []


class Matching(nn.Module):
    """A network that reads a frame's number from its brightness and a column's from its loudness."""

    def __init__(self):
        super().__init__()
        tiny = tiny_syncnet()
        self.shapes, self.visual_windows = tiny.shapes, tiny.visual_windows
        self.scale = nn.Parameter(torch.ones(1))

    def embed_visual(self, visual):
        return self._place((visual[:, 0].mean((1, 2)) + 1) / 2)

    def embed_mel(self, mel):
        return self._place((mel[:, 0, :, 0].mean(1) + 4) / 8)

    def _place(self, values):
        marks = torch.linspace(0, 1, 101)
        return nn.functional.normalize(torch.exp(-(((values[:, None] - marks) / 0.01) ** 2)), dim=1)


@pytest.mark.parametrize("late", [-3, 0, 5])
def test_offset_of_a_clip(late, monkeypatch):
    """Frame f has brightness f / 100, and the sound that begins `late` frames after it has that loudness."""
    frames = 60
    faces = [np.full((SIDE, SIDE, 3), round(2.55 * frame), np.uint8) for frame in range(frames)]

    def mel_of_frame(samples, start, length):
        return np.full((80, length), 8 * (-(-start * 25 // 80) - late) / 100 - 4, np.float32)

    monkeypatch.setattr("musetalk.evaluation.sync_offset.sync_mel_slice", mel_of_frame)
    found = clip_offset(Matching(), np.ones(frames, bool), faces.__getitem__, np.zeros(40000, np.float32))
    assert found.offset == late


def test_a_clip_through_a_real_network():
    rng = np.random.default_rng(3)
    faces = [rng.integers(0, 256, (40, 40, 3), np.uint8) if frame != 12 else None for frame in range(40)]
    has_face = np.arange(40) != 12
    network = fill(tiny_syncnet()).eval()
    samples = rng.standard_normal(30000).astype(np.float32) * 0.1
    found = clip_offset(network, has_face, faces.__getitem__, samples, max_shift=3)
    assert found.similarity.shape == (7,) and np.isfinite(found.similarity).all()
    assert -3 <= found.offset <= 3


def test_a_clip_without_enough_faces_has_no_offset():
    has_face = np.arange(40) % FRAMES != 0
    assert clip_offset(tiny_syncnet().eval(), has_face, {}.__getitem__, np.zeros(30000, np.float32)) is None
