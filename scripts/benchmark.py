"""Time the networks of a version, with any weights: `python -m scripts.benchmark --version v15`."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from musetalk.cli import run_command
from musetalk.evaluation.timing import build_networks, place, time_faces
from musetalk.models.device import DTYPES, choose_placement
from musetalk.models.versions import VERSIONS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.benchmark", description=__doc__)
    parser.add_argument("--version", choices=tuple(VERSIONS), default="v15", help="whose network sizes (default: v15)")
    parser.add_argument("--models_dir", type=Path, default=Path("models"), help="only mini's configurations are read")
    parser.add_argument("--dtype", nargs="+", choices=tuple(DTYPES), default=["float32", "bfloat16"])
    parser.add_argument("--batch_size", nargs="+", type=int, default=[1, 4])
    parser.add_argument("--repeats", type=int, default=5, help="runs, of which the median counts (default: 5)")
    parser.add_argument("--gpu_id", type=int, default=0, help="CUDA device; -1: the CPU")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    options = parser.parse_args()
    placement = choose_placement(options.gpu_id)
    unet, vae = build_networks(options.version, options.models_dir)
    print(f"{options.version} on {placement.device}, milliseconds a face, median of {options.repeats}")
    print(f"{'dtype':<10}{'batch':>6}{'encode':>9}{'unet':>9}{'decode':>9}{'unet+decode':>13}{'fps':>8}")
    rows = []
    for dtype in options.dtype:
        place(unet, vae, placement.device, DTYPES[dtype])
        for batch in options.batch_size:
            row = time_faces(unet, vae, batch, options.repeats)
            rows.append(row)
            print(
                f"{row.dtype:<10}{row.batch:>6}{row.encode:>9.1f}{row.unet:>9.1f}{row.decode:>9.1f}"
                f"{row.generate:>13.1f}{1000 / row.generate:>8.1f}",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
