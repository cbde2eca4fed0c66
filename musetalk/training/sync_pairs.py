"""Pairs of a mouth and its sound, and of the same mouth with a wrong one, for the training of a SyncNet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from musetalk.audio.mel import mel_window_length, mel_window_start, sync_mel_slice
from musetalk.evaluation.sync_offset import MAX_SHIFT
from musetalk.schema import setting
from musetalk.training.clip_meta import FPS
from musetalk.training.config import CROP_TYPES, GEOMETRIES, ListEntry
from musetalk.training.sample import DYNAMIC_MARGIN, OpenClip, SampleSettings, crop_boxes, cut_faces, drawn_margin
from musetalk.training.sampling import sample_starts

NEAR_SHARE = 0.5
"""Share of the shifts that lie within those that offsets are looked for in; the others may lie anywhere in the clip."""


@dataclass(frozen=True)
class SyncSamplesConfig:
    """Where pairs come from; frames and size of a face are those of the SyncNet's own data section.

    Attributes:
        train_list, val_list: Lists of clips from scripts.preprocess.
        train_bs: Windows of a process in one pass.
        geometry, crop_type, cropping_jaw2edge_margin_mean, cropping_jaw2edge_margin_std, extra_margin, min_face_size:
            How faces are cut, as for stage 2.
        min_shift: Frames that a sound is shifted at least to count as a wrong one.
        features: Folder of what is prepared of the clips; null: beside the training list.
    """

    train_list: Path | list[ListEntry] = Path("dataset/HDTF/train.txt")
    val_list: Path | list[ListEntry] = Path("dataset/HDTF/val.txt")
    train_bs: int = setting(64, at_least=1)
    num_workers: int = setting(8, at_least=0)
    geometry: str = setting("inference", choices=GEOMETRIES)
    crop_type: str = setting(DYNAMIC_MARGIN, choices=CROP_TYPES)
    cropping_jaw2edge_margin_mean: float = 10.0
    cropping_jaw2edge_margin_std: float = setting(10.0, at_least=0)
    extra_margin: int = setting(10, at_least=0)
    min_face_size: int = setting(150, at_least=0)
    min_shift: int = setting(3, at_least=1)
    features: Path | None = None


def draw_pair(
    clip: OpenClip, settings: SampleSettings, rng: np.random.Generator, *, min_shift: int
) -> dict[str, np.ndarray] | None:
    """A window of a clip with its sound and with a wrong one.

    Returns:
        faces: (T, size, size, 3) uint8 BGR, consecutive frames.
        mel, shifted_mel: (80, columns) float32, from the first frame on, and from another one at least min_shift away.
        None where nothing can be cut out, or the clip is too short for such a shift.

    Raises:
        InputError: A file of the clip is damaged.
    """
    length = settings.n_sample_frames
    starts = sample_starts(clip.usable(settings), length)
    if not len(starts):
        return None
    start = int(starts[rng.integers(len(starts))])
    other = wrong_start(rng, start, clip.track.facts.frames - length + 1, min_shift)
    if other is None:
        return None
    frames = start + np.arange(length)
    boxes = crop_boxes(clip.track, frames, settings, drawn_margin(rng, settings))
    if boxes is None:
        return None
    columns = mel_window_length(length, FPS)
    mel, shifted = (sync_mel_slice(clip.samples, mel_window_start(frame, FPS), columns) for frame in (start, other))
    return {"faces": cut_faces(clip.regions, frames, boxes, settings.image_size), "mel": mel, "shifted_mel": shifted}


def wrong_start(rng: np.random.Generator, start: int, count: int, min_shift: int) -> int | None:
    """Another of `count` first frames, at least min_shift away, near by in half of the draws; None: there is none."""
    others = np.arange(count)
    others = others[np.abs(others - start) >= min_shift]
    near = others[np.abs(others - start) <= max(MAX_SHIFT, min_shift)]
    chosen = near if len(near) and rng.random() < NEAR_SHARE else others
    return int(chosen[rng.integers(len(chosen))]) if len(chosen) else None
