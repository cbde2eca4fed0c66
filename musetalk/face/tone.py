"""Films without colours, or in one tone as old prints are: a face that is painted into one gets its tones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

SIDE = 32
"""Side in pixels at which colours are looked at: as fine as a lip, and free of grain."""
TOLERANCE = 2.5 / 255
"""By which Cr and Cb of nearly all places of a toned face may differ from what their brightness says; at twice that it
is in colours. Measured on 24 rendered heads of 1280×720 after H.264: 1.4 / 255 in two without colours, from 5.5 / 255
on in the others."""
NEARLY_ALL = 99.0  # percent
LEAST_SPREAD = 2 / 255
"""Between the quartiles of brightness: a drawing of flat colours fits any polynomial."""
DEGREE = 2  # of the polynomial from brightness to colour: shadows and lights of a print may be toned otherwise


@dataclass(frozen=True, eq=False)
class Tone:
    """How colour follows from brightness.

    Attributes:
        polynomials: (DEGREE + 1, 2) float64 coefficients, from brightness to Cr and Cb, all 0…1.
        darkest, lightest: Brightness between which that was seen.
        share: How far a picture gets these colours, above 0, at most 1: less where they fit less well, so that noise
            does not switch them on and off.
    """

    polynomials: np.ndarray
    darkest: float
    lightest: float
    share: float


def tone_of(picture: np.ndarray) -> Tone | None:
    """The tone of a picture (h, w, 3) uint8 BGR: a face with what is around it.

    None: colour says more than brightness, as in every film in colours.
    """
    if not picture.size:
        return None
    small = _ycrcb(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)).reshape(-1, 3)
    brightness, colors = small[:, 0], small[:, 1:]
    lower, upper = np.percentile(brightness, (25, 75))
    if upper - lower < LEAST_SPREAD:
        return None
    powers = _powers(brightness)
    polynomials = np.linalg.lstsq(powers, colors, rcond=None)[0]
    apart = float(np.percentile(np.abs(colors - powers @ polynomials), NEARLY_ALL))
    share = min(2 - apart / TOLERANCE, 1.0)
    return Tone(polynomials, float(brightness.min()), float(brightness.max()), share) if share > 0 else None


def toned(picture: np.ndarray, tone: Tone) -> np.ndarray:
    """A picture (h, w, 3) uint8 BGR whose colours follow from its brightness, as far as the tone's share goes."""
    colors = _ycrcb(picture)
    wanted = _powers(colors[:, :, 0].clip(tone.darkest, tone.lightest)) @ tone.polynomials
    colors[:, :, 1:] += tone.share * (wanted - colors[:, :, 1:])
    out: Any = cv2.cvtColor(colors, cv2.COLOR_YCrCb2BGR)
    return np.clip(np.rint(out * 255), 0, 255).astype(np.uint8)


def _ycrcb(picture: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_BGR2YCrCb)


def _powers(brightness: np.ndarray) -> np.ndarray:
    return np.stack([brightness.astype(np.float64) ** power for power in range(DEGREE + 1)], axis=-1)
