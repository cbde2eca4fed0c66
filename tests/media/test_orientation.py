"""Pictures are turned upright."""

from __future__ import annotations

import numpy as np

from musetalk.media.orientation import Orientation


def test_orientation_covers_exif() -> None:
    stored = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    upright = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.transpose(1, 0, 2),
        6: np.rot90(stored, -1),
        7: stored.transpose(1, 0, 2)[::-1, ::-1],
        8: np.rot90(stored),
    }
    for value, image in upright.items():
        assert np.array_equal(Orientation.from_exif(value).apply(stored), image)
