"""The steps that make models/mini: commands of this project, each of which goes on where it stopped."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from musetalk.errors import TrainingError
from musetalk.mini.calling import call
from musetalk.mini.card import card
from musetalk.mini.export import export_model
from musetalk.mini.inputs import INPUTS, check_inputs
from musetalk.schema import read_settings
from musetalk.synthetic.sentences import HELD_OUT, TRAIN
from musetalk.synthetic.speech_corpus import write_speech
from musetalk.synthetic.synthesizers import available_engines
from musetalk.training.files import write_whole
from musetalk.training.tasks import TASK_TYPES

STEPS = ("speech", "heads", "clips", "vae", "decoder", "audio", "syncnet", "stage1", "stage2", "export", "evaluate")
MADE_UP = 0.65
"""Share of the sentences that the reader learns from that are of made-up words; the held-out ones are real."""
LAUGHING = 0.06
"""Share of its utterances in whose place somebody laughs, as of the rendered heads (`acting.CHANCES`)."""
CONFIGS = Path("configs") / "training" / "mini"
SPLITS = (TRAIN, HELD_OUT)
WATCHED_SEED, SCORED_SEED = 1, 0
"""Of held-out heads: those that training is watched on, and those that its result is measured on at last."""


@dataclass(frozen=True)
class Recipe:
    """Amounts of data, and where everything lies.

    Attributes:
        work: Folder of everything in between.
        head: The head model, as scripts.render_heads takes it.
        utterances: Of speech for the audio encoder; held-out speech is a tenth.
        clips, seconds: Rendered clips with their twins, and their length; held-out clips are a tenth. Each shows
            another person: many short ones teach more than few long ones.
        workers: Processes that render and preprocess.
        scored, scored_seconds: Held-out heads on which the result is measured, and their length.
        share: Of the training steps in the settings, above 0: less than 1 for a quick try.
    """

    work: Path
    head: Path
    utterances: int = 1700
    clips: int = 1000
    seconds: int = 2
    workers: int = 2
    scored: int = 24
    scored_seconds: int = 5
    share: float = 1.0

    def run(self, step: str, target: Path, overrides: Sequence[str] = ()) -> None:
        """Do one of STEPS; the ones before it must be done.

        Args:
            step: Its name.
            target: Folder of the exported model, `mini` in the folder of all weights.
            overrides: Changes to the settings of a training step.

        Raises:
            TrainingError: A command failed, it has said why; or a step was trained from something else.
            WeightsError: A step before was not done.
            KeyboardInterrupt: It was asked to stop; what it had done is saved.
        """
        if step in INPUTS:
            check_inputs(step, self.work)
        began = time.monotonic()
        try:
            self._do(step, target, overrides)
        finally:
            self._spend(step, time.monotonic() - began)
        if step == "evaluate":
            summary = (self.work / "scores" / "summary.md").read_text(encoding="utf-8")
            write_whole(target / "README.md", card(self, self.hours(), target, summary).encode())

    def hours(self) -> dict[str, float]:
        """How long each step took so far, in hours, all its runs together."""
        return json.loads(self._times.read_text(encoding="utf-8")) if self._times.is_file() else {}

    @property
    def _times(self) -> Path:
        return self.work / "hours.json"

    def _spend(self, step: str, seconds: float) -> None:
        spent = self.hours()
        write_whole(self._times, json.dumps(spent | {step: spent.get(step, 0.0) + seconds / 3600}).encode())

    def _do(self, step: str, target: Path, overrides: Sequence[str]) -> None:
        if step == "speech":
            engines = (*available_engines(), "festival")
            write_speech(self.work / "speech", 0, self.utterances, 1, TRAIN, engines, MADE_UP, LAUGHING)
            write_speech(self.work / "speech_val", 0, max(1, self.utterances // 10), seed=2, pool=HELD_OUT)
        elif step == "export":
            export_model(self.work, target)
        else:
            for command in self.commands(step, target, overrides):
                if call(command) != 0:
                    raise TrainingError(
                        f"the step {step} failed: {command[2]}",
                        "Mend what it says above, then give the same command again: what is done is kept.",
                    )

    def commands(self, step: str, target: Path, overrides: Sequence[str] = ()) -> list[list[str]]:
        """The command lines of a step."""
        python = [sys.executable, "-m"]
        if step == "heads":
            return [[*python, "scripts.render_heads", *self._heads(split)] for split in SPLITS]
        if step == "evaluate":
            scored = self.work / "scored"
            rendering = self._flags(scored, HELD_OUT, self.scored, self.scored_seconds, SCORED_SEED, 1)
            flags = {"heads": scored, "out": self.work / "scores", "models_dir": target.parent}
            scoring = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
            return [
                [*python, "scripts.render_heads", *rendering],
                [*python, "scripts.score_heads", "--version", "mini", *scoring],
            ]
        if step == "clips":
            return [[*python, "scripts.preprocess", "--config", str(CONFIGS / "preprocess.yaml"), *self._clips()]]
        places = training_overrides(step, self.work)
        changes = (*places, *training_amounts(step, self.share), *overrides)
        return [[*python, "scripts.train", _task(step), "--config", str(_settings(step)), *changes]]

    def _heads(self, split: str) -> list[str]:
        out = self.work / "heads" / split
        if split == TRAIN:
            return self._flags(out, split, self.clips, self.seconds, 0, 2)  # stage 2 compares sources of one target
        return self._flags(out, split, max(2, self.clips // 10), self.seconds, WATCHED_SEED, 1)

    def _flags(self, out: Path, split: str, clips: int, seconds: int, seed: int, twins: int) -> list[str]:
        flags = {"head": self.head, "out": out, "clips": clips, "seconds": seconds, "split": split, "seed": seed}
        flags |= {"twins": twins, "workers": self.workers}
        return [word for name, value in flags.items() for word in (f"--{name}", str(value))]

    def _clips(self) -> list[str]:
        work = self.work
        keys = {
            "video_root_raw": work / "heads",
            "video_root_25fps": work / "video_root_25fps",
            "video_file_list": work / "video_file_list.txt",
            "video_audio_clip_root": work / "clips",
            "meta_root": work / "meta",
            "video_clip_file_list_train": work / "train.txt",
            "video_clip_file_list_val": work / "val.txt",
            "num_workers": self.workers,
        }
        return [f"{name}={value}" for name, value in keys.items()]


def amounts(share: float) -> dict[str, int]:
    """Utterances and clips of a recipe with a share of the data.

    Args:
        share: Above 0; 1 is the recipe as it is meant.
    """
    return {name: max(1, round(share * getattr(Recipe, name))) for name in ("utterances", "clips")}


def training_amounts(step: str, share: float) -> list[str]:
    """A share of how long a training step goes on, and of the samples that it encodes once, as `key=value`."""
    if share == 1:
        return []
    config, _ = read_settings(TASK_TYPES[_task(step)][0], _settings(step), ())
    within, run = ("train.", config.train) if hasattr(config, "train") else ("", config)
    counts = {"solver.max_train_steps": run.solver.max_train_steps}
    if encoded := getattr(getattr(run, "data", None), "encoded_samples", 0):
        counts["data.encoded_samples"] = encoded
    return [f"{within}{key}={max(1, round(share * count))}" for key, count in counts.items()]


def _task(step: str) -> str:
    return "vae" if step == "decoder" else step


def _settings(step: str) -> Path:
    return CONFIGS / f"{step}.yaml"


def training_overrides(step: str, work: Path) -> list[str]:
    """Where a training step finds what the steps before it made, as `key=value`."""
    train, held_out, results = work / "train.txt", work / "val.txt", work / "trained"
    lists: dict[str, object] = {"data.train_list": train, "data.val_list": held_out}
    out: dict[str, object] = {"output_dir": results / step}
    if step == "audio":
        values = out | {"data.train": work / "speech", "data.held_out": work / "speech_val"}
    elif step == "syncnet":
        values = {f"train.{name}": value for name, value in out.items()}
        values |= {"train.samples.train_list": train, "train.samples.val_list": held_out}
    elif step == "vae":
        values = out | lists
    elif step == "decoder":
        values = out | lists | {"init": results / "vae" / "mini" / "vae"}
    else:
        values = out | lists | {
            "pretrained_model_name_or_path": results,
            "vae_type": "decoder/mini/vae",
            "whisper_path": results / "audio" / "mini" / "audio_encoder",
            "init_mouth_reader": results / "audio" / "mini" / "mouth_reader.safetensors",
            "data.audio_features": work / "features",
        }
    return [f"{name}={value}" for name, value in values.items()]
