"""The lower rows of a decoded face are those of the whole one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from musetalk.models.vae import Vae, load_vae
from musetalk.pipeline.frame_state import FacePlacement


@pytest.fixture(scope="module")
def vae() -> Vae:
    return load_vae(Path("models/mini/vae"))


@pytest.mark.parametrize("share", [0.02, 0.2, 0.43, 0.5, 0.8, 1.0])
def test_rows_that_are_seen_equal_those_of_the_whole(vae: Vae, share: float) -> None:
    latents = torch.randn(3, vae.latent_channels, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        whole, part = vae.decode(latents), vae.decode(latents, share)
    assert part.shape == whole.shape
    seen = int(share * 128)
    torch.testing.assert_close(part[:, :, max(seen - 2, 0) :], whole[:, :, max(seen - 2, 0) :], rtol=0, atol=1e-6)
    if share >= 0.2:
        assert not part[:, :, : (seen - 2) // 16 * 16].any()


def test_a_placement_knows_what_is_shown_of_its_face() -> None:
    alpha = np.zeros((60, 60), np.uint8)
    alpha[25:50, 10:40] = 1
    assert FacePlacement((15, 10, 45, 50), (5, 0, 65, 60), alpha).visible_from == (25 - 10) / 40
    assert FacePlacement((15, 30, 45, 50), (5, 0, 65, 60), alpha).visible_from == 0
    assert FacePlacement((15, 10, 45, 50), (5, 0, 65, 60), np.zeros_like(alpha)).visible_from == 1
