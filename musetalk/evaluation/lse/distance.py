"""LSE-D, LSE-C and offset: how far a SyncNet's faces and sounds lie apart at every shift (published arithmetic)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from musetalk.evaluation.lse.mfcc import mfcc
from musetalk.evaluation.lse.network import MFCC_STEPS, WIDTH, WINDOW, LseSyncNet

FPS = 25
MAX_SHIFT = 15
STEPS_PER_FRAME = 100 // FPS
BATCH = 10
_EPS = 1e-6  # torch's pairwise_distance adds it to every difference


@dataclass(frozen=True, eq=False)
class LipSyncError:
    """The published scores of one face track.

    Attributes:
        distance: LSE-D, the least mean distance over all shifts; lower is better.
        confidence: LSE-C, the median of the mean distances minus the least; higher is better.
        offset: Frames by which the picture is later than its sound.
        by_shift: (31,) mean distance by offset, from +15 down to −15: the published order.
        windows: How many looks of 5 frames it is the mean of.
    """

    distance: float
    confidence: float
    offset: int
    by_shift: np.ndarray
    windows: int


def from_embeddings(seen: np.ndarray, heard: np.ndarray, max_shift: int = MAX_SHIFT) -> LipSyncError:
    """The scores of embeddings (n, d), row i of both beginning with frame i.

    Beyond the ends the sound's embeddings are zeros, as published.
    """
    padded = np.pad(heard.astype(np.float64), ((max_shift, max_shift), (0, 0)))
    faces = seen.astype(np.float64)
    shifts = range(2 * max_shift + 1)
    by_shift = np.array(
        [np.linalg.norm(faces - padded[shift : shift + len(faces)] + _EPS, axis=1).mean() for shift in shifts]
    )
    best = int(np.argmin(by_shift))
    least = float(by_shift[best])
    return LipSyncError(least, float(np.median(by_shift)) - least, max_shift - best, by_shift, len(faces))


class FaceEmbedder:
    """Embeds faces as they come; few of them are kept.

    Args:
        network: In evaluation mode, on any device.
        frames: How many faces have sound; more of them do not count.
    """

    def __init__(self, network: LseSyncNet, frames: int) -> None:
        self._network = network
        self._left = frames
        self._waiting: list[np.ndarray] = []  # the last faces, with which the next looks begin
        self._found: list[np.ndarray] = []

    def push(self, face: np.ndarray) -> None:
        """Take the next face, (224, 224, 3) uint8 BGR."""
        if self._left <= 0:
            return
        self._left -= 1
        self._waiting.append(face)
        # One more than the looks need: the published code leaves out the look that ends with the last frame.
        if len(self._waiting) == BATCH + WINDOW:
            self._embed()

    def finish(self) -> np.ndarray:
        """What the network made of all faces, (n, 1024) float32; n is five less than the faces with sound."""
        self._embed()
        return np.concatenate(self._found) if self._found else np.zeros((0, WIDTH), np.float32)

    @torch.inference_mode()
    def _embed(self) -> None:
        looks = len(self._waiting) - WINDOW
        if looks <= 0:
            return
        windows = np.stack([np.stack(self._waiting[first : first + WINDOW]) for first in range(looks)])
        images = torch.from_numpy(np.ascontiguousarray(windows.transpose(0, 4, 1, 2, 3), np.float32))
        self._found.append(self._network.embed_faces(images.to(_device(self._network))).cpu().numpy())
        del self._waiting[:looks]


@torch.inference_mode()
def embed_sound(network: LseSyncNet, samples: np.ndarray, count: int) -> np.ndarray:
    """What the network makes of the sound beside `count` looks, (count, 1024) float32.

    Args:
        network: In evaluation mode, on any device.
        samples: (n,) int16 mono at 16 kHz, from the first look on, at least count + 5 frames of it.
        count: How many looks, at least 1.
    """
    coefficients = torch.from_numpy(mfcc(samples).T.astype(np.float32))  # (13, m)
    found = []
    for begin in range(0, count, BATCH):
        steps = [STEPS_PER_FRAME * look for look in range(begin, min(begin + BATCH, count))]
        windows = torch.stack([coefficients[None, :, step : step + MFCC_STEPS] for step in steps])
        found.append(network.embed_sound(windows.to(_device(network))).cpu().numpy())
    return np.concatenate(found)


def _device(network: LseSyncNet) -> torch.device:
    return next(network.parameters()).device
