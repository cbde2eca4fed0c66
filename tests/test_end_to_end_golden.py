"""The published implementation's numbers, through the objects that the commands use, from loading to blending."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from formula_weights import fill
from model_factory import write_published

from musetalk.face.parsing import BiSeNetParser
from musetalk.media.frame_source import SourceInfo
from musetalk.models.bisenet import BiSeNet
from musetalk.models.device import Placement
from musetalk.models.loading import load_networks
from musetalk.models.versions import VERSIONS, network_paths
from musetalk.pipeline.compositing import Compositor
from musetalk.pipeline.generator import Generator
from musetalk.pipeline.live import FaceSettings, LiveStates
from musetalk.pipeline.speaking import blended_frames, generated_frames
from musetalk.pipeline.stages import Stages

FPS = Fraction(25)
FORWARD_AND_BACKWARD = [0, 1, 2, 3, 3, 2, 1, 0, 0, 1, 2, 3]


@pytest.fixture(scope="module")
def golden():
    return np.load(Path(__file__).parent / "data" / "golden" / "end_to_end.npz")


@pytest.fixture(scope="module")
def models_dir(golden, tmp_path_factory):
    configs = json.loads(str(golden["configs"]))
    return write_published(tmp_path_factory.mktemp("models"), **configs)


@pytest.fixture(scope="module", params=["v1", "v15"])
def version(request):
    return request.param


@pytest.fixture(scope="module")
def generator(models_dir, version):
    placement = Placement(torch.device("cpu"), torch.float32)
    return Generator(load_networks(network_paths(version, models_dir), placement))


class Clip:
    """Frames in memory as a source."""

    def __init__(self, frames):
        height, width = frames.shape[1:3]
        self._frames = frames
        self.info = SourceInfo(Path("clip"), width, height, FPS, len(frames), is_image=False)

    def frames(self):
        yield from self._frames

    def ping_pong(self):
        while True:
            yield from enumerate(self._frames)
            yield from reversed(list(enumerate(self._frames)))


@dataclass
class Outcome:
    """What one run of the pipeline gave, stage by stage."""

    windows: np.ndarray
    indices: list[int]
    latents: torch.Tensor
    faces: np.ndarray
    frames: np.ndarray


@pytest.fixture(scope="module")
def outcome(golden, generator, version):
    spec = VERSIONS[version]
    parser = BiSeNetParser(fill(BiSeNet(), 1.2), mode=spec.parsing_mode)
    settings = FaceSettings(extra_margin=10 if spec.lowers_chin else 0, fade_inside=spec.fades_inside_box)
    boxes = [tuple(box) for box in golden["boxes"].tolist()]
    states = LiveStates(Clip(golden["frames"]), None, parser, generator, settings, boxes=boxes)
    windows = list(generator.audio.windows(golden["wav"].astype(np.float32) / 32768, FPS))
    with Stages() as stages:
        located = stages.run("faces", states.locate(states.frames(), 12), depth=2)
        generated = list(
            stages.run("generate", generated_frames(located, iter(windows), states, generator, 5), depth=2)
        )
        frames = list(stages.run("blend", blended_frames(iter(generated), Compositor()), depth=2))
    return Outcome(
        np.stack(windows),
        [item.source.index for item in generated],
        states.latents([item.source for item in generated[:4]]),
        np.stack([item.face for item in generated]),
        np.stack(frames),
    )


def test_audio_windows(golden, outcome):
    expected = golden["whisper_windows"].astype(np.float32)
    assert outcome.windows.shape == expected.shape
    np.testing.assert_allclose(outcome.windows, expected, atol=5e-3)


def test_frames_play_forward_and_backward(outcome):
    assert outcome.indices == FORWARD_AND_BACKWARD


def test_latents(golden, outcome, version):
    np.testing.assert_allclose(outcome.latents.numpy(), golden[f"latents_{version}"], atol=1e-3)


def test_generated_faces(golden, outcome, version):
    difference = np.abs(outcome.faces[::3].astype(int) - golden[f"generated_{version}"])
    assert np.mean(difference <= 2) >= 0.999


def test_composited_frames(golden, outcome, version):
    difference = np.abs(outcome.frames.astype(int) - golden[f"composited_{version}"])
    assert np.mean(difference <= 2) >= 0.999
    # The numbers agree where the frames were changed, not only where they were left alone.
    assert np.mean(np.abs(outcome.frames.astype(int) - golden["frames"][FORWARD_AND_BACKWARD]) > 2) > 0.01
