"""Lips that meet in silence and for m, b and p, and open with the jaw."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from musetalk.synthetic.coarticulation import mouth_curves
from musetalk.synthetic.head_model import HeadModel
from musetalk.synthetic.lips import SEAL, LipContact
from musetalk.synthetic.mouth_channels import CHANNELS, lip_gap, pose
from musetalk.synthetic.utterance import SAMPLE_RATE, Utterance
from musetalk.synthetic.visemes import VISEMES, rest_pose

sys.path.insert(0, str(Path(__file__).parent))
from head_factory import write_head

VISIBLE = 0.02
"""Centimetres that a camera could see."""


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    return HeadModel.load(write_head(tmp_path_factory.mktemp("head") / "head.npz"))


@pytest.fixture(scope="module")
def contact(head):
    return LipContact(head)


def shape(head, contact, curves, identity=(0.0, 0.0)):
    base = head.with_closed_lips(head.identity(np.array(identity)))
    weights = dict(zip(CHANNELS, map(float, curves), strict=True))
    return contact.resolve(head.expression(base, weights), float(lip_gap(curves)))


def landmark_gap(head, contact, vertices):
    points = contact.landmarks(vertices, head.landmark_vertices)
    return np.linalg.norm(points[[61, 62, 63]] - points[[67, 66, 65]], axis=1)


@pytest.mark.parametrize("identity", [(0.0, 0.0), (1.0, 2.0), (-2.0, -3.0)])
@pytest.mark.parametrize("viseme", ["rest", "closed"])
def test_shut_lips_leave_no_gap_on_any_identity(head, contact, identity, viseme):
    vertices = shape(head, contact, pose(VISEMES[viseme]), identity)
    assert contact.aperture(vertices).gap.max() <= 0
    assert landmark_gap(head, contact, vertices).max() == 0


def test_without_the_correction_a_parted_identity_would_gape(head, contact):
    weights = dict(zip(CHANNELS, map(float, rest_pose()), strict=True))
    plain = head.expression(head.identity(np.array([0.0, 2.0])), weights)
    assert contact.aperture(plain).gap.max() > 0.2
    assert contact.aperture(contact.resolve(plain, 0.0)).gap.max() <= 0


def test_a_smile_keeps_shut_lips_shut(head, contact):
    curves = rest_pose() + pose({"mouthSmile": 0.8})
    assert contact.aperture(shape(head, contact, curves)).gap.max() <= 0


def test_lips_never_run_through_each_other(head, contact):
    pressed = head.expression(head.neutral, {"jawOpen": -0.3})
    before = contact.aperture(pressed).gap
    after = contact.aperture(contact.resolve(pressed)).gap
    middle = slice(6, -6)
    assert before[middle].max() < -0.3
    assert after[middle].min() > -SEAL - VISIBLE


def test_an_open_mouth_is_left_alone(head, contact):
    vertices = head.expression(head.neutral, {"jawOpen": 0.6})
    np.testing.assert_allclose(contact.resolve(vertices, 2.0), vertices, atol=1e-6)


def test_the_gap_grows_with_the_jaw(head, contact):
    gaps = [
        landmark_gap(head, contact, shape(head, contact, rest_pose() + pose({"jawOpen": jaw}))).mean()
        for jaw in np.linspace(0, 0.9, 10)
    ]
    assert gaps[0] == 0
    assert np.all(np.diff(gaps) >= 0)
    assert np.all(np.diff(gaps[2:]) > 0.1)


def test_inner_lip_landmarks_lie_on_the_lips_edges(head, contact):
    vertices = shape(head, contact, pose({"jawOpen": 0.5}))
    points = contact.landmarks(vertices, head.landmark_vertices)
    aperture = contact.aperture(vertices)
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        assert points[upper, 1] == pytest.approx(np.interp(points[upper, 0], contact.columns, aperture.upper), abs=0.02)
        assert points[lower, 1] == pytest.approx(np.interp(points[lower, 0], contact.columns, aperture.lower), abs=0.02)


@pytest.mark.parametrize("phone", ["m", "b", "p"])
@pytest.mark.parametrize("shift", [0.0, 0.013, 0.027])
def test_m_b_and_p_shut_the_lips_in_a_frame(head, contact, phone, shift):
    lengths = [("pau", 0.2 + shift), ("aa", 0.24), (phone, 0.06), ("aa", 0.24), ("pau", 0.3)]
    sound, phones, start = [], [], 0.0
    for symbol, seconds in lengths:
        tone = np.sin(2 * np.pi * 150 * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)
        sound.append(tone * (0.0 if symbol == "pau" else 0.1))
        phones.append((symbol, start, start + seconds))
        start += seconds
    spoken = Utterance(np.concatenate(sound).astype(np.float32), phones, "flite", "made")
    curves = mouth_curves(spoken, Fraction(25))
    gaps = np.array([landmark_gap(head, contact, shape(head, contact, frame)).mean() for frame in curves])
    closure = int((0.44 + shift + 0.03) * 25)
    assert gaps[closure] == 0
    assert min(gaps[:closure].max(), gaps[closure + 1 :].max()) > 0.5
    assert gaps[:4].max() == 0
