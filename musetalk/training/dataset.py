"""The samples of a training run: a number gives arrays, the same in whatever process and order it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from musetalk.errors import InputError
from musetalk.models.audio_encoder import AudioEncoder
from musetalk.pipeline.frame_state import ByteCache
from musetalk.training.audio_store import AudioStore, encoder_fingerprint
from musetalk.training.clip_meta import read_list
from musetalk.training.clip_store import RegionFile
from musetalk.training.order import SampleOrder
from musetalk.training.sample import OpenClip, SampleSettings, draw_sample
from musetalk.training.selection import select_clips
from musetalk.training.tracks import TrackStore

_OPEN_BYTES = 64 * 1024 * 1024  # of clips that each process keeps open
_ATTEMPTS = 100  # clips tried for one sample

Drawing = Callable[[OpenClip, SampleSettings, np.random.Generator], dict[str, np.ndarray] | None]
"""A sample of a clip, or None where what was drawn cannot be cut out; a function that a worker process can import."""


class ClipDataset(Dataset[dict[str, Any]]):
    """Samples of the clips of one or several lists.

    `dataset[number]` takes any number from 0 on: the number of the sample in the whole run. A list is gone through
    epoch by epoch, each in an order of its own; several lists are drawn from in proportion to their weights. A sample
    is a function of seed and number (and of which files are damaged), whatever the number of processes and wherever a
    run resumes.

    A sample is what `sample.draw_sample` gives, with `clip`, the index of its clip (see `name`). In the place of a clip
    with a damaged file comes another one of its list; `warnings` names it, also when another process found it.

    Args:
        lists: JSON files of each list's clips, from `select_clips`.
        weights: How often each list is drawn from, relative to the others.
        settings: What a sample is.
        tracks: Prepared for the clips.
        audio: Prepared for their sound; None: samples have no audio windows.
        left_out: What is to be told of clips that are in the lists but not used.
        draw: Makes a sample of a clip.
    """

    def __init__(
        self,
        lists: Sequence[Sequence[Path]],
        weights: Sequence[float],
        settings: SampleSettings,
        tracks: TrackStore,
        audio: AudioStore | None = None,
        left_out: Sequence[str] = (),
        draw: Drawing = draw_sample,
    ) -> None:
        self.settings, self._drawing = settings, draw
        self._tracks, self._audio = tracks, audio
        self._clips = [str(clip) for clips in lists for clip in clips]  # a third of the size of Paths
        counts = [len(clips) for clips in lists]
        self._first = np.cumsum([0, *counts])  # of each list, among all clips
        self._order = SampleOrder(counts, weights, settings.seed)
        # For each clip 0, or 1 + the attempt (see _attempt) that found it damaged. Shared with worker processes.
        self._damage = torch.zeros(len(self._clips), dtype=torch.int64).share_memory_()
        self._told = [False] * len(self._clips)
        self._left_out = list(left_out)
        self._open = ByteCache[OpenClip](_OPEN_BYTES)

    def __len__(self) -> int:
        """Number of clips."""
        return len(self._clips)

    def name(self, clip: int) -> Path:
        """The JSON of a clip."""
        return Path(self._clips[clip])

    def __getitem__(self, number: int) -> dict[str, Any]:
        """The sample of a running number.

        Raises:
            InputError: Of all clips that were tried in its place none could be read.
        """
        if number < 0:
            raise IndexError(number)
        if get_worker_info() is not None and cv2.getNumThreads() > 1:
            cv2.setNumThreads(1)  # workers are as many as the user wants cores for loading
        problem = "nothing of them could be cut out"
        for attempt in range(_ATTEMPTS):
            clip = self._choose(number, attempt)
            try:
                sample = self._draw(clip, number, attempt)
            except InputError as error:
                problem = error.what
                if not self._damage[clip]:
                    self._damage[clip] = 1 + number * _ATTEMPTS + attempt
                continue
            if sample is not None:
                return {**sample, "clip": clip}
        raise InputError(
            f"sample {number}: {_ATTEMPTS} clips were tried, the last one {self.name(clip)}: {problem}",
            "Check the disk that the clips are on, or run scripts.preprocess again.",
        )

    def fixed(self, count: int) -> list[dict[str, Any]]:
        """The first samples, for validation: always the same, of different clips where there are enough."""
        return [self[number] for number in range(count)]

    def warnings(self) -> list[str]:
        """What is to be told since the last call: clips left out, and clips found damaged, each of them once."""
        lines, self._left_out = self._left_out, []
        for clip in torch.nonzero(self._damage).flatten().tolist():
            if not self._told[clip]:
                self._told[clip] = True
                lines.append(f"clip {self.name(clip)} is skipped: {self._problem(clip)}")
        return lines

    @property
    def damaged(self) -> int:
        """Clips found damaged so far, by all processes that load for this one."""
        return int(torch.count_nonzero(self._damage))

    def _problem(self, clip: int) -> str:
        """Why a clip was found damaged, by doing again what failed."""
        number, attempt = divmod(int(self._damage[clip]) - 1, _ATTEMPTS)
        try:
            self._draw(clip, number, attempt)
        except InputError as error:
            return error.what
        return "it could not be read"

    def _choose(self, number: int, attempt: int) -> int:
        which, index = self._order.place(number)
        first, end = int(self._first[which]), int(self._first[which + 1])
        if attempt:
            index = int(np.random.default_rng([self.settings.seed, number, attempt, 1]).integers(end - first))
        return first + index

    def _draw(self, clip: int, number: int, attempt: int) -> dict[str, np.ndarray] | None:
        rng = np.random.default_rng([self.settings.seed, number, attempt])
        return self._drawing(self._opened(clip), self.settings, rng)

    def _opened(self, clip: int) -> OpenClip:
        opened = self._open.get(clip)
        if opened is None:
            opened = self._load(self.name(clip))
            self._open.put(clip, opened, opened.nbytes)
        return opened

    def _load(self, meta: Path, is_twin: bool = False) -> OpenClip:
        track = self._tracks.open(meta)
        facts = track.facts
        if facts.regions is None:
            raise InputError(f"{meta}: the clip has no face regions", "Run scripts.preprocess again.")
        regions = RegionFile(facts.regions)
        if len(regions) != facts.frames:
            raise InputError(
                f"{facts.regions}: holds {len(regions)} frames, {meta} {facts.frames}", "Run scripts.preprocess again."
            )
        if is_twin:
            return OpenClip(track, regions)
        hidden = self._audio.open(facts.wav) if self._audio is not None else None
        twins = tuple(self._load(twin, is_twin=True) for twin in facts.twins) if self.settings.use_twins else ()
        for twin in twins:
            name = twin.track.facts.meta
            if twin.track.facts.frames != facts.frames:
                raise InputError(f"{name}: not as long as {meta}, whose twin it is", "Make both clips again.")
        return OpenClip(track, regions, hidden, twins)

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs: not the open clips."""
        return {**self.__dict__, "_open": ByteCache[OpenClip](_OPEN_BYTES)}


def open_dataset(
    lists: Sequence[tuple[Path, float]],
    settings: SampleSettings,
    folder: Path,
    encoder: AudioEncoder | None,
    draw: Drawing = draw_sample,
) -> ClipDataset:
    """The dataset of lists of clips; what is missing of tracks and hidden states is computed first.

    Several processes may do this at once, but it is quicker to let one of them go first.

    Args:
        lists: Files with the clips of each list, and weights.
        settings: What a sample is.
        folder: Where tracks and hidden states are kept, for all lists; may be deleted.
        encoder: Computes hidden states; None: samples have no audio windows.
        draw: Makes a sample of a clip.

    Raises:
        InputError: A list is missing or empty, or not one clip can be used.
        OutputError: The folder cannot be written to.
    """
    tracks = TrackStore(folder / "tracks")
    selection = select_clips([read_list(path) for path, _ in lists], settings, tracks)
    selection.check()
    audio = None
    if encoder is not None:
        audio = AudioStore(folder / "sounds", encoder_fingerprint(encoder))
        selection.drop_sounds(audio.prepare([clip.wav for clips in selection.clips for clip in clips], encoder))
        selection.check()
    clips = [[clip.meta for clip in kept] for kept in selection.clips]
    return ClipDataset(clips, [weight for _, weight in lists], settings, tracks, audio, selection.report(), draw)
