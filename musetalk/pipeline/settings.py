"""What a user can set about geometry, rate and sound, and what of it applies to a model version."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from numbers import Rational

from musetalk.audio.windows import DEFAULT_PADDING
from musetalk.errors import UsageError
from musetalk.face.blending import Blur
from musetalk.face.boxes import SMOOTHING_RADIUS
from musetalk.models.versions import VersionSpec


@dataclass(frozen=True)
class DubSettings:
    """Settings of one dubbing, or of an avatar and its clips.

    Attributes:
        fps: Frame rate of the result, the source resampled by time; None: the source's own, 25 for images.
        bbox_shift: v1 only: pixels that the box's centre moves down; more opens the mouth further.
        extra_margin: v15 and mini: pixels that the box's lower edge moves down.
        smooth_boxes: Frames to each side that boxes are smoothed over; 0: exactly the published boxes.
        audio_padding_left: Sound before a frame that it sees, in 25 fps frames.
        audio_padding_right: Sound after a frame that it sees, in 25 fps frames.
        batch_size: Frames in one pass of the networks.
    """

    fps: Fraction | None = None
    bbox_shift: int = 0
    extra_margin: int = 10
    smooth_boxes: int = SMOOTHING_RADIUS
    audio_padding_left: int = DEFAULT_PADDING
    audio_padding_right: int = DEFAULT_PADDING
    batch_size: int = 8

    def __post_init__(self) -> None:
        """Check what types do not say.

        Raises:
            UsageError: A value out of range, or a rate that is not exact.
        """
        if self.fps is not None and not (isinstance(self.fps, Rational) and self.fps > 0):
            raise UsageError(f"fps is {self.fps!r}", "Give a Fraction above 0, such as Fraction(30000, 1001).")
        if self.batch_size < 1:
            raise UsageError(f"batch_size is {self.batch_size}", "Give 1 or more.")


@dataclass(frozen=True)
class FaceSettings:
    """How boxes and masks follow from landmarks.

    Attributes:
        bbox_shift: Pixels that the box's centre moves down (v1.0 only, else 0).
        extra_margin: Pixels that the box's lower edge moves down (v1.5; 0 for v1.0).
        smoothing: Frames to each side that boxes are smoothed over; 0: exactly the published boxes.
        blur: Which of the published mask blurs.
        fade_inside: Fade the mask out inside the box, below the chin in the extra margin; False: as published, with
            half of it left at the box's edge.
    """

    bbox_shift: int = 0
    extra_margin: int = 10
    smoothing: int = SMOOTHING_RADIUS
    blur: Blur = "offline"
    fade_inside: bool = False

    @classmethod
    def of(cls, spec: VersionSpec, settings: DubSettings, blur: Blur = "offline") -> FaceSettings:
        """What of the settings applies to a version: bbox_shift to v1, extra_margin to the others (published), and
        `blur` to those whose masks do not fade out inside the box."""
        return cls(
            bbox_shift=settings.bbox_shift if spec.shifts_box else 0,
            extra_margin=settings.extra_margin if spec.lowers_chin else 0,
            smoothing=settings.smooth_boxes,
            blur="offline" if spec.fades_inside_box else blur,
            fade_inside=spec.fades_inside_box,
        )
