"""Render the demo's presenter and speak its text: `python -m scripts.make_presenter --head ict_light.npz`."""

from __future__ import annotations

import argparse
import wave
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from musetalk.cli import run_command
from musetalk.media.ffmpeg import find_ffmpeg
from musetalk.media.writer import VideoWriter
from musetalk.synthetic.speech import Utterance, synthesize
from musetalk.synthetic.visemes import mouth_curves

SIZE = 512
PERSON, MOTION = 5005, 1
"""Seeds; the training scenes use others."""
SOURCE_TEXT = "The weather was fine this morning, so we walked along the river and talked about the garden."
SPEECH_TEXT = (
    "Hello, and welcome. Every frame of this video was drawn by a computer. "
    "My mouth follows the words that you hear now, although the camera recorded something else. "
    "Try it with a video and a voice of your own."
)


def write_wav(path: Path, utterance: Utterance, lead: float = 0.3) -> None:
    """Mono 16-bit WAV at 16 kHz with `lead` seconds of silence at both ends."""
    silence = np.zeros(int(lead * 16000), np.float32)
    samples = np.concatenate([silence, utterance.audio, silence])
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.make_presenter", description=__doc__)
    parser.add_argument("--head", type=Path, required=True, help="packed ICT-FaceKit light model (ict_light.npz)")
    parser.add_argument("--out", type=Path, default=Path("assets/demo"), help="folder of presenter.mp4 and speech.wav")
    arguments = parser.parse_args()

    from musetalk.synthetic.appearance import linear
    from musetalk.synthetic.clips import FRAME_RATE, film, random_performer
    from musetalk.synthetic.head_model import HeadModel
    from musetalk.synthetic.renderer import Renderer

    arguments.out.mkdir(parents=True, exist_ok=True)
    renderer = Renderer(HeadModel.load(arguments.head), SIZE)
    performer = random_performer(np.random.default_rng(PERSON), renderer)
    shade = np.linspace(1.12, 0.8, SIZE)[:, None, None] * np.array([178, 170, 160])
    performer = replace(
        performer,
        look=replace(performer.look, cloth=linear([52, 66, 96])),
        background=np.broadcast_to(shade, (SIZE, SIZE, 3)).clip(0, 255).astype(np.uint8),
        pose=replace(performer.pose, distance=72.0, offset=(0.0, 2.6)),
    )
    said = synthesize(SOURCE_TEXT, engine="flite", voice="slt")
    curves = mouth_curves(said, Fraction(FRAME_RATE))
    rest = np.zeros((FRAME_RATE, curves.shape[1]), curves.dtype)
    curves = np.concatenate([rest, curves, rest])
    with VideoWriter(
        arguments.out / "presenter.mp4",
        SIZE,
        SIZE,
        Fraction(FRAME_RATE),
        audio=None,
        frame_count=len(curves),
        ffmpeg=find_ffmpeg(),
    ) as writer:
        for frame, _ in film(renderer, performer, curves, np.random.default_rng(MOTION)):
            writer.write(frame)
    write_wav(arguments.out / "speech.wav", synthesize(SPEECH_TEXT, engine="flite", voice="slt"))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
