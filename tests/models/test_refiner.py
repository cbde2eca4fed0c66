"""The refiner: what its network gives, and what a frame then shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from musetalk.errors import WeightsError
from musetalk.face.refinement import FIRST_ROW, Refinement, first_row, refined_face
from musetalk.models.refiner import Refiner, RefinerNetwork, build_refiner, load_refiner, refiner_settings
from musetalk.models.vae import to_unit_range
from musetalk.training.export import export_refiner

SIDE = 128
FIRST = first_row(SIDE)


def picture(seed: int, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def network(bias: float = 0.0) -> RefinerNetwork:
    """One whose flow, share and additions differ from place to place; `bias`: of the flow, in its units."""
    torch.manual_seed(3)
    made = RefinerNetwork((8, 16, 24)).eval()
    with torch.no_grad():
        for layer in (made.flow, made.head):
            layer.weight.normal_(0, 0.1)
        made.flow.bias += bias  # type: ignore[operator]
    return made


def refinement(share: float, flow: tuple[float, float] = (0, 0), added: int = 0, side: int = SIDE) -> Refinement:
    rows = side - first_row(side)
    return Refinement(
        np.full((rows, side), share, np.float32),
        np.full((rows // 4, side // 4, 2), flow, np.float32),
        np.full((rows, side, 3), added, np.int16),
    )


def same(one: Refinement, other: Refinement) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(vars(one).values(), vars(other).values(), strict=True))


def test_it_begins_as_the_painted_face_with_some_of_the_frame() -> None:
    painted, source = (to_unit_range(picture(seed)[None]) for seed in (0, 1))
    shown = RefinerNetwork((8, 16, 24))(painted, source).apply(painted, source)
    share = torch.sigmoid(torch.tensor(-1.0))
    torch.testing.assert_close(shown, torch.lerp(painted, source, share), atol=1e-5, rtol=0)


@pytest.mark.parametrize("bias", [0.0, 1.5])
def test_a_frame_shows_what_training_saw(bias: float) -> None:
    """The faces that losses compare are those that compositing makes, where the face box has the size of a face."""
    painted, source = picture(0), picture(1)
    made = network(bias)
    out = refined_face(source, painted, Refiner(made)(painted, source, FIRST_ROW))
    lower, own = (to_unit_range(image[None, FIRST:]) for image in (painted, source))
    with torch.no_grad():
        shown = made(lower, own).apply(lower, own)
    expected = (shown[0].clamp(-1, 1).flip(0).permute(1, 2, 0).numpy() + 1) * 127.5
    # Pixels from above the first row are there in a frame, and not in training.
    assert np.abs(out[FIRST + 16 :] - expected[16:]).max() < 2
    assert np.array_equal(out[:FIRST], painted[:FIRST])


def test_rows_that_were_not_painted_are_taken_from_the_frame() -> None:
    painted, source = picture(0), picture(1)
    black = painted.copy()
    black[: SIDE // 2] = 0
    filled = np.concatenate([source[: SIDE // 2], painted[SIDE // 2 :]])
    refine = Refiner(network())
    assert same(refine(black, source, 0.5), refine(filled, source, 0.0))
    assert not same(refine(black, source, 0.0), refine(filled, source, 0.0))


@pytest.mark.parametrize("size", [(128, 128), (300, 210)])
def test_the_frames_pixels_come_back_at_the_frames_size(size: tuple[int, int]) -> None:
    height, width = size
    frame, painted = picture(2, height, width), picture(3)
    first = first_row(height)
    still = refined_face(frame, painted, refinement(1.0))
    assert np.array_equal(still[first:], frame[first:])

    moved = refined_face(frame, painted, refinement(1.0, (0.1, -0.05)))  # from the right, and from above
    right, down = round(0.1 * width), round(0.05 * height)
    there = frame[first : height - down, right:]
    here = moved[first + down :, : width - right]
    assert np.abs(here.astype(int) - there).mean() < np.abs(moved[first:].astype(int) - frame[first:]).mean() / 4


def test_shares_and_additions_are_those_of_the_refinement() -> None:
    frame, painted = np.full((200, 200, 3), 40, np.uint8), np.full((SIDE, SIDE, 3), 240, np.uint8)
    assert (refined_face(frame, painted, refinement(0.25))[80:] == 190).all()
    assert (refined_face(frame, painted, refinement(0.0, added=-60))[80:] == 180).all()
    assert (refined_face(frame, painted, refinement(0.0, added=60))[80:] == 255).all()
    assert (refined_face(frame, painted, refinement(1.0, added=-60))[:70] == 240).all()


def test_what_was_exported_is_loaded(tmp_path: Path) -> None:
    made = network()
    export_refiner(made, tmp_path)
    painted, source = picture(0), picture(1)
    expected, got = Refiner(made)(painted, source, 0.5), load_refiner(tmp_path)(painted, source, 0.5)
    assert same(expected, got)


@pytest.mark.parametrize("widths", [None, 8, [8], [8, 12], [8, "16"], [8.0, 16], [8, 16, 0]])
def test_settings_of_something_else_are_refused(widths: Any, tmp_path: Path) -> None:
    for config in ({"widths": widths}, {"widths": [8, 16], "more": widths}, {}):
        with pytest.raises(WeightsError, match="the configuration of no refiner"):
            build_refiner(config, tmp_path / "config.json")


def test_weights_of_another_width_are_refused(tmp_path: Path) -> None:
    export_refiner(network(), tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(refiner_settings(RefinerNetwork((8, 16, 32)))))
    with pytest.raises(WeightsError, match="checkpoint of the wrong shape"):
        load_refiner(tmp_path)
