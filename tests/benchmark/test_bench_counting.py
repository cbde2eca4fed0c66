"""Counted work against the published numbers, and against products done by hand."""

import pytest
import torch
from model_factory import write_mini

from musetalk.benchmark.counting import count_work
from musetalk.benchmark.networks import obtain_networks, published_networks
from musetalk.benchmark.stages import vae_passes
from musetalk.errors import WeightsError
from musetalk.models.loading import place
from musetalk.models.versions import VERSIONS
from musetalk.pipeline.backends import choose_backends


@pytest.fixture(scope="module")
def published():
    with torch.device("meta"):
        return count_work(published_networks())


@pytest.mark.parametrize(("name", "gflop"), [("unet", 170), ("decode", 620), ("encode", 271)])
def test_the_published_work_of_a_face(published, name, gflop):
    # Counted there without attention's own products, and with two FLOPs for a multiply-add.
    work = getattr(published, name)
    assert (work.flops - work.attention_flops) / 1e9 == pytest.approx(gflop, abs=0.5)


def test_attention_of_the_unet_and_its_parameters(published):
    # Self-attention over n tokens of c channels: 2 products of 2·n²·c; cross-attention: with 50 audio tokens for n.
    blocks = [(1024, 320)] * 5 + [(256, 640)] * 5 + [(64, 1280)] * 5 + [(16, 1280)]
    assert published.unet.attention_flops == sum(4 * n * c * (n + 50) for n, c in blocks)
    assert round(published.unet.weights / 1e6) == 850


def test_the_vae_is_split_into_its_two_ways(published):
    assert round((published.encode.weights + published.decode.weights) / 1e6, 1) == 83.7
    assert published.encode.values == 3 * 256 * 256 + 4 * 32 * 32


def test_audio_attention(published):
    assert published.features.attention_flops == 4 * 4 * 1500 * 1500 * 384
    assert published.features.values == 80 * 3000 + 5 * 1500 * 384


def test_networks_of_files_and_the_dtype_they_are_placed_in(tmp_path):
    models_dir = write_mini(tmp_path)
    networks, trained = obtain_networks("mini", models_dir, choose_backends(VERSIONS["mini"], models_dir))
    before = count_work(networks)
    place(networks, torch.device("cpu"), torch.bfloat16)
    assert trained
    assert networks.unet.dtype == networks.vae.dtype == torch.bfloat16
    assert next(networks.audio_encoder.network.parameters()).dtype == torch.float32
    assert count_work(networks) == before
    assert before.unet.weights == sum(p.numel() for p in networks.unet.network.parameters())


def test_the_bundled_version_needs_its_files(tmp_path):
    with pytest.raises(WeightsError, match="missing for mini"):
        obtain_networks("mini", tmp_path, choose_backends(VERSIONS["mini"], tmp_path))


def test_passes_of_the_vae():
    assert [vae_passes(images, "cpu") for images in (1, 2, 3, 16)] == [1, 1, 2, 8]
    assert vae_passes(16, "cuda") == 1
