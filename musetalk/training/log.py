"""What a run tells: lines on the terminal, losses.jsonl, TensorBoard, image strips."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from musetalk.cli import say
from musetalk.training.files import cannot_write, write_whole


class RunLog:
    """Of the main process of a run.

    Args:
        folder: The run's folder.
        total: Steps of the whole run.
        step: Steps done; later rows that an interrupted run has left are dropped.
    """

    def __init__(self, folder: Path, total: int, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.images, self.total = folder / "images", total
        self._path = folder / "losses.jsonl"
        with self._writing():
            self.images.mkdir(parents=True, exist_ok=True)
            kept = [row for row in read_rows(self._path) if row["step"] <= step]
            write_whole(self._path, "".join(json.dumps(row) + "\n" for row in kept).encode())
            self._rows = self._path.open("a", encoding="utf-8")
            self._board: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def losses(self, step: int, values: Mapping[str, float], rates: Mapping[str, float]) -> None:
        """Mean losses since the last row, and rates such as samples a second."""
        self._write(step, "train", {**values, **rates})
        shown = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
        say(f"step {step}/{self.total}  {shown}  {rates['samples_per_second']:.1f} samples/s")

    def validation(self, step: int, values: Mapping[str, float], strips: Mapping[str, np.ndarray]) -> None:
        """Losses on fixed samples, and pictures of them ((h, w, 3) BGR uint8 by name)."""
        self._write(step, "validation", values)
        for name, strip in strips.items():
            data = cv2.imencode(".jpg", strip, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
            write_whole(self.images / f"{name}-{step:07d}.jpg", data)
            self._board.add_image(name, strip[:, :, ::-1], step, dataformats="HWC")
        say(f"validation at {step}  " + "  ".join(f"{name} {value:.4f}" for name, value in values.items()))

    def _write(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        row = {"step": step, "kind": kind} | {name: float(f"{value:.6g}") for name, value in values.items()}
        with self._writing():
            self._rows.write(json.dumps(row) + "\n")
            self._rows.flush()
        for name, value in values.items():
            self._board.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        with self._writing():
            self._rows.close()
            self._board.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise cannot_write(self._path, error) from None


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a losses.jsonl; a last row that was cut short is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        rows.append(row)
    return rows
