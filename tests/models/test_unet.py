"""What our own settings of musetalk.json add to the published UNet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from model_factory import TINY_UNET

from musetalk.errors import UsageError, WeightsError
from musetalk.models.unet import Unet, build_unet, load_unet
from musetalk.training.export import export_unet

TOKENS, SIDE = 50, 8
RESTING = [0.0, 1.0, 1.5]


def unet(**more: Any) -> Unet:
    torch.manual_seed(0)
    return Unet(build_unet({**TINY_UNET, **more}, Path()).eval().requires_grad_(False))


def inputs(network: Unet) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(2, network.in_channels, SIDE, SIDE, generator=generator)
    return latents, torch.randn(2, TOKENS, network.audio_width, generator=generator)


def test_a_blended_unet_lays_what_it_paints_over_the_reference(tmp_path: Path) -> None:
    plain = unet()
    channels = plain.out_channels
    blended = unet(reference_blended=True, out_channels=channels + 1)
    assert blended.out_channels == channels
    latents, windows = inputs(blended)
    reference = latents[:, -channels:]
    assert 0 < float((blended(latents, windows) / reference).mean()) < 1  # before training: most of the reference

    with_mask = {key: value.clone() for key, value in plain.network.state_dict().items()}
    for key in ("conv_out.weight", "conv_out.bias"):
        with_mask[key] = torch.cat([with_mask[key], torch.zeros_like(with_mask[key][:1])])
    for logit, expected in ((-40.0, reference), (40.0, plain(latents, windows))):
        with_mask["conv_out.bias"][-1] = logit
        blended.network.load_state_dict(with_mask)
        assert torch.allclose(blended(latents, windows), expected, atol=1e-5)

    export_unet(blended.network, tmp_path)
    again = load_unet(tmp_path / "musetalk.json", tmp_path / "unet.pth")
    assert torch.equal(again(latents, windows), blended(latents, windows))
    assert json.loads((tmp_path / "musetalk.json").read_text())["reference_blended"] is True


def reading(**more: Any) -> dict[str, Any]:
    """Settings of a network with a mouth reader."""
    told = {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 3}
    return {**told, "mouth_reader": {"window_tokens": TOKENS, "hidden": 6}, **more}


def test_a_network_that_reads_mouths_paints_what_the_window_says_unless_it_is_told(tmp_path: Path) -> None:
    reader = unet(**reading())
    latents, windows = inputs(reader)
    with torch.no_grad():
        mouths = reader.network.reader(windows)
    assert mouths.shape == (2, 3)
    heard = reader(latents, windows)
    assert torch.equal(heard, reader(latents, windows, mouths))
    assert not torch.allclose(heard, reader(latents, windows.flip(1)), atol=1e-5)
    told = reader(latents, windows, mouths + 1)
    assert not torch.allclose(heard, told, atol=1e-5)
    assert torch.equal(told, reader(latents, windows.flip(1), mouths + 1))  # nothing else is heard

    export_unet(reader.network, tmp_path)
    again = load_unet(tmp_path / "musetalk.json", tmp_path / "unet.pth")
    assert torch.equal(again(latents, windows), heard)


def test_a_mouth_is_told_through_the_timestep_and_through_attention() -> None:
    for silenced in ("class_embedding", "to_v"):
        reader = unet(**reading())
        for name, parameter in reader.network.named_parameters():
            if silenced in name and name.endswith("weight"):
                parameter.zero_()
        latents, windows = inputs(reader)
        still = torch.zeros(2, 3)
        assert not torch.allclose(reader(latents, windows, still), reader(latents, windows, still + 1), atol=1e-6)


def test_reading_along_a_sound_equals_reading_its_windows() -> None:
    reader = unet(**reading()).network.reader
    width, states, steps = unet().audio_width, 5, TOKENS // 5
    sound = torch.randn(2, 24, states, width, generator=torch.Generator().manual_seed(2))
    padded = torch.cat([torch.zeros(2, 4, states, width), sound, torch.zeros(2, 4, states, width)], dim=1)
    windows = padded.unfold(1, steps, 2).permute(0, 1, 4, 2, 3).flatten(2, 3)
    expected = reader(windows.flatten(0, 1)).unflatten(0, windows.shape[:2])
    assert torch.allclose(reader.slide(sound, before=4, stride=2), expected, atol=1e-5)


def test_settings_that_make_no_reader_are_named() -> None:
    with pytest.raises(WeightsError, match="not a configuration"):
        unet(**reading(mouth_reader={"window_tokens": TOKENS, "depth": 2}))
    with pytest.raises(WeightsError, match="not a configuration"):
        unet(mouth_reader={"window_tokens": TOKENS, "hidden": 6})


def test_a_network_of_the_lower_half_leaves_the_upper_one_to_the_reference() -> None:
    whole, lower = unet(), unet(lower_half=True)
    latents, windows = inputs(whole)
    painted, half = lower(latents, windows), SIDE // 2
    assert painted.shape == (2, whole.out_channels, SIDE, SIDE)
    assert torch.equal(painted[:, :, :half], latents[:, -whole.out_channels :, :half])
    assert torch.allclose(painted[:, :, half:], whole(latents[:, :, half:], windows), atol=1e-5)


def test_a_first_pass_gives_the_reference_a_resting_mouth(tmp_path: Path) -> None:
    network = unet(**reading(resting_mouth=RESTING, lower_half=True))
    latents, windows = inputs(network)
    prepared, channels = network.rest_references(latents), network.out_channels
    assert prepared.shape == latents.shape and prepared.dtype == latents.dtype
    assert torch.equal(prepared[:, :-channels], latents[:, :-channels])
    assert torch.equal(prepared[:, -channels:], network(latents, windows, torch.tensor([RESTING] * 2)))
    assert torch.equal(prepared[:, -channels:, : SIDE // 2], latents[:, -channels:, : SIDE // 2])
    assert not torch.allclose(prepared, latents, atol=1e-3)

    export_unet(network.network, tmp_path)
    again = load_unet(tmp_path / "musetalk.json", tmp_path / "unet.pth")
    assert torch.equal(again.rest_references(latents), prepared)


def test_references_stay_as_they_are_where_none_are_to_rest() -> None:
    for network in (unet(), unet(**reading())):
        latents, _ = inputs(network)
        assert torch.equal(network.rest_references(latents), latents)
    with pytest.raises(WeightsError, match="resting_mouth without mouth_reader"):
        unet(resting_mouth=RESTING)
    with pytest.raises(WeightsError, match="resting_mouth has 2 numbers, mouths have 3"):
        unet(**reading(resting_mouth=RESTING[:2]))


def test_windows_of_another_length_are_refused_where_they_would_not_fit() -> None:
    unet().check_padding(3, 0, states=5)  # cross-attention takes any number of tokens
    reader = unet(**reading())
    reader.check_padding(2, 2, states=5)
    with pytest.raises(UsageError, match="takes windows of 50 tokens; 3 frames of sound before and 2 after"):
        reader.check_padding(3, 2, states=5)
