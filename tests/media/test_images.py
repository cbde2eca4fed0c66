"""Frames of images and folders: in order, the right way up."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from media_factory import numbered_frame, read_number

from musetalk.errors import InputError
from musetalk.media.frames import open_source
from musetalk.media.images import ImageFolder


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
def test_image(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"face{suffix}"
    cv2.imwrite(str(path), numbered_frame(9))
    source = open_source(path)
    assert source.info.is_image and source.info.fps == 25 and source.info.frame_estimate == 1
    assert [read_number(frame) for frame in source.frames()] == [9]
    assert [index for index, _ in itertools.islice(source.ping_pong(), 5)] == [0] * 5
    assert open_source(path, Fraction(30)).info.fps == 30


def test_image_with_alpha_grey_and_16_bit(tmp_path: Path) -> None:
    frame = numbered_frame(3)
    cv2.imwrite(str(tmp_path / "alpha.png"), np.dstack([frame, np.zeros(frame.shape[:2], np.uint8)]))
    cv2.imwrite(str(tmp_path / "grey.png"), frame[..., 1])
    cv2.imwrite(str(tmp_path / "deep.png"), frame.astype(np.uint16) * 257)
    assert np.array_equal(next(open_source(tmp_path / "alpha.png").frames()), frame)
    assert np.array_equal(next(open_source(tmp_path / "grey.png").frames()), np.repeat(frame[..., 1:2], 3, axis=2))
    assert np.array_equal(next(open_source(tmp_path / "deep.png").frames()), frame)


def test_image_turned_by_exif(tmp_path: Path) -> None:
    from PIL import Image

    upright = numbered_frame(6)
    stored = np.rot90(upright)  # to be shown turned clockwise
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(stored[..., ::-1])).save(tmp_path / "e.png", exif=exif)
    assert np.array_equal(next(open_source(tmp_path / "e.png").frames()), upright)


def test_folder_in_numeric_order_with_gaps(tmp_path: Path) -> None:
    for number in (1, 2, 9, 10, 100):
        cv2.imwrite(str(tmp_path / f"frame{number}.png"), numbered_frame(number))
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / ".hidden.png").write_bytes(b"")
    source = ImageFolder(tmp_path, keep_bytes=1)
    assert source.info.fps == 25 and source.info.frame_estimate == 5 and not source.info.is_image
    assert [read_number(frame) for frame in source.frames()] == [1, 2, 9, 10, 100]
    walk = list(itertools.islice(source.ping_pong(), 11))
    assert [index for index, _ in walk] == [0, 1, 2, 3, 4, 4, 3, 2, 1, 0, 0]
    assert [read_number(frame) for _, frame in walk] == [1, 2, 9, 10, 100, 100, 10, 9, 2, 1, 1]


def test_folder_names_the_odd_image(tmp_path: Path) -> None:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), numbered_frame(number))
    cv2.imwrite(str(tmp_path / "3.png"), numbered_frame(3, 170, 96))
    with pytest.raises(InputError, match=r"3\.png.*170x96.*160x96"):
        open_source(tmp_path)
