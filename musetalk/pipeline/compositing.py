"""Putting new faces into their frames, with what a version does to them on the way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from musetalk.face.blending import blend
from musetalk.face.landmarks import Box
from musetalk.face.refinement import refined_face
from musetalk.face.tone import tone_of, toned
from musetalk.models.refiner import Refiner
from musetalk.pipeline.frame_state import FacePlacement, LocatedFrame
from musetalk.pipeline.generator import cut_face


@dataclass(frozen=True)
class Compositor:
    """Thread-safe. As it is without arguments it blends as published.

    Attributes:
        refiner: Gives faces the sharpness of their frames; None: they stay as they were painted.
        keep_tone: Whether a film without colours keeps its tones.
    """

    refiner: Refiner | None = None
    keep_tone: bool = False

    def compose(self, source: LocatedFrame, face: np.ndarray | None) -> np.ndarray:
        """The frame with a new face in its place; as it is where there is no face, or no place for one.

        Args:
            source: The frame.
            face: (s, s, 3) BGR uint8.

        Returns:
            (H, W, 3) BGR uint8.
        """
        frame, placement = source.frame, source.placement
        if face is None or placement is None:
            return frame
        if self.refiner is not None:
            face = self._refined(self.refiner, frame, face, placement)
        if self.keep_tone:
            tone = tone_of(_inside(frame, placement.box))
            face = face if tone is None else toned(face, tone)
        return blend(frame, face, placement.box, placement.crop_box, placement.alpha)

    def _refined(self, refiner: Refiner, frame: np.ndarray, face: np.ndarray, placement: FacePlacement) -> np.ndarray:
        own = cut_face(frame, placement.box, len(face))
        return refined_face(_inside(frame, placement.box), face, refiner(face, own, placement.visible_from))


def _inside(frame: np.ndarray, box: Box) -> np.ndarray:
    x1, y1, x2, y2 = box
    return frame[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)]
