"""What a reference shows is moved to where it belongs; at first nothing is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from model_factory import TINY_MOUTH_UNET

from musetalk.errors import WeightsError
from musetalk.models.reference_warp import ReferenceWarp, warped
from musetalk.models.unet import Unet, build_unet, load_unet
from musetalk.training.export import export_unet

WARP = {"width": 8, "hidden": 16, "heads": 2, "blocks": 2}


def warp() -> ReferenceWarp:
    torch.manual_seed(0)
    return ReferenceWarp(features=6, latents=4, painted=5, mouth=3, **WARP)


def unet(**more: Any) -> Unet:
    torch.manual_seed(0)
    return Unet(build_unet({**TINY_MOUTH_UNET, **more}, Path()).eval().requires_grad_(False))


def inputs(network: Unet) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(2, network.in_channels, 8, 8, generator=generator)
    assert network.window_tokens is not None
    windows = torch.randn(2, network.window_tokens, network.audio_width, generator=generator)
    return latents, windows, torch.randn(2, 13, generator=generator)


def test_each_head_moves_its_own_channels_by_its_own_flow() -> None:
    x = torch.arange(2 * 4 * 5 * 6).reshape(2, 4, 5, 6).float()
    flow = torch.zeros(2, 4, 5, 6)
    flow[:, 0] = 2  # the first head looks two cells to the right
    flow[:, 3] = -1  # the second one a cell up
    moved = warped(x, flow, heads=2)
    assert torch.allclose(moved[:, :2, :, :-2], x[:, :2, :, 2:], atol=1e-4)
    assert torch.allclose(moved[:, :2, :, -1], x[:, :2, :, -1], atol=1e-4)  # beyond the edge as on it
    assert torch.allclose(moved[:, 2:, 1:], x[:, 2:, :-1], atol=1e-4)
    half = torch.full((2, 4, 5, 6), 0.5)
    between = warped(x, half, heads=2)[:, :, :-1, :-1]
    expected = (x[:, :, :-1, :-1] + x[:, :, 1:, :-1] + x[:, :, :-1, 1:] + x[:, :, 1:, 1:]) / 4
    assert torch.allclose(between, expected, atol=1e-4)


def test_flows_keep_their_precision_under_autocast_and_work_can_be_counted_without_data() -> None:
    generator = torch.Generator().manual_seed(0)
    x, flow = torch.randn(1, 4, 8, 8, generator=generator), torch.randn(1, 4, 8, 8, generator=generator)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(warped(x, flow, heads=2), warped(x.float(), flow.float(), heads=2))
        assert warped(x, flow, heads=2).dtype == torch.float32
    assert warped(x.to("meta"), flow.to("meta"), heads=2).shape == x.shape  # scripts.benchmark counts on this device


def test_at_first_it_adds_nothing_and_every_part_can_learn() -> None:
    network = warp()
    given = torch.randn(2, 6, 8, 8), torch.randn(2, 4, 8, 8), torch.randn(2, 3)
    assert not network(*given).any()
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    for _ in range(3):  # what is 0 at first hides what is behind it for a step or two
        optimizer.zero_grad()
        (network(*given) - 1).square().mean().backward()
        optimizer.step()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())


def test_a_unet_with_a_warp_begins_as_the_one_without(tmp_path: Path) -> None:
    plain, moving = unet(), unet(reference_warp=WARP)
    state = {name.replace("unet.conv_out", "conv_out"): value for name, value in plain.network.state_dict().items()}
    missing, unexpected = moving.network.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(name.startswith("warp.") for name in missing)
    given = inputs(plain)
    assert torch.allclose(moving(*given), plain(*given), atol=1e-5)

    torch.nn.init.normal_(moving.network.warp.out.weight)
    changed = moving(*given)
    assert not torch.allclose(changed, plain(*given), atol=1e-3)
    export_unet(moving.network, tmp_path)
    again = load_unet(tmp_path / "musetalk.json", tmp_path / "unet.pth")
    assert torch.equal(again(*given), changed)


def test_it_runs_in_half_precision() -> None:
    moving = unet(reference_warp=WARP)
    latents, windows, mouths = inputs(moving)
    torch.nn.init.normal_(moving.network.warp.out.weight, std=0.1)
    exact = moving(latents, windows, mouths)
    moving.network.to(torch.bfloat16)
    assert torch.allclose(moving(latents, windows, mouths).float(), exact, atol=0.1 * float(exact.abs().max()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reference_warp": WARP, "mouth_reader": None}, "reference_warp without mouth_reader"),
        ({"reference_warp": {**WARP, "heads": 3}}, "3 heads do not divide"),
        ({"reference_warp": {**WARP, "depth": 3}}, "not a configuration"),
    ],
)
def test_settings_that_make_no_warp_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        unet(**changes)
