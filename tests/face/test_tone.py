"""Faces of films without colours stay without them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from musetalk.face.tone import tone_of, toned
from musetalk.pipeline.compositing import Compositor
from musetalk.pipeline.frame_state import FacePlacement, LocatedFrame

BOX = (20, 20, 180, 180)
MOUTH = (20, 20, 70)
SEPIA = np.array([0.55, 0.8, 1.0])


def film(print_color: np.ndarray) -> np.ndarray:
    """A face-like picture (200, 200, 3) BGR of one tone, with grain."""
    rng = np.random.default_rng(2)
    grey = np.linspace(20, 240, 200)[:, None] + rng.normal(0, 4, (200, 200))
    return np.clip(np.rint(grey[:, :, None] * print_color), 0, 255).astype(np.uint8)


def pink_mouth() -> np.ndarray:
    face = np.full((160, 160, 3), (120, 120, 120), np.uint8)
    face[100:140, 50:110] = MOUTH
    return face


@pytest.mark.parametrize("color", [np.ones(3), SEPIA], ids=["grey", "sepia"])
def test_a_painted_mouth_gets_the_tones_of_the_film(color: np.ndarray) -> None:
    frame, face = film(color), pink_mouth()
    alpha = np.full((160, 160), 255, np.uint8)
    located = LocatedFrame(0, frame, FacePlacement(BOX, BOX, alpha))
    out = Compositor(keep_tone=True).compose(located, face)
    mouth = out[130:150, 80:120].reshape(-1, 3)
    brightness = cv2.cvtColor(face, cv2.COLOR_BGR2GRAY)[120, 80]
    grey = np.array([0.114, 0.587, 0.299]) @ color
    expected = brightness / grey * color
    assert np.abs(mouth - expected).max() < 6

    published = Compositor().compose(located, face)
    assert (published[130:150, 80:120] == MOUTH).all()


def test_a_face_in_colours_keeps_those_that_were_painted() -> None:
    frame = film(SEPIA)
    frame[140:150, 70:130] = (90, 80, 150)  # lips
    assert tone_of(frame[20:180, 20:180]) is None
    face = pink_mouth()
    located = LocatedFrame(0, frame, FacePlacement(BOX, BOX, np.full((160, 160), 255, np.uint8)))
    out = Compositor(keep_tone=True).compose(located, face)
    assert (out[130:150, 80:120] == MOUTH).all()


def test_a_box_beyond_the_frame_shows_nothing() -> None:
    assert tone_of(np.zeros((0, 5, 3), np.uint8)) is None


def test_brightness_is_not_touched() -> None:
    tone = tone_of(film(SEPIA))
    assert tone is not None
    face = pink_mouth()
    before, after = (cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(int) for picture in (face, toned(face, tone)))
    assert np.abs(before - after).max() <= 2


def test_colours_go_by_and_by_and_not_at_once() -> None:
    shares = []
    for colourful in (0, 3, 4, 5, 30):
        frame = film(np.ones(3))
        frame[140:150, 70:130, 2] = np.minimum(frame[140:150, 70:130, 2].astype(int) + colourful * 2, 255)
        tone = tone_of(frame[20:180, 20:180])
        shares.append(0 if tone is None else tone.share)
    assert shares[0] == 1 and shares[-1] == 0 and shares == sorted(shares, reverse=True)
    assert any(0 < share < 1 for share in shares)


def test_a_drawing_of_flat_colours_keeps_a_red_mouth() -> None:
    drawing = np.full((160, 160, 3), (190, 215, 245), np.uint8)
    drawing[:30] = 0  # hair; lines in the same black
    cv2.line(drawing, (50, 110), (110, 110), (0, 0, 0), 2)
    assert tone_of(drawing) is None
