"""How far features of arriving sound are from offline ones: `python -m scripts.measure_streaming --audio SPEECH`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from musetalk import cli
from musetalk.audio.streaming import StreamingContext
from musetalk.audio.streaming_encoder import StreamingEncoder
from musetalk.errors import InputError
from musetalk.evaluation import streaming_difference as measure
from musetalk.face.boxes import face_box, lower_chin
from musetalk.media.audio_file import read_audio
from musetalk.media.frames import open_source
from musetalk.models.device import Placement, choose_placement
from musetalk.models.loading import load_networks
from musetalk.models.versions import VERSIONS, find_version, network_paths
from musetalk.pipeline.backends import build_finder
from musetalk.pipeline.generator import Generator, cut_face
from musetalk.pipeline.settings import DubSettings, FaceSettings

DEFAULTS = StreamingContext()


def main() -> int:
    parser = cli.CommandParser(prog="python -m scripts.measure_streaming", description=__doc__)
    parser.add_argument("--audio", nargs="+", type=Path, required=True, help="speech of some seconds")
    parser.add_argument("--video", type=Path, help="a video or image whose first face speaks (default: features only)")
    parser.add_argument("--version", choices=tuple(VERSIONS), default="mini")
    parser.add_argument("--models_dir", type=Path, default=Path("models"))
    parser.add_argument("--left", nargs="+", type=int, default=[DEFAULTS.left], help="steps of 20 ms")
    parser.add_argument("--right", nargs="+", type=int, default=[DEFAULTS.right], help="steps of 20 ms")
    parser.add_argument("--silence", nargs="+", type=int, default=[DEFAULTS.silence], help="steps of 20 ms")
    parser.add_argument("--every", type=int, default=4, help="of so many frames one is generated (default: 4)")
    return run(parser.parse_args())


def run(options: argparse.Namespace) -> int:
    placement = choose_placement(-1, "float32")
    generator = Generator(load_networks(network_paths(options.version, options.models_dir), placement))
    settings = FaceSettings.of(find_version(options.version), DubSettings())
    face = (
        None
        if options.video is None
        else first_face(options.video, options.models_dir, placement, generator, settings)
    )
    encoder = generator.networks.audio_encoder
    streaming = StreamingEncoder(encoder)
    for path in options.audio:
        compare(path, generator, streaming, face, options)
    return 0


def compare(
    path: Path, generator: Generator, streaming: StreamingEncoder, face: np.ndarray | None, options: argparse.Namespace
) -> None:
    """Print the table of one sound."""
    encoder, samples = generator.networks.audio_encoder, read_audio(path)
    offline = measure.offline_windows(encoder, samples)
    mouths = None if face is None else measure.speak(generator, face, offline[:: options.every])

    def tell(label: str, windows: np.ndarray, milliseconds: np.ndarray | None = None) -> None:
        relative = measure.relative_difference(windows, offline, encoder.states)
        line = f"  {label:<24}" + "".join(f"{value:8.4f}" for value in relative)
        if mouths is not None and face is not None:
            ours = measure.speak(generator, face, windows[:: options.every])
            line += f"{measure.mouth_difference(ours, mouths):8.3f}"
        if milliseconds is not None:
            line += f"   {milliseconds.mean():6.2f} {np.percentile(milliseconds, 95):6.2f} ms"
        print(line, flush=True)

    print(f"{path}: relative L2 of each state, mean grey level difference of the mouth, ms a frame (mean, p95)")
    if mouths is not None:
        print(f"  the mouth moves by {measure.mouth_movement(mouths):.3f} every {options.every} frames")
    tell(f"offline, {measure.SHIFT_SECONDS} s later", measure.later_windows(encoder, samples))
    for context in measure.contexts_of(options.left, options.right, options.silence):
        streamed = measure.streamed_windows(streaming, samples, context)
        label = f"{context.left} / {context.right} / {context.silence}"
        tell(label, streamed.windows, streamed.milliseconds)


def first_face(
    path: Path, models_dir: Path, placement: Placement, generator: Generator, settings: FaceSettings
) -> np.ndarray:
    """The first frame's face, as the UNet's reference.

    Raises:
        InputError: There is none.
    """
    _, frame = next(open_source(path).ping_pong())
    (face,) = build_finder("mediapipe", models_dir, placement).find([frame])
    box = face_box(face, frame.shape, 0) if face is not None else None
    if box is None:
        raise InputError(f"{path}: no face in the first frame", "Give a picture of a face that looks at the camera.")
    box = lower_chin(box, settings.extra_margin, frame.shape[0])
    return cut_face(frame, box, generator.face_size)


if __name__ == "__main__":
    torch.set_num_threads(1)  # so that times are those of one core
    sys.exit(cli.run_command(main))
