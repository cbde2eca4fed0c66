"""Make the bundled model, in hours on two cores: `python -m scripts.make_mini --head ict_light.npz`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from musetalk.cli import run_command
from musetalk.mini.recipe import STEPS, Recipe

AMOUNTS = ("utterances", "parts", "vae_steps", "audio_steps", "unet_steps")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.make_mini", description=__doc__)
    parser.add_argument("--head", type=Path, required=True, help="packed ICT-FaceKit light model (ict_light.npz)")
    parser.add_argument("--work", type=Path, default=Path("build/mini"), help="folder of data and checkpoints")
    parser.add_argument("--out", type=Path, default=Path("models/mini"), help="folder of the exported model")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS), help="which steps to do")
    for name in AMOUNTS:
        parser.add_argument(f"--{name}", type=int, default=getattr(Recipe, name))
    arguments = parser.parse_args(argv)
    recipe = Recipe(arguments.work, arguments.head, **{name: getattr(arguments, name) for name in AMOUNTS})
    for step in STEPS:
        if step in arguments.steps:
            print(f"make_mini: {step}", flush=True)
            recipe.run(step, arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
