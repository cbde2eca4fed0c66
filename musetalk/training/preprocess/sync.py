"""The seam to a SyncNet that tells whether sound and mouth of a clip belong together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from musetalk.training.clip_meta import ClipMeta


@dataclass(frozen=True)
class SyncScore:
    """What a SyncNet says of a clip.

    Attributes:
        offset: Frames by which the sound is later than the mouth.
        confidence: How certain that is, in the network's own measure; larger is more certain.
    """

    offset: int
    confidence: float


SyncCheck = Callable[[ClipMeta], SyncScore]
"""Looks at a clip whose picture, sound and regions are written.

A SyncNet with `similarity(frames, sound)` makes one as: similarity of every window at every offset within ±15 frames,
averaged over the windows; the best offset; the best minus the median as confidence.
"""
SyncCheckFactory = Callable[[], SyncCheck]
"""Loads the network, once in each process: must be picklable, as functions of a module and partials of them are."""


def is_in_sync(score: SyncScore, max_offset: int, min_confidence: float) -> bool:
    """Whether a clip may be trained on."""
    return abs(score.offset) <= max_offset and score.confidence >= min_confidence
