"""What was kept and dropped, and why: for the user, and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from musetalk.errors import MuseTalkError
from musetalk.training.clip_meta import FPS
from musetalk.training.preprocess.judge import REASONS, UNREADABLE
from musetalk.training.preprocess.tasks import ClipOutcome


@dataclass
class Summary:
    """What came of a run.

    Attributes:
        videos: How many videos there are.
        kept: Clips to be trained on.
        dropped: Names of clips, or of videos of which nothing was made, by reason.
        failed: Videos and clips that could not be read, by name.
        train, val: Clips in each list.
        twins: Clips that are another's twin and have no sound; they are in no list.
        reused: Windows that were finished before.
        notes: More lines for the user.
    """

    videos: int
    kept: list[ClipOutcome] = field(default_factory=list)
    dropped: dict[str, list[str]] = field(default_factory=dict)
    failed: dict[str, MuseTalkError] = field(default_factory=dict)
    train: int = 0
    val: int = 0
    twins: int = 0
    reused: int = 0
    notes: list[str] = field(default_factory=list)

    def drop(self, name: str, reason: str) -> None:
        """Count a clip or video that is not used."""
        self.dropped.setdefault(reason, []).append(name)

    def fail(self, name: str, error: MuseTalkError) -> None:
        """Count a clip or video that cannot be read."""
        self.failed[name] = error
        self.drop(name, UNREADABLE)

    @property
    def seconds(self) -> float:
        """Length of all clips that were kept."""
        return float(sum(clip.stop - clip.start for clip in self.kept) / FPS)


def summary_lines(summary: Summary) -> list[str]:
    """The report of a run."""
    lines = [
        f"{summary.videos} videos; kept {len(summary.kept)} clips, {duration(summary.seconds)}: "
        f"{summary.train} for training, {summary.val} for validation"
        + (f", {summary.twins} silent twins" if summary.twins else "")
        + (f" ({summary.reused} windows were finished before)" if summary.reused else "")
    ]
    for reason, names in _ordered(summary.dropped).items():
        lines.append(f"  dropped {len(names)}: {reason} ({shortened(names)})")
    return lines + summary.notes


def _ordered(dropped: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {reason: sorted(dropped[reason]) for reason in REASONS if reason in dropped}


def shortened(names: Sequence[str], most: int = 5) -> str:
    """The first names of many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def duration(seconds: float) -> str:
    """12.3 s, 4.5 min or 6.7 h."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def summary_json(summary: Summary) -> str:
    """The same as JSON."""
    content = {
        "videos": summary.videos,
        "kept": len(summary.kept),
        "kept_seconds": summary.seconds,
        "train": summary.train,
        "val": summary.val,
        "twins": summary.twins,
        "dropped": {reason: len(names) for reason, names in _ordered(summary.dropped).items()},
        "dropped_names": _ordered(summary.dropped),
        "failed": {name: error.what for name, error in sorted(summary.failed.items())},
        "clips_in_videos": dict(sorted(Counter(clip.name.rpartition("_clip")[0] for clip in summary.kept).items())),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
