"""Which face of speech is seen, and how much of it: between speech and rest one fades into the other."""

from __future__ import annotations

import numpy as np


class ShownFace:
    """The face of the frame that is shown, and its share; the rest is the idle face of that frame.

    Args:
        blend_frames: Frames over which speech begins and ends; 0: at once.
    """

    def __init__(self, blend_frames: int) -> None:
        self._frames = max(blend_frames, 1)
        self._present = 0  # of that many frames
        self._slot = -1
        self._face: np.ndarray | None = None

    def speak(self, slot: int, face: np.ndarray | None) -> tuple[np.ndarray | None, float]:
        """(face, its share 0...1) of the next frame, which is one of speech.

        Args:
            slot: Its number.
            face: Its own face; None: there is none, the latest one stays.
        """
        self._present = min(self._present + 1, self._frames)
        if face is not None:
            self._keep(slot, face)
        return self._face, self._present / self._frames

    def rest(self) -> tuple[np.ndarray | None, float]:
        """(face, its share 0...1) of the next frame, in which nobody speaks."""
        self._present = max(self._present - 1, 0)
        if not self._present:
            self._face = None
        return self._face, self._present / self._frames

    def late(self, slot: int, face: np.ndarray) -> None:
        """The face of a frame that has been shown without it: newer than what is seen, it replaces that."""
        if self._present:
            self._keep(slot, face)

    def _keep(self, slot: int, face: np.ndarray) -> None:
        if self._face is None or slot >= self._slot:
            self._slot, self._face = slot, face
