"""Whole checkpoints of a training run: a folder appears when everything is in it, and only then older ones go."""

from __future__ import annotations

import json
import os
import pickle  # for the name of the exception that torch.load raises
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from musetalk.errors import OutputError, WeightsError
from musetalk.training.files import save_tensors

_NAME = re.compile(r"checkpoint-(\d+)")
_PARTIAL = ".partial"
_FACTS = "facts.json"
FORMAT = 1


class CheckpointFolder:
    """The checkpoints of one run.

    Args:
        folder: Holds `checkpoint-<step>` folders.
        limit: How many to keep.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self.limit = limit

    def path(self, step: int) -> Path:
        return self.folder / f"checkpoint-{step}"

    def all(self) -> list[Path]:
        """The whole checkpoints, oldest first."""
        found = [(int(match[1]), path) for path in _children(self.folder) if (match := _NAME.fullmatch(path.name))]
        return [path for _, path in sorted(found) if (path / _FACTS).is_file()]

    def after(self, step: int) -> list[Path]:
        """The whole checkpoints of later steps."""
        return [path for path in self.all() if int(path.name.rpartition("-")[2]) > step]

    def newest(self) -> Path | None:
        return next(reversed(self.all()), None)

    def partial(self, step: int) -> Path:
        """Where a checkpoint lies until it is whole."""
        return self.folder / f"checkpoint-{step}{_PARTIAL}"

    def begin(self, step: int) -> None:
        """An empty folder for a checkpoint that is going to be saved.

        Raises:
            OutputError: It cannot be made.
        """
        partial = self.partial(step)
        try:
            if partial.exists():  # of a run that was killed while it saved
                shutil.rmtree(partial)
            partial.mkdir(parents=True)
        except OSError as error:
            raise self._cannot_save(step, error) from None

    def save(
        self,
        step: int,
        parts: Mapping[str, Any],
        facts: Mapping[str, Any],
        settings: str,
        more: Callable[[Path], None] | None = None,
    ) -> Path:
        """Write a checkpoint after `begin`, then remove the oldest ones beyond the limit.

        Args:
            step: Its number; one of the same number is replaced.
            parts: What `torch.save` writes to <name>.pt: state dicts and other trees of tensors and numbers.
            facts: Small numbers and texts, as JSON.
            settings: The run's settings as YAML, for people.
            more: Writes what else belongs into the folder.

        Raises:
            OutputError: It cannot be written, the disk is full, say. The checkpoints before it are as they were.
        """
        target, partial = self.path(step), self.partial(step)
        try:
            for name, part in parts.items():
                write_tensors(part, partial / f"{name}.pt")
            if more is not None:
                more(partial)
            (partial / "config.yaml").write_text(settings, encoding="utf-8")
            (partial / _FACTS).write_text(json.dumps({"format": FORMAT, "step": step, **facts}), encoding="utf-8")
            if target.exists():  # saved before, by the same steps
                shutil.rmtree(target)
            os.replace(partial, target)
            for old in self.all()[: -self.limit]:
                shutil.rmtree(old)
        except OSError as error:
            raise self._cannot_save(step, error) from None
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return target

    def set_aside(self, checkpoint: Path) -> Path:
        """Rename a checkpoint, so that nothing goes on from it; its new path."""
        aside = checkpoint.with_name(f"{checkpoint.name}.aside")
        shutil.rmtree(aside, ignore_errors=True)
        checkpoint.rename(aside)
        return aside

    def _cannot_save(self, step: int, error: OSError) -> OutputError:
        newest = self.newest()
        after = f"then go on from {newest} with the same command" if newest else "then start again"
        return OutputError(
            f"{self.path(step)}: the checkpoint cannot be written: {error.strerror or error}",
            f"Make room or set output_dir elsewhere; {after}.",
        )


def write_tensors(value: Any, path: Path) -> None:
    """Write a tree of tensors and numbers, to the disk for certain."""
    with path.open("wb") as file:
        save_tensors(value, file)
        file.flush()
        os.fsync(file.fileno())


def read_facts(checkpoint: Path) -> dict[str, Any]:
    """The facts that were saved with a checkpoint, with `format` and `step`.

    Raises:
        WeightsError: There is no whole checkpoint in this folder, or it was written by another release.
    """
    try:
        facts = json.loads((checkpoint / _FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise WeightsError(
            f"{checkpoint}: not a whole checkpoint of training",
            "Give a checkpoint-<step> folder in resume_from_checkpoint, or true for the newest one.",
        ) from None
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise WeightsError(
            f"{checkpoint}: written in another format than {FORMAT}", "Continue it with the release that wrote it."
        )
    return facts


def read_part(checkpoint: Path, name: str) -> Any:
    """One part of a checkpoint, on the CPU.

    Raises:
        WeightsError: The file is missing or damaged.
    """
    path = checkpoint / f"{name}.pt"
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise WeightsError(
            f"{path}: missing or damaged: {' '.join(str(error).split())[:200]}", "Continue from an older checkpoint."
        ) from None


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
