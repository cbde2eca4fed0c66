"""New faces in their frames, with what a version does to them on the way."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from musetalk.face.blending import blend
from musetalk.models.refiner import Refiner, RefinerNetwork
from musetalk.pipeline.compositing import Compositor
from musetalk.pipeline.frame_state import FacePlacement, LocatedFrame

BOX = (30, 20, 150, 180)


def refiner(share: float) -> Refiner:
    """One that shows a share of the frame's pixels where they are."""
    network = RefinerNetwork((8, 16)).eval()
    with torch.no_grad():
        network.head.bias[::4] = torch.logit(torch.tensor(share))  # type: ignore[index]
    return Refiner(network)


@pytest.fixture
def located() -> LocatedFrame:
    frame = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    alpha = np.zeros((160, 120), np.uint8)
    alpha[80:150, 10:110] = 255
    return LocatedFrame(0, frame, FacePlacement(BOX, BOX, alpha))


def test_a_refined_face_shows_the_frames_own_pixels(located: LocatedFrame) -> None:
    face = np.full((128, 128, 3), 200, np.uint8)
    face[:60] = 0  # what is not shown need not be painted
    for share in (0.0, 0.5, 1.0):
        out = Compositor(refiner(share)).compose(located, face)
        expected = located.frame.astype(float)
        shown = np.s_[100:170, 40:140]
        expected[shown] = share * expected[shown] + (1 - share) * 200
        assert np.abs(out - expected).max() <= 1


def test_without_a_refiner_faces_are_blended_as_published(located: LocatedFrame) -> None:
    face = np.random.default_rng(1).integers(0, 256, (128, 128, 3), np.uint8)
    placement = located.placement
    assert placement is not None
    expected = blend(located.frame, face, placement.box, placement.crop_box, placement.alpha)
    assert np.array_equal(Compositor().compose(located, face), expected)


def test_frames_without_a_face_or_a_place_pass_through(located: LocatedFrame) -> None:
    compositor = Compositor(refiner(0.5), keep_tone=True)
    assert compositor.compose(located, None) is located.frame
    assert compositor.compose(LocatedFrame(0, located.frame, None), np.zeros((128, 128, 3), np.uint8)) is located.frame
