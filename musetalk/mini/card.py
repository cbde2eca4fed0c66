"""The model card of what the recipe made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from musetalk.training.log import read_rows

if TYPE_CHECKING:
    from musetalk.mini.recipe import Recipe

HEAD_MODEL = "ICT-FaceKit light model, MIT licence, © 2020 USC Institute for Creative Technologies"
_MEGABYTE = 1e6


def card(recipe: Recipe, hours: Mapping[str, float], target: Path, summary: str) -> str:
    """The text of README.md: data, licence, training time, metrics, limits.

    Args:
        recipe: The amounts.
        hours: That each step took.
        target: Folder of the exported model.
        summary: summary.md of scripts.score_heads.
    """
    rows = [f"| {step} | {_steps(target, step)} | {spent:.2f} |" for step, spent in hours.items()]
    size = sum(path.stat().st_size for path in target.rglob("*.safetensors")) / _MEGABYTE
    return f"""# mini: the bundled model

A small model of MuseTalk's design that runs at once on a CPU, made by `python -m scripts.make_mini` on
{date.today()} from rendered heads and synthetic speech; no recording of a person was used.
Stored in float16; {size:.1f} MB in all.

## Data

- Speech: {recipe.utterances} utterances of 8 to 14 s with the mouth that belongs to them, a tenth as many held out.
- Heads: {recipe.clips} rendered people of {recipe.seconds} s, each with two twins: the same frames with other mouths.
  Procedural pictures for the VAE. People, voices and sentences of the split `held_out` were not trained on; of its
  voices only how far the mouth moves in their speech was used, to scale what the reader hears.
- Head model: {HEAD_MODEL}.

## Training

| step | training steps | hours |
|---|---|---|
{chr(10).join(rows)}

Losses and validations are in `training_*.jsonl`.

## Measured

On {recipe.scored} heads of {recipe.scored_seconds} s of the split `held_out`, each dubbed with speech while the
source says something else:

{summary.strip()}

## Limits

It knows rendered faces only. What was not in view (teeth, tongue) is guessed; pores and beards come back smooth
where the mouth moves. Strong profiles, hands before the mouth and several faces are not handled.
"""


def _steps(target: Path, step: str) -> str:
    done = [row["step"] for row in read_rows(target / f"training_{step}.jsonl")]
    return f"{max(done):,}" if done else ""
