"""Frames of videos have the right colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from media_factory import numbered_frame, write_video

from musetalk.media.color import ColorTags
from musetalk.media.frames import open_source


def _patches(width: int, height: int) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
    colors = [(0, 0, 255), (0, 255, 0), (255, 0, 0), (128, 128, 128), (200, 180, 90), (30, 60, 200)]
    frame = np.zeros((height, width, 3), np.uint8)
    for index, color in enumerate(colors):
        frame[:, index * width // 6 : (index + 1) * width // 6] = color
    return frame, colors


@pytest.mark.parametrize(("size", "matrix"), [((320, 240), "bt601"), ((1280, 720), "bt709")])
def test_untagged_colors_are_what_players_assume(size: tuple[int, int], matrix: str, tmp_path: Path) -> None:
    frame, colors = _patches(*size)
    red, blue = (0.2126, 0.0722) if matrix == "bt709" else (0.299, 0.114)
    b, g, r = (frame[..., channel].astype(float) for channel in range(3))
    y = red * r + (1 - red - blue) * g + blue * b
    planes = (16 + y * 219 / 255, 128 + (b - y) / (1 - blue) * 112 / 255, 128 + (r - y) / (1 - red) * 112 / 255)
    path = tmp_path / "u.y4m"
    header = f"YUV4MPEG2 W{size[0]} H{size[1]} F25:1 Ip A1:1 C444\nFRAME\n".encode()
    path.write_bytes(header + b"".join(plane.round().astype(np.uint8).tobytes() for plane in planes))
    source = open_source(path)
    assert source.info.color.matrix is None
    shown = next(source.frames())
    for index, color in enumerate(colors):
        patch = shown[size[1] // 2, index * size[0] // 6 + size[0] // 12]
        assert np.abs(patch.astype(int) - color).max() <= 2


def test_tagged_colors_keep_their_tags(tmp_path: Path) -> None:
    options = {"colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709", "color_range": "tv"}
    path = write_video(tmp_path / "c.mp4", [numbered_frame(0)] * 2, options=options)
    assert open_source(path).info.color == ColorTags("bt709", "bt709", "bt709", False)
