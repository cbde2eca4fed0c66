"""Make the bundled model, in hours on two cores: `python -m scripts.make_mini --head FaceXModel`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from musetalk import cli
from musetalk.mini.recipe import STEPS, Recipe

AMOUNTS = ("utterances", "clips", "seconds", "workers")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and do the steps; the exit code."""
    parser = cli.CommandParser(prog="python -m scripts.make_mini", description="Make the bundled model.")
    parser.add_argument("--head", type=Path, required=True, help="ICT-FaceKit: its FaceXModel folder or ict_light.npz")
    parser.add_argument("--work", type=Path, default=Path("build/mini"), help="folder of data and checkpoints")
    parser.add_argument("--out", type=Path, default=Path("models/mini"), help="folder of the exported model")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS), help="which steps to do")
    for name in AMOUNTS:
        parser.add_argument(f"--{name}", type=cli.at_least(1), default=getattr(Recipe, name))
    options = parser.parse_args(arguments)
    recipe = Recipe(options.work, options.head, **{name: getattr(options, name) for name in AMOUNTS})

    def run() -> int:
        for step in STEPS:
            if step in options.steps:
                cli.say(f"make_mini: {step}")
                recipe.run(step, options.out)
        return 0

    return cli.run_command(run)


if __name__ == "__main__":
    sys.exit(main())
