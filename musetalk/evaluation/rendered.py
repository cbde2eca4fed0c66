"""Rendered heads as a test: their mouths are known, and each has a twin that says something else in the same frames.

A clip's twin is dubbed with the clip's own sound. Then the clip is the truth, and the twin's mouth is what must not be
seen any more. The same numbers of the truth itself tell what landmarks and encoding allow, those of the untouched twin
what doing nothing gives.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from musetalk.errors import InputError
from musetalk.evaluation.catalogue import METRICS
from musetalk.evaluation.evidence import Entry, Evidence
from musetalk.evaluation.lip_sync import correlation
from musetalk.evaluation.values import NotMeasurable

TRUTH = ".truth.npz"
SYSTEMS = ("model", "truth", "source")
SPOKEN = ("speech", "pauses", "laughing")
QUIET = "quiet"
LEAST_MOTION = 1e-3
"""Standard deviation of a lip gap, a share of the face, below which a mouth does not move: no correlation is asked."""
_BY_NAME = {metric.name: metric for metric in METRICS}


@dataclass(frozen=True, eq=False)
class RenderedClip:
    """A clip of scripts.render_heads with its twin.

    Attributes:
        name: Of the clip.
        video: The truth: the mouth says what `sound` says.
        source: The twin: the same frames, another mouth.
        sound: The speech.
        kind: `speech`, `pauses`, `laughing` or `quiet`.
        gap, width: (n,) lip gap and width of the truth, as `lip_sync` measures them.
        source_gap, source_width: (n,) those of the twin.
    """

    name: str
    video: Path
    source: Path
    sound: Path
    kind: str
    gap: np.ndarray
    width: np.ndarray
    source_gap: np.ndarray
    source_width: np.ndarray

    def entry(self, generated: Path) -> Entry:
        """What is to be scored of a video that was made of this clip."""
        return Entry(self.name, generated, self.source, self.video, self.sound)


def find_clips(folder: Path) -> list[RenderedClip]:
    """The clips of a folder that scripts.render_heads wrote with --twins, by name.

    Raises:
        InputError: There are none, or one is damaged or has no twin.
    """
    clips = [_read(path) for path in sorted(folder.glob(f"*{TRUTH}"))]
    if not clips:
        raise InputError(f"{folder}: holds no rendered clips", "Make some: python -m scripts.render_heads --twins.")
    return clips


def _read(path: Path) -> RenderedClip:
    name = path.name.removesuffix(TRUTH)
    try:
        with np.load(path, allow_pickle=False) as data:
            curves = {key: data[key] for key in ("gap", "width", "twin_gap", "twin_width")}
            kind = str(data["kind"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: no truth of a clip with a twin ({error})", "Render it anew, with --twins.") from None
    video, source, sound = (path.with_name(name + suffix) for suffix in (".mp4", ".twin.mp4", ".wav"))
    for file in (video, source, sound):
        if not file.is_file():
            raise InputError(f"{file} is missing", "Render the clip anew: python -m scripts.render_heads.")
    return RenderedClip(
        name, video, source, sound, kind, curves["gap"], curves["width"], curves["twin_gap"], curves["twin_width"]
    )


def clip_values(clip: RenderedClip, evidence: Evidence) -> dict[str, float]:
    """The numbers of one video that was made of a clip; those that cannot be measured are left out."""
    found: dict[str, float] = {}
    curves = _lip_curves(evidence)
    if curves is not None:
        found["gap_deviation"] = float(np.nanstd(curves[0]))
    if clip.kind in SPOKEN and _moves(clip.gap):
        if curves is not None:
            found["gap_r"], found["width_r"] = map(correlation, curves, (clip.gap, clip.width))
        if curves is not None and _moves(clip.source_gap):
            own = map(correlation, curves, (clip.source_gap, clip.source_width))
            found["own_gap_r"], found["own_width_r"] = own
        _add(found, "offset", "syncnet_offset", evidence)
        _add(found, "silence_motion", "silence_motion", evidence)
    for name, metric in _PICTURES.items():
        _add(found, name, metric, evidence)
    return found


def _lip_curves(evidence: Evidence) -> tuple[np.ndarray, np.ndarray] | None:
    """Lip gap and width of each frame; None: no face is seen in the video."""
    try:
        return evidence.gaps, evidence.widths
    except NotMeasurable:
        return None


_PICTURES = {
    "mouth_psnr": "psnr_mouth_reference",
    "mouth_ssim": "ssim_mouth_reference",
    "apart_face": "apart_face",
    "seam": "seam",
    "colour_shift": "colour_shift",
    "sharpness": "mouth_sharpness",
}


def _moves(gap: np.ndarray) -> bool:
    return float(np.std(gap)) > LEAST_MOTION


def _add(found: dict[str, float], name: str, metric: str, evidence: Evidence) -> None:
    value = _BY_NAME[metric].measure(evidence)
    if not isinstance(value, NotMeasurable):
        found[name] = value


@dataclass(frozen=True, eq=False)
class ClipScores:
    """A clip's numbers by name, for each of SYSTEMS."""

    clip: RenderedClip
    values: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Row:
    """A line of the summary.

    Attributes:
        name: Key.
        title: What it is, with its unit.
        target: What the bundled model is meant to reach, in words; "" where nothing is asked.
        reached: Whether it is; None where nothing is asked or measured.
        values: The number of each of SYSTEMS; None: not measurable.
        clips: How many clips the number is made of.
    """

    name: str
    title: str
    target: str
    reached: bool | None
    values: Mapping[str, float | None]
    clips: int


@dataclass(frozen=True)
class _Line:
    """A line of the summary: how it is computed of all clips, and the least and the most that is aimed at."""

    name: str
    title: str
    compute: Callable[[Sequence[ClipScores], str], tuple[float, int] | None]
    least: float = -math.inf
    most: float = math.inf

    @property
    def target(self) -> str:
        """What is aimed at, in words."""
        if math.isfinite(self.least) and math.isfinite(self.most):
            return f"{self.least:g} … {self.most:g}"
        if math.isfinite(self.least):
            return f"≥ {self.least:g}"
        return f"≤ {self.most:g}" if math.isfinite(self.most) else ""

    def reached(self, value: float) -> bool | None:
        """Whether it is; None where nothing is aimed at."""
        return self.least <= value <= self.most if self.target else None


def _mean(name: str) -> Callable[[Sequence[ClipScores], str], tuple[float, int] | None]:
    def compute(scores: Sequence[ClipScores], system: str) -> tuple[float, int] | None:
        values = [one.values[system][name] for one in scores if name in one.values[system]]
        return (float(np.mean(values)), len(values)) if values else None

    return compute


def _in_sync(scores: Sequence[ClipScores], system: str) -> tuple[float, int] | None:
    offsets = [one.values[system]["offset"] for one in scores if "offset" in one.values[system]]
    return (float(np.mean([abs(offset) <= 1 for offset in offsets])), len(offsets)) if offsets else None


def _stillness(scores: Sequence[ClipScores], system: str) -> tuple[float, int] | None:
    found = [(one.clip.kind, one.values[system].get("gap_deviation")) for one in scores]
    quiet, loud = (
        [value for kind, value in found if kind == wanted and value is not None] for wanted in (QUIET, "speech")
    )
    if not quiet or not loud or not np.mean(loud):
        return None
    return float(np.mean(quiet) / np.mean(loud)), len(quiet)


def _gain(scores: Sequence[ClipScores], system: str) -> tuple[float, int] | None:
    """Over clips in which a mouth moves, the truth's or the source's: where both rest, they are one."""
    moving = [one for one in scores if _moves(one.clip.gap) or _moves(one.clip.source_gap)]
    own, copied = _mean("mouth_psnr")(moving, system), _mean("mouth_psnr")(moving, "source")
    return (own[0] - copied[0], own[1]) if own and copied else None


_LINES = (
    _Line("gap_r", "lip gap ~ truth, r", _mean("gap_r"), least=0.85),
    _Line("width_r", "lip width ~ truth, r", _mean("width_r"), least=0.6),
    _Line("own_gap_r", "lip gap ~ the source's own, r", _mean("own_gap_r"), -0.15, 0.15),
    _Line("own_width_r", "lip width ~ the source's own, r", _mean("own_width_r"), -0.15, 0.15),
    _Line("mouth_psnr", "PSNR of the mouth, dB", _mean("mouth_psnr"), least=26),
    _Line("mouth_gain", "the same over copying the source, dB", _gain, least=4),
    _Line("mouth_ssim", "SSIM of the mouth", _mean("mouth_ssim"), least=0.85),
    _Line("in_sync", "SyncNet's offset within one frame, share", _in_sync, least=0.95),
    _Line("stillness", "motion of the lip gap in quiet clips over that in speech", _stillness, most=0.1),
    _Line("silence_motion", "the same in the pauses of speech", _mean("silence_motion")),
    _Line("apart_face", "difference outside the lips, grey levels", _mean("apart_face"), most=3),
    _Line("seam", "gradient on the mask's edge over the source's", _mean("seam")),
    _Line("colour_shift", "colour shift inside the mask, ΔE", _mean("colour_shift")),
    _Line("sharpness", "sharpness of the mouth over the source's", _mean("sharpness")),
)


def summarize(scores: Iterable[ClipScores]) -> list[Row]:
    """Means over clips, and what was aimed at."""
    given = list(scores)
    rows = []
    for line in _LINES:
        found = {system: line.compute(given, system) for system in SYSTEMS}
        own = found["model"]
        reached = None if own is None else line.reached(own[0])
        values = {system: None if one is None else one[0] for system, one in found.items()}
        rows.append(Row(line.name, line.title, line.target, reached, values, 0 if own is None else own[1]))
    return rows


def markdown(rows: Iterable[Row]) -> str:
    """The summary as a Markdown table."""
    lines = ["| what | clips | model | aimed at | truth itself | source untouched |", "|---|---|---|---|---|---|"]
    for row in rows:
        model, truth, source = ("–" if value is None else f"{value:.3g}" for value in row.values.values())
        verdict = {True: " ✓", False: " ✗", None: ""}[row.reached]
        lines.append(f"| {row.title} | {row.clips} | {model}{verdict} | {row.target} | {truth} | {source} |")
    return "\n".join(lines)
