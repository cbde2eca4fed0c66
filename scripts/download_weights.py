"""Fetches the published weights into models/.

    python -m scripts.download_weights --version v15
    python -m scripts.download_weights --version v1 v15 --training --endpoint https://a.mirror.example
    python -m scripts.download_weights --parts bisenet

Run again, it goes on where it was cut off. Files that are there and whole are left alone. Exit code 0 only if every
file asked for is whole.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from musetalk import cli
from musetalk.download import HUGGING_FACE, Settings, UnreachableError, check, fetch
from musetalk.errors import MuseTalkError
from musetalk.weights import CHOICES, DEFAULT_MODELS_DIR, WeightFile, files_for

# The published pipeline finds and parses faces with these.
_FACE_PARTS = ("dwpose", "bisenet")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    return cli.run_command(lambda: run(options))


def run(options: argparse.Namespace) -> int:
    settings = Settings(endpoint=options.endpoint)
    files = files_for(_choices(options))
    failed = []
    for file in files:
        try:
            _bring(file, options.models_dir, settings)
        except MuseTalkError as error:
            cli.print_error(error)
            failed.append(file)
            if isinstance(error, UnreachableError):
                # Patience helps against a short outage; without a network it would be spent on each file again.
                settings = replace(settings, tries=1)
    if failed:
        print(
            f"{len(failed)} of {len(files)} files could not be had: {', '.join(file.path for file in failed)}.\n"
            "Run the same command again; it goes on where it stopped.",
            file=sys.stderr,
        )
        return 1
    print(f"All {len(files)} files are whole under {options.models_dir}.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = cli.CommandParser(
        prog="python -m scripts.download_weights", description="Fetches the published weights into models/."
    )
    parser.add_argument(
        "--version",
        nargs="+",
        choices=("v1", "v15"),
        help="model versions, with the published face parts (default: v15, if nothing else is asked for)",
    )
    parser.add_argument("--training", action="store_true", help="SyncNet and VGG19, which only training reads")
    parser.add_argument("--parts", nargs="+", metavar="PART", help=f"single parts: {', '.join(CHOICES)}")
    parser.add_argument("--all", action="store_true", help="everything of the published layout")
    parser.add_argument(
        "--models_dir", type=Path, default=DEFAULT_MODELS_DIR, help="where to put them (default: %(default)s)"
    )
    parser.add_argument(
        "--endpoint",
        default=os.environ.get("HF_ENDPOINT") or HUGGING_FACE,
        help=f"mirror of Hugging Face (default: $HF_ENDPOINT, or {HUGGING_FACE})",
    )
    return parser


def _choices(options: argparse.Namespace) -> list[str]:
    if options.all:
        return list(CHOICES)
    choices = [*(options.parts or ()), *(["training"] if options.training else [])]
    versions = options.version or ([] if choices else ["v15"])
    return [*versions, *(_FACE_PARTS if versions else ()), *choices]


def _bring(file: WeightFile, models_dir: Path, settings: Settings) -> None:
    path = file.under(models_dir)
    if path.is_file():
        wrong = check(file, path)
        if wrong is None:
            print(f"{file.path}: there")
            return
        print(f"{file.path}: {wrong}; fetching it anew")
    _fetch_with_bar(file, models_dir, settings)
    print(f"{file.path}: fetched")


def _fetch_with_bar(file: WeightFile, models_dir: Path, settings: Settings) -> None:
    from tqdm import tqdm

    with tqdm(desc=file.path, unit="B", unit_scale=True, unit_divisor=1024, leave=False) as bar:

        def show(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        fetch(file, models_dir, settings, show)


if __name__ == "__main__":
    raise SystemExit(main())
