"""Lips that meet: the aperture between them, and the correction that shuts it fully or keeps it from going through.

Blend shapes close the lips of the mean head about right; on another identity, or with a smile, a slit stays open or one
lip runs through the other. Here the lips are looked at column by column, from corner to corner: the lowest point of the
upper lip and the highest of the lower one. What is between them is the aperture that a camera sees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from musetalk.synthetic.head_model import HeadModel

COLUMNS = 25
SEAL = 0.03
"""Centimetres by which shut lips overlap, so that nothing shows between two columns, nor from above or below."""
UPPER_SHARE = 0.45
"""Share of a correction that the upper lip takes."""
SHUTTING_GAP = 0.10
"""Centimetres: below this wish of the curves the aperture is drawn shut, fully at 0."""
NEAR, FAR = 0.22, 1.15
"""Centimetres from the seam up to which a correction is whole, and where it has faded."""


@dataclass(frozen=True)
class Aperture:
    """The opening between the lips, column by column from the subject's right corner to the left: (COLUMNS,) cm."""

    upper: np.ndarray
    lower: np.ndarray

    @property
    def gap(self) -> np.ndarray:
        """(COLUMNS,) cm; below 0 the lips run through each other."""
        return self.upper - self.lower


class LipContact:
    """Measures and corrects the lips of a head; built once from its neutral shape."""

    def __init__(self, head: HeadModel) -> None:
        neutral, landmarks = head.neutral, head.landmark_vertices
        corners = neutral[landmarks[[60, 64]]]
        upper = neutral[landmarks[[60, 61, 62, 63, 64]]]
        lower = neutral[landmarks[[60, 67, 66, 65, 64]]]
        seam = (upper + lower) / 2
        self.columns = np.linspace(corners[0, 0], corners[1, 0], COLUMNS)
        skin = np.zeros(len(neutral), bool)
        for name in ("M_Face", "M_BackHead"):
            skin[head.materials[name]] = True
        x, y, z = neutral.T
        order = np.argsort(seam[:, 0])
        seam_y = np.interp(x, seam[order, 0], seam[order, 1])
        seam_z = np.interp(x, seam[order, 0], seam[order, 2])
        height = y - seam_y
        behind = seam_z - z
        half = (corners[1, 0] - corners[0, 0]) / 2
        middle = (corners[1, 0] + corners[0, 0]) / 2
        beside = np.maximum(np.abs(x - middle) - half, 0)
        near = skin & (np.abs(height) < FAR) & (beside < 0.5) & (behind < 2.0) & (behind > -2.5)
        fade = np.clip((FAR - np.abs(height)) / (FAR - NEAR), 0, 1)
        weight = fade * fade * (3 - 2 * fade) * np.clip(1 - beside / 0.5, 0, 1) * np.clip((2.0 - behind) / 1.2, 0, 1)
        self._moved = np.flatnonzero(near & (weight > 0))
        is_upper = height[self._moved] >= 0
        self._inner = np.clip(np.minimum(np.arange(COLUMNS), np.arange(COLUMNS)[::-1]) / 8, 0.1, 1)
        self._share = (np.where(is_upper, -UPPER_SHARE, 1 - UPPER_SHARE) * weight[self._moved]).astype(np.float32)
        self._x = x[self._moved]
        step = self.columns[1] - self.columns[0]
        lip = skin & (np.abs(height) < 0.55) & (behind < 0.9) & (behind > -2.0)
        self._sides = tuple(
            self._members(np.flatnonzero(lip & chosen), x, 0.75 * step) for chosen in (height >= 0, height < 0)
        )
        self._landmarks = (landmarks[[61, 62, 63]], landmarks[[67, 66, 65]])
        self._landmark_x = tuple(neutral[indices, 0] for indices in self._landmarks)

    def _members(self, vertices: np.ndarray, x: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Vertices of each column in a row, where each column starts, and how far beside its middle they are."""
        members: list[np.ndarray] = []
        starts, offsets = [], []
        for column in self.columns:
            found = vertices[np.abs(x[vertices] - column) <= reach]
            if not len(found):
                found = vertices[[int(np.argmin(np.abs(x[vertices] - column)))]]
            starts.append(sum(len(column_members) for column_members in members))
            members.append(found)
            offsets.append(x[found] - column)
        return np.concatenate(members), np.array(starts), np.concatenate(offsets)

    def _edge(self, vertices: np.ndarray, side: int) -> np.ndarray:
        """The lowest (side 0) or highest (1) lip point at every column's middle, (COLUMNS,)."""
        members, starts, offsets = self._sides[side]
        extreme = (np.minimum, np.maximum)[side]
        y = vertices[members, 1]
        edge = extreme.reduceat(y, starts)
        for _ in range(2):  # on a slope a column's extreme lies at its side, not in its middle
            slope = np.gradient(edge, self.columns)
            lengths = np.diff(np.append(starts, len(members)))
            edge = extreme.reduceat(y - np.repeat(slope, lengths) * offsets, starts)
        return edge

    def aperture(self, vertices: np.ndarray) -> Aperture:
        """The aperture of a shape (V, 3)."""
        return Aperture(self._edge(vertices, 0), self._edge(vertices, 1))

    def resolve(self, vertices: np.ndarray, wish: float | None = None) -> np.ndarray:
        """A new (V, 3) whose lips never run through each other and are shut where they should be.

        Args:
            wish: Centimetres of opening the curves ask for on the mean head (`mouth_channels.lip_gap`): at 0 or below
                the lips are shut from corner to corner. None: only keeps them apart.
        """
        shut = 0.0 if wish is None else float(np.clip(1 - wish / SHUTTING_GAP, 0, 1))
        shut = shut * shut * (3 - 2 * shut)
        resolved = vertices.copy()
        for _ in range(2):  # the second pass mends what the fade beside a column left
            gap = self.aperture(resolved).gap
            closing = gap - np.where(gap > 0, gap * (1 - shut), 0.0) + SEAL * (gap * (1 - shut) <= 0)
            # at the corners of an open mouth the lips fold over each other, as they should
            folded = self._inner ** (5 * np.clip(gap.max() / 0.6, 0, 1))
            closing = np.where(closing < 0, closing * folded, closing)
            if np.abs(closing).max() < 2e-3:
                break
            resolved[self._moved, 1] += self._share * np.interp(self._x, self.columns, closing).astype(np.float32)
        return resolved

    def landmarks(self, vertices: np.ndarray, landmark_vertices: np.ndarray) -> np.ndarray:
        """The 68 landmarks (68, 3): the model's own, with the inner lips on the edges of the aperture.

        Facing points of shut lips are one point.
        """
        points = vertices[landmark_vertices].copy()
        aperture = self.aperture(vertices)
        edges = (aperture.upper, aperture.lower)
        upper, lower = (np.interp(x, self.columns, edge) for x, edge in zip(self._landmark_x, edges, strict=True))
        gap = np.maximum(upper - lower, 0.0)
        middle = (upper + lower) / 2
        above, below = points[[61, 62, 63]], points[[67, 66, 65]]
        apart = np.clip(gap / 0.3, 0, 1)[:, None]
        between = (above + below) / 2
        above, below = between + (above - between) * apart, between + (below - between) * apart
        above[:, 1], below[:, 1] = middle + gap / 2, middle - gap / 2
        points[[61, 62, 63]], points[[67, 66, 65]] = above, below
        return points
