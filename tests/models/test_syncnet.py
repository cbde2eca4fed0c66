"""SyncNet: its shapes, settings and inputs; training/test_syncnet_golden.py compares it with the published one."""

import copy
from pathlib import Path

import pytest
import torch
from formula_weights import fill
from syncnet_factory import COLUMNS, FRAMES, SIDE, TINY, WIDTH, tiny_settings, tiny_syncnet

from musetalk.errors import ConfigError, WeightsError
from musetalk.models.syncnet import SyncNet, load_syncnet
from musetalk.models.syncnet_config import SyncNetSettings, read_syncnet_settings
from musetalk.schema import parse

PUBLISHED = Path(__file__).parents[2] / "configs" / "training" / "syncnet.yaml"


@pytest.fixture(scope="module")
def network():
    return fill(tiny_syncnet()).eval().requires_grad_(False)


def changed(part, **values):
    content = copy.deepcopy(TINY)
    target = content["model"][part] if part in content["model"] else content[part]
    target.update(values)
    return parse(SyncNetSettings, content, "some.yaml")[0]


def windows(count=2):
    return torch.rand(count, FRAMES, 3, SIDE, SIDE) * 2 - 1


def test_embeddings_have_length_one_and_the_same_width(network):
    visual, sound = network(network.visual_windows(windows(3)), torch.rand(3, 1, 80, COLUMNS))
    assert visual.shape == sound.shape == (3, WIDTH)
    assert visual.dtype == sound.dtype == torch.float32
    for embedding in (visual, sound):
        torch.testing.assert_close(embedding.norm(dim=1), torch.ones(3))
        assert (embedding >= 0).all()  # behind a ReLU: cosines are never negative


def test_a_window_is_the_lower_halves_of_its_frames_red_first(network):
    frames = windows(1)
    stacked = network.visual_windows(frames)
    assert stacked.shape == (1, 3 * FRAMES, SIDE // 2, SIDE)
    assert torch.equal(stacked[0, 3 * 2 + 1], frames[0, 2, 1, SIDE // 2 :])


def test_faces_of_another_size_are_scaled(network):
    frames = torch.zeros(1, FRAMES, 3, 64, 64)
    frames[..., 32:, :] = 1.0  # white below the middle, which is all that is seen
    assert network.visual_windows(frames)[:, :, 2:].eq(1).all()


def test_the_whole_face_where_the_settings_say_so():
    content = copy.deepcopy(TINY)
    content["data"]["lower_half"] = False
    content["model"]["visual_encoder"]["downsample_factors"] = [2, 2, 2, 2, 2]
    whole = SyncNet(parse(SyncNetSettings, content, "")[0])
    assert whole.visual_windows(windows()).shape == (2, 3 * FRAMES, SIDE, SIDE)


def test_another_number_of_frames_is_refused(network):
    with pytest.raises(ValueError, match="5 frames make a window, not 4"):
        network.visual_windows(windows()[:, :4])


def test_gradient_checkpointing_changes_nothing_but_memory():
    network = fill(tiny_syncnet()).requires_grad_(False)
    gradients = []
    for on in (False, True):
        network.set_gradient_checkpointing(on)
        frames = torch.linspace(-1, 1, FRAMES * 3 * SIDE * SIDE).reshape(1, FRAMES, 3, SIDE, SIDE).requires_grad_()
        network.embed_visual(network.visual_windows(frames)).sum().backward()
        gradients.append(frames.grad)
    torch.testing.assert_close(*gradients)
    assert gradients[0].abs().max() > 0


def test_embeddings_under_autocast_are_close_and_of_length_one(network):
    visual = network.visual_windows(windows(4))
    exact = network.embed_visual(visual)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = network.embed_visual(visual)
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough.norm(dim=1), torch.ones(4))
    assert (exact * rough).sum(1).min() > 0.999


def test_weights_in_another_dtype_take_float32_inputs():
    network = fill(tiny_syncnet()).to(torch.bfloat16)
    assert network.embed_mel(torch.rand(1, 1, 80, COLUMNS)).dtype == torch.float32


@pytest.mark.parametrize(
    ("part", "values", "message"),
    [
        ("visual_encoder", {"in_channels": 48}, "visual_encoder: in_channels is 48, the data has 15"),
        ("data", {"num_frames": 4}, "in_channels is 15, the data has 12"),
        ("data", {"resolution": 64}, "leave 2×2 of 32×64, not 1×1"),
        ("audio_encoder", {"downsample_factors": [2, 2, 2, 2]}, "4 downsample_factors for 5 block_out_channels"),
        ("audio_encoder", {"norm_num_groups": 32}, "8 channels cannot be split into 32 groups"),
        ("audio_encoder", {"block_out_channels": [8, 8, 8, 16, 32]}, "last block_out_channels of both encoders differ"),
        ("visual_encoder", {"downsample_factors": [[1, 2, 3], 2, 2, 2, 2]}, "one number, or two"),
        ("visual_encoder", {"block_out_channels": []}, "there are no block_out_channels"),
    ],
)
def test_encoders_that_do_not_fit_are_named_with_their_file(part, values, message):
    with pytest.raises(ConfigError) as caught:
        SyncNet(changed(part, **values), "some.yaml")
    assert caught.value.what.startswith("some.yaml: ") and message in caught.value.what


def test_every_problem_is_named_at_once():
    content = changed("data", num_frames=4, resolution=64)
    with pytest.raises(ConfigError) as caught:
        SyncNet(content)
    assert caught.value.what.count(";") == 2  # frames, size; and the mel of four frames is another


@pytest.mark.parametrize(
    ("part", "values", "message"),
    [("visual_encoder", {"atn_blocks": [0]}, "atn_blocks"), ("audio_encoder", {"attn_blocks": [0, 0, 1, 0, 0]}, "1")],
)
def test_typos_and_attention_are_errors(part, values, message):
    with pytest.raises(ConfigError, match=message):
        changed(part, **values)


def test_the_published_file_describes_the_published_network():
    settings = read_syncnet_settings(PUBLISHED)
    with torch.device("meta"):
        shapes = SyncNet(settings, str(PUBLISHED)).shapes
    assert (shapes.visual, shapes.mel) == ((48, 128, 256), (1, 80, 52))
    assert settings.ckpt.inference_ckpt_path == Path("models/syncnet/latentsync_syncnet.pt")


def test_the_train_section_is_another_readers(tmp_path):
    before, mark, _ = PUBLISHED.read_text().partition("\ntrain:\n")
    assert mark
    path = tmp_path / "syncnet.yaml"
    path.write_text(before)
    assert read_syncnet_settings(path) == read_syncnet_settings(PUBLISHED)
    path.write_text(before + "\ntrian:\n  anything: 1\n")
    with pytest.raises(ConfigError, match="unknown key trian"):
        read_syncnet_settings(path)


def test_published_keys_of_the_training_are_accepted(tmp_path):
    path = tmp_path / "syncnet.yaml"
    text = PUBLISHED.read_text().replace("data:\n", "data:\n  batch_size: 40\n  latent_space: false\n")
    path.write_text(text + "\noptimizer:\n  lr: 1e-5\n  max_grad_norm: 1.0\n\nrun:\n  seed: 42\n")
    assert read_syncnet_settings(path).optimizer.lr == 1e-5


def test_weights_load_from_the_published_form(tmp_path):
    given = fill(tiny_syncnet())
    torch.save({"global_step": 7, "state_dict": given.state_dict()}, tmp_path / "syncnet.pt")
    loaded = load_syncnet(tiny_settings(), tmp_path / "syncnet.pt")
    assert not loaded.training and not any(parameter.requires_grad for parameter in loaded.parameters())
    for ours, theirs in zip(loaded.state_dict().values(), given.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save({"state_dict": {"conv.weight": torch.zeros(1)}}, tmp_path / "syncnet.pt")
    with pytest.raises(WeightsError, match=r"syncnet\.pt: checkpoint of the wrong shape"):
        load_syncnet(tiny_settings(), tmp_path / "syncnet.pt")
