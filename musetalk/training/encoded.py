"""Samples encoded once: with losses in latents alone, most of a step's work would be the frozen encoder's.

A set of samples is drawn once and gone through again and again, in another order in each epoch. They lie in a folder as
chunks, each written whole, so that a stopped preparation goes on; other settings, clips or networks make a new folder.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch.utils.data import Dataset, default_collate

from musetalk.report import ProgressBars
from musetalk.training.files import write_whole
from musetalk.training.order import SampleOrder

CHUNK = 256
BESIDE = ("windows", "mouth_box", "mouths")
"""What else is kept of a sample, where it has it."""
LATENTS = ("masked_latents", "reference_latents", "target_latents")

Encode = Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]
"""A batch of samples → (n, c, h, w) latents by names of LATENTS."""


class EncodedSamples(Dataset[dict[str, torch.Tensor]]):
    """The samples 0 … count - 1 of a dataset, with latents in the place of faces.

    `samples[number]` takes any running number. A sample has (1, c, h, w) float16 latents for each name of LATENTS
    (the masked face has its lower half black), and what BESIDE names as in `ClipDataset`.

    Args:
        folder: Where `prepare` wrote them.
        count: How many there are.
        seed: Of the orders.
    """

    def __init__(self, folder: Path, count: int, seed: int) -> None:
        self.folder, self.count = folder, count
        self._order = SampleOrder([count], [1.0], seed)
        self._open: dict[int, Any] = {}

    def prepare(self, samples: Dataset[dict[str, Any]], encode: Encode) -> None:
        """Encode what is missing.

        Raises:
            InputError: A sample cannot be drawn.
            OutputError: The folder cannot be written to.
        """
        missing = [first for first in range(0, self.count, CHUNK) if not self._path(first // CHUNK).is_file()]
        with ProgressBars(["encode"], unit="chunk") as bar:
            bar.start(len(missing))
            for first in missing:
                drawn = [samples[number] for number in range(first, min(first + CHUNK, self.count))]
                batch = default_collate(drawn)
                tensors = {name: latents.half()[:, None].cpu() for name, latents in encode(batch).items()}
                tensors |= {name: batch[name] for name in BESIDE if name in batch}
                whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
                write_whole(self._path(first // CHUNK), save(whole))
                bar.advance("encode")

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        chunk, row = divmod(self._order.place(number)[1], CHUNK)
        if chunk not in self._open:
            self._open[chunk] = safe_open(self._path(chunk), "pt")
        file = self._open[chunk]
        return {name: file.get_slice(name)[row] for name in file.keys()}  # noqa: SIM118 - no mapping

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs: not the open files."""
        return {**self.__dict__, "_open": {}}

    def _path(self, chunk: int) -> Path:
        return self.folder / f"chunk_{chunk:05d}.safetensors"


def samples_fingerprint(settings: object, clips: Iterable[Path], *networks: str) -> str:
    """Names a set of samples by what a sample is, the clips with their times, and the networks' fingerprints."""
    digest = hashlib.sha256("\n".join((repr(settings), *networks)).encode())
    for clip in clips:
        digest.update(f"{clip.absolute()}:{os.stat(clip).st_mtime_ns}".encode())
    return digest.hexdigest()[:16]
