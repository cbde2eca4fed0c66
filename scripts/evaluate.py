"""Measure whether the mouth of a video follows its sound: `python -m scripts.evaluate --generated result.mp4`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from musetalk.cli import run_command
from musetalk.evaluation.lip_sync import LipSync, correlation, lip_gaps, loudness_envelope
from musetalk.face.mediapipe_finder import MediaPipeFinder
from musetalk.media.audio_file import read_audio
from musetalk.media.frames import open_source


def measure(generated: Path, audio: Path | None, other: Path | None) -> LipSync:
    """Lip gap of `generated` against the loudness of `audio` (its own sound track if None) and of `other`."""
    source = open_source(generated)
    finder = MediaPipeFinder()
    gaps = lip_gaps(source.frames(), finder)
    finder.close()

    def against(path: Path) -> float:
        return correlation(gaps, loudness_envelope(read_audio(path), source.info.fps, len(gaps)))

    return LipSync(
        own=against(audio or generated),
        other=None if other is None else against(other),
        frames=len(gaps),
        faces=int(np.isfinite(gaps).sum()),
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.evaluate", description=__doc__)
    parser.add_argument("--generated", type=Path, required=True, help="video to measure")
    parser.add_argument("--audio", type=Path, help="its speech (default: the video's own sound track)")
    parser.add_argument("--other_audio", type=Path, help="another speech, as a control")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    arguments = parser.parse_args()
    result = measure(arguments.generated, arguments.audio, arguments.other_audio)
    print(f"frames {result.frames}, with a face {result.faces}")
    print(f"lip gap with the loudness of its speech: r = {result.own:.3f}")
    if result.other is not None:
        print(f"lip gap with the loudness of another speech: r = {result.other:.3f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(vars(result), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
