"""Which clips of the lists give samples, and why the others do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from musetalk.errors import InputError
from musetalk.training.sample import SampleSettings
from musetalk.training.sampling import MIN_CLIP_LENGTHS, long_enough, sample_starts
from musetalk.training.tracks import TrackFacts, TrackStore

_NAMED = 3  # clips named for one reason


@dataclass
class Selection:
    """Clips that are used, and those that are not.

    Attributes:
        clips: Of each list, in its order.
        left_out: Clips by the reason for which they are not used.
    """

    clips: list[list[TrackFacts]]
    left_out: dict[str, list[Path]] = field(default_factory=dict)

    def drop_sounds(self, failures: Mapping[Path, str]) -> None:
        """Leave out the clips whose sound cannot be used.

        Args:
            failures: By sound file, why.
        """
        for facts in self.clips:
            for clip in [one for one in facts if one.wav in failures]:
                facts.remove(clip)
                self._leave_out(clip.meta, failures[clip.wav])

    def report(self) -> list[str]:
        """One line for each reason: how many clips, and which."""
        lines = []
        for reason, clips in sorted(self.left_out.items()):
            names = ", ".join(map(str, clips[:_NAMED])) + (", …" if len(clips) > _NAMED else "")
            lines.append(f"{len(clips)} clip{'s' if len(clips) > 1 else ''} left out: {reason} ({names})")
        return lines

    def check(self) -> None:
        """Make sure that there is something to train on.

        Raises:
            InputError: Not one clip is used.
        """
        if not any(self.clips):
            raise InputError(
                f"not one clip of the lists can be used: {'; '.join(self.report())}",
                "Check what scripts.preprocess reported, or change n_sample_frames or min_face_size.",
            )

    def _leave_out(self, clip: Path, reason: str) -> None:
        self.left_out.setdefault(reason, []).append(clip)


def select_clips(lists: Sequence[Sequence[Path]], settings: SampleSettings, tracks: TrackStore) -> Selection:
    """Look at all clips of the lists; tracks are made where they are missing.

    Raises:
        OutputError: The folder of the tracks cannot be written to.
    """
    failures = tracks.prepare(dict.fromkeys(clip for clips in lists for clip in clips))
    selection = Selection([])
    for clips in lists:
        kept = []
        for clip in clips:
            try:
                facts = tracks.facts(clip) if clip not in failures else None
                reason = failures[clip] if facts is None else _why_not(facts, settings)
            except InputError as error:
                facts, reason = None, error.what
            if facts is None or reason is not None:
                selection._leave_out(clip, reason or "")
            else:
                kept.append(facts)
        selection.clips.append(kept)
    return selection


def _why_not(facts: TrackFacts, settings: SampleSettings) -> str | None:
    length, width = settings.n_sample_frames, settings.min_width
    if not facts.isvalid:
        return f"preprocessing dropped it: {facts.dropped}" if facts.dropped else "preprocessing dropped it"
    if not long_enough(facts.frames, length):
        return f"fewer than {MIN_CLIP_LENGTHS * length} frames"
    if not len(sample_starts(facts.widths >= width, length)):
        run = f"no {length} frames in a row" if length > 1 else "no frame"
        return f"{run} with a face at least {width} pixels wide"
    if facts.regions is None or not facts.regions.is_file():
        return "no face regions"
    if len(facts.twins) < settings.least_twins:
        return f"fewer than {settings.least_twins} twins"
    if settings.true_mouths and not facts.has_mouths:
        return "no true mouths, as rendered clips have them"
    return None
