"""Make the bundled model, in hours on two cores: `python -m scripts.make_mini --head FaceXModel`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from musetalk import cli
from musetalk.mini.recipe import STEPS, Recipe, amounts
from musetalk.synthetic.gpu import open_context
from musetalk.synthetic.head_files import read_head_files

AMOUNTS = {"utterances": 1, "clips": 1, "seconds": 2, "workers": 1, "scored": 1}
"""The least of each: samples of the SyncNet are of two seconds."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and do the steps; the exit code."""
    parser = cli.CommandParser(prog="python -m scripts.make_mini", description="Make the bundled model.")
    parser.add_argument("--head", type=Path, required=True, help="ICT-FaceKit: its FaceXModel folder or ict_light.npz")
    parser.add_argument("--work", type=Path, default=Path("build/mini"), help="folder of data and checkpoints")
    parser.add_argument("--out", type=Path, default=Path("models/mini"), help="folder of the exported model")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS), help="which steps to do")
    parser.add_argument(
        "--share", type=cli.share, default=1.0, help="of the utterances, clips and training steps: 0.1 for a quick try"
    )
    for name, least in AMOUNTS.items():
        parser.add_argument(f"--{name}", type=cli.at_least(least), help=f"(default: {getattr(Recipe, name)})")
    options = parser.parse_args(arguments)
    if options.out.name != "mini":
        parser.error(f"--out {options.out}: the folder must be named mini, as in models/mini")
    if options.share < 1 and options.out == parser.get_default("out"):
        parser.error(f"--share {options.share:g}: give --out too, so that {options.out} is not replaced by a try")
    given = {name: value for name in AMOUNTS if (value := getattr(options, name)) is not None}
    recipe = Recipe(options.work, options.head, share=options.share, **(amounts(options.share) | given))

    def run() -> int:
        if {"heads", "evaluate"} & set(options.steps):
            read_head_files(options.head)  # what can fail does so before the slow work
            open_context().release()
        for step in STEPS:
            if step in options.steps:
                cli.say(f"make_mini: {step}")
                recipe.run(step, options.out)
        return 0

    return cli.run_command(run)


if __name__ == "__main__":
    sys.exit(main())
