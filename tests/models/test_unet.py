"""What our own settings of musetalk.json add to the published UNet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from model_factory import TINY_UNET

from musetalk.errors import UsageError
from musetalk.models.unet import Unet, build_unet, load_unet
from musetalk.training.export import export_unet

TOKENS, SIDE = 50, 8


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


def test_a_unet_that_asks_for_it_has_the_window_beside_its_timestep() -> None:
    width = unet().audio_width
    labelled = unet(class_embed_type="projection", projection_class_embeddings_input_dim=TOKENS * width)
    for block in labelled.network.modules():
        if type(block).__name__ == "Attention":
            block.to_v.weight.zero_()  # nothing is heard through attention any more
    latents, windows = inputs(labelled)
    heard = labelled(latents, windows)
    assert not torch.equal(heard, labelled(latents, windows.flip(1)))
    single = torch.cat([labelled(latents[i : i + 1], windows[i : i + 1]) for i in range(2)])
    assert torch.allclose(heard, single, atol=1e-5)


def test_windows_of_another_length_are_refused_where_they_would_not_fit() -> None:
    plain = unet()
    plain.check_padding(3, 0, states=5)  # cross-attention takes any number of tokens
    labelled = unet(class_embed_type="projection", projection_class_embeddings_input_dim=TOKENS * plain.audio_width)
    labelled.check_padding(2, 2, states=5)
    with pytest.raises(UsageError, match="takes windows of 50 tokens; 3 frames of sound before and 2 after"):
        labelled.check_padding(3, 2, states=5)
