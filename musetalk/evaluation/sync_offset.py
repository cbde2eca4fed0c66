"""By how many frames are picture and sound of a clip apart, in the eyes and ears of a SyncNet?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from musetalk.audio.mel import mel_window_start, sync_mel_slice
from musetalk.models.syncnet import SyncNet
from musetalk.models.vae import to_unit_range

MAX_SHIFT = 15
"""Published: offsets up to 15 frames are looked for."""
RUNS = 4
RUN_WINDOWS = 8
RUN_STEP = 2
_BATCH = 16


@dataclass(frozen=True, eq=False)
class SyncOffset:
    """What the curve of similarities over shifts says.

    Attributes:
        offset: Frames by which the sound is later than the picture: frame f belongs to the sound at frame f + offset.
        confidence: How far the best similarity lies above the median of all shifts; near 0: nothing was heard or seen.
        similarity: (2 · max_shift + 1,) float64 mean cosine by shift, from −max_shift up; NaN where a shift has less
            than half as many pairs as the one that has most.
    """

    offset: int
    confidence: float
    similarity: np.ndarray


def offset_curve(
    visual: np.ndarray, mel: np.ndarray, frames: Sequence[int] | None = None, max_shift: int = MAX_SHIFT
) -> SyncOffset:
    """The offset of a clip from its embeddings.

    Args:
        visual: (n, d) of length 1: embeddings of visual windows.
        mel: (m, d) of length 1: row f is the sound beside the window that begins with frame f; NaN rows do not count.
        frames: First frame of each visual window; None: 0 … n − 1.
        max_shift: Largest shift that is tried, in frames, either way.

    Raises:
        ValueError: There is not one pair.
    """
    starts = np.arange(len(visual)) if frames is None else np.asarray(frames, np.int64)
    shifts = np.arange(-max_shift, max_shift + 1)
    partners = starts[:, None] + shifts
    there = (partners >= 0) & (partners < len(mel))
    heard = mel[np.where(there, partners, 0)].astype(np.float64) if len(mel) else np.full((*there.shape, 1), np.nan)
    cosines = (visual.astype(np.float64)[:, None] * heard).sum(axis=2)
    there &= np.isfinite(cosines)
    pairs = there.sum(axis=0)
    if not pairs.any():
        raise ValueError("no visual window has a mel window within the shifts")
    similarity = np.where(there, cosines, 0).sum(axis=0) / np.maximum(pairs, 1)
    similarity[2 * pairs < pairs.max()] = np.nan
    nearest_first = np.argsort(np.abs(shifts), kind="stable")
    best = nearest_first[np.nanargmax(similarity[nearest_first])]
    confidence = similarity[best] - np.nanmedian(similarity)
    return SyncOffset(int(shifts[best]), float(confidence), similarity)


def window_starts(has_face: np.ndarray, num_frames: int, runs: int = RUNS, windows: int = RUN_WINDOWS) -> list[int]:
    """First frames of the visual windows that stand for a clip: a few runs of windows close together, spread over it.

    Windows close together share the sound around them, so that little of it has to be embedded.

    Args:
        has_face: (n,) bool; a window needs a face in every frame.
        num_frames: Frames of a window.
        runs: How many runs at most.
        windows: How many windows a run has; they begin RUN_STEP frames apart.
    """
    possible = _possible(has_face, num_frames)
    if not len(possible):
        return []
    reach = (windows - 1) * RUN_STEP
    # The first run begins with the first window, the last one ends with the last.
    begins = np.linspace(possible[0], max(possible[-1] - reach, possible[0]), runs).astype(int)
    wanted = (begins[:, None] + RUN_STEP * np.arange(windows)).ravel()
    return sorted(set(wanted.tolist()) & set(possible.tolist()))


def even_window_starts(has_face: np.ndarray, num_frames: int, most: int) -> list[int]:
    """First frames of every visual window, or of every second, third … one where there are more than `most`.

    They tell more than the few of `window_starts`, and cost more: for a verdict on one video.
    """
    possible = _possible(has_face, num_frames)
    return possible[:: max(1, -(-len(possible) // most))].tolist()


def _possible(has_face: np.ndarray, num_frames: int) -> np.ndarray:
    """First frames of the windows that have a face in every frame."""
    total = np.concatenate([[0], np.cumsum(has_face)])
    return np.flatnonzero(total[num_frames:] - total[: len(total) - num_frames] == num_frames)


@torch.inference_mode()
def clip_offset(
    network: SyncNet,
    has_face: np.ndarray,
    face_at: Callable[[int], np.ndarray],
    samples: np.ndarray,
    max_shift: int = MAX_SHIFT,
    starts: Sequence[int] | None = None,
) -> SyncOffset | None:
    """The offset of a clip of 25 fps.

    Args:
        network: In evaluation mode, on any device, float32.
        has_face: (n,) bool, for each frame of the clip.
        face_at: A frame's face as a square crop, (h, w, 3) BGR uint8, cut as in training; asked for the frames that are
            looked at only, window by window.
        samples: The sound from the first frame on, (n,) mono at 16 kHz, floating in [-1, 1] or int16.
        max_shift: See `offset_curve`.
        starts: First frames of the windows to look at, in ascending order; None: those of `window_starts`.

    Returns:
        None where the clip has no run of faces that is long enough for one window.
    """
    length = network.shapes.num_frames
    starts = window_starts(has_face, length) if starts is None else starts
    if not starts:
        return None
    device = next(network.parameters()).device
    visual = []
    for start in starts:
        faces = to_unit_range(np.stack([face_at(frame) for frame in range(start, start + length)]), device)
        visual.append(network.embed_visual(network.visual_windows(faces[None])))
    needed = {start + shift for start in starts for shift in range(-max_shift, max_shift + 1)}
    last = len(has_face) - length  # sound beyond the picture may be missing
    heard = sorted(frame for frame in needed if 0 <= frame <= last)
    mel = np.full((last + 1, visual[0].shape[1]), np.nan, np.float32)
    for at in range(0, len(heard), _BATCH):
        batch = heard[at : at + _BATCH]
        slices = [sync_mel_slice(samples, mel_window_start(frame), network.shapes.mel_length) for frame in batch]
        windows_of_sound = torch.from_numpy(np.stack(slices)[:, None]).to(device)
        mel[batch] = network.embed_mel(windows_of_sound).cpu().numpy()
    return offset_curve(torch.cat(visual).cpu().numpy(), mel, starts, max_shift)
