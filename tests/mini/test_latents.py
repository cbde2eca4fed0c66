"""What the UNet trains on agrees with what inference feeds it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch

from musetalk.audio.windows import audio_windows
from musetalk.mini.autoencoder import COLOR_SCALE, build, image_pyramid_loss
from musetalk.mini.latents import frame_window, mouth_weight


def test_training_windows_are_inference_windows():
    states = np.random.default_rng(0).normal(size=(40, 5, 3)).astype(np.float32)
    expected = audio_windows(states, 20 * 640, Fraction(25))
    for frame in (0, 1, 7, 18, 19):
        np.testing.assert_array_equal(frame_window(states, frame), np.asarray(expected[frame]).reshape(50, 3))


def test_the_mouth_weighs_most():
    weight = mouth_weight(np.array([[0.3, 0.6, 0.7, 0.8]], np.float32), 32)[0, 0]
    assert weight[22, 16] == weight.max()
    assert weight[2, 16] < weight[31, 1] < weight[22, 16]


def test_an_untrained_decoder_already_paints_the_colour_of_its_latents():
    torch.manual_seed(0)
    network = build()
    color = torch.tensor([0.5, -0.25, -0.6])
    latents = torch.zeros(1, 8, 8, 8)
    latents[:, :3] = COLOR_SCALE * color[None, :, None, None]
    with torch.no_grad():
        for name, parameter in network.decoder.named_parameters():
            if name.endswith("weight") and parameter.shape[0] == 3:  # the last layer hears the colour path only
                keep = parameter[:, :3].clone()
                parameter.zero_()
                parameter[:, :3] = keep
        painted = network.decode(latents).sample
    inner = painted[0, :, 8:-8, 8:-8].mean(dim=(1, 2))
    torch.testing.assert_close(inner, color, atol=0.06, rtol=0)


def test_pyramid_loss_sees_a_colour_shift_and_a_lost_edge():
    image = torch.zeros(1, 3, 32, 32)
    image[..., 16:] = 0.5
    shifted = image + torch.tensor([0.1, -0.1, 0.1])[None, :, None, None]
    flat = torch.full_like(image, 0.25)
    assert image_pyramid_loss(image, image) == 0
    torch.testing.assert_close(image_pyramid_loss(shifted, image), torch.tensor(0.5 / 3), atol=1e-6, rtol=0)
    assert image_pyramid_loss(flat, image) > image_pyramid_loss(shifted, image)
