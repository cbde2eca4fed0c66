"""Time the training data loader by itself: `python -m scripts.benchmark_loader`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import cv2

from musetalk.cli import run_command
from musetalk.training.loader_benchmark import make_clips, time_decoding, time_loader


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.benchmark_loader", description=__doc__)
    parser.add_argument("--list", type=Path, help="list of clips (default: clips made for it, 30 s of 512 × 512)")
    parser.add_argument("--clips", type=int, default=4, help="how many clips to make (default: 4)")
    parser.add_argument("--n_sample_frames", nargs="+", type=int, default=[1, 16])
    parser.add_argument("--num_workers", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--train_bs", nargs="+", type=int, default=[32, 2], help="one for each of n_sample_frames")
    parser.add_argument("--samples", type=int, default=1920, help="frames' worth of samples to time (default: 1920)")
    options = parser.parse_args()
    if len(options.train_bs) != len(options.n_sample_frames):
        parser.error("give as many train_bs as n_sample_frames")
    cv2.setNumThreads(1)  # one core for each process, so that the rows can be compared
    with tempfile.TemporaryDirectory(prefix="musetalk-benchmark-") as name:
        folder = Path(name)
        clips = options.list or make_clips(folder, options.clips)
        decoding = time_decoding(clips)
        print("samples a second of the loader alone")
        print(f"{'frames':>7}{'batch':>7}{'workers':>9}{'samples/s':>11}{'× decoding':>12}")
        print(f"{'any':>7}{'':>7}{0:>9}{decoding:>11.2f}{1:>12}  (one whole clip decoded for each)")
        for frames, batch in zip(options.n_sample_frames, options.train_bs, strict=True):
            for workers in options.num_workers:
                count = max(options.samples // frames, 1)
                rate = time_loader(clips, folder, frames, batch, workers, count).samples_per_second
                print(f"{frames:>7}{batch:>7}{workers:>9}{rate:>11.1f}{rate / decoding:>12.0f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
