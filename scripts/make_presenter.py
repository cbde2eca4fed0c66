"""Render the demo's presenter and speak its text: `python -m scripts.make_presenter --head FaceXModel`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from musetalk import cli
from musetalk.media.ffmpeg import find_ffmpeg
from musetalk.media.writer import VideoWriter

if TYPE_CHECKING:
    from musetalk.synthetic.clips import Performer
    from musetalk.synthetic.renderer import Renderer

SIZE = 512
PERSON, MOTION = 5147, 1
"""Seeds; the data sets' clips have other streams."""
SOURCE_TEXT = "The weather was fine this morning, so we walked along the river and talked about the garden."
SPEECH_TEXT = (
    "Hello, and welcome. Every frame of this video was drawn by a computer. "
    "My mouth follows the words that you hear now, although the camera recorded something else. "
    "Try it with a video and a voice of your own."
)
LEAD = 0.3
"""Seconds of silence before and after the speech."""


def presenter(renderer: Renderer, seed: int) -> Performer:
    """A neatly dressed person before a plain wall, in soft light."""
    from musetalk.synthetic.clips import random_performer
    from musetalk.synthetic.colors import linear
    from musetalk.synthetic.looks import ShapeLook, StyleLook

    performer = random_performer(np.random.default_rng(seed), renderer)
    look, light = performer.look, performer.lighting
    wall = np.linspace(1.12, 0.8, renderer.size)[:, None, None] * np.array([178, 170, 160])
    colors = np.stack([np.array([1.0, 0.96, 0.9]) * 0.95, np.array([0.9, 0.95, 1.0]) * 0.4, np.full(3, 0.5)])
    return replace(
        performer,
        look=replace(
            look,
            style=StyleLook(),
            shape=ShapeLook(),
            eyes=replace(look.eyes, enlarge=1.0),
            skin=replace(look.skin, paint=None, blotches=0.0, strokes=0.0),
            props=replace(look.props, tint=0.0),
            cloth=replace(
                look.cloth, neckline="suit", pattern="plain", color=linear([52, 66, 96]), under=linear([232, 232, 236])
            ),
        ),
        lighting=replace(
            light, colors=colors, sky=np.full(3, 0.42), ground=np.full(3, 0.25), exposure=1.0, shadow=0.35, softness=1.0
        ),
        background=np.broadcast_to(wall, (renderer.size, renderer.size, 3)).clip(0, 255).astype(np.uint8),
        pose=replace(performer.pose, distance=72.0, offset=(0.0, 2.6), body_yaw=0.4 * performer.pose.yaw),
    )


def run(options: argparse.Namespace) -> int:
    """Render and speak."""
    from musetalk.synthetic.clips import FRAME_RATE, film
    from musetalk.synthetic.coarticulation import mouth_curves
    from musetalk.synthetic.head_model import HeadModel
    from musetalk.synthetic.renderer import Renderer
    from musetalk.synthetic.synthesizers import synthesize
    from musetalk.synthetic.truth import write_wav
    from musetalk.synthetic.utterance import SAMPLE_RATE
    from musetalk.synthetic.visemes import rest_pose

    head = HeadModel.load(options.head)
    said, speech = (synthesize(text, engine="flite", voice="slt") for text in (SOURCE_TEXT, SPEECH_TEXT))
    renderer = Renderer(head, SIZE, supersampling=2.0)
    rest = np.tile(rest_pose(), (FRAME_RATE, 1))
    curves = np.concatenate([rest, mouth_curves(said, Fraction(FRAME_RATE)), rest])
    with VideoWriter(
        options.out / "presenter.mp4",
        SIZE,
        SIZE,
        Fraction(FRAME_RATE),
        audio=None,
        frame_count=len(curves),
        ffmpeg=find_ffmpeg(),
    ) as writer:
        for frame, _ in film(renderer, presenter(renderer, PERSON), curves, np.random.default_rng(MOTION)):
            writer.write(frame)
    silence = np.zeros(int(LEAD * SAMPLE_RATE), np.float32)
    write_wav(options.out / "speech.wav", np.concatenate([silence, speech.audio, silence]))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; the exit code."""
    parser = cli.CommandParser(prog="python -m scripts.make_presenter", description="Render the demo's presenter.")
    parser.add_argument("--head", type=Path, required=True, help="ICT-FaceKit: its FaceXModel folder or ict_light.npz")
    parser.add_argument("--out", type=Path, default=Path("assets/demo"), help="folder of presenter.mp4 and speech.wav")
    options = parser.parse_args(arguments)
    return cli.run_command(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
