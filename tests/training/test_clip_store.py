from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest

from musetalk.errors import InputError, OutputError
from musetalk.face.boxes import face_box
from musetalk.face.landmarks import Face
from musetalk.training.clip_store import RegionFile, RegionWriter, region_box

HEIGHT, WIDTH = 480, 640


def smooth_frame(seed=0, height=HEIGHT, width=WIDTH):
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def face_at(x1, y1, x2, y2):
    """A face whose landmarks fill a box, and a detection that reaches higher."""
    points = np.random.default_rng(1).uniform(0.1, 0.9, (68, 2))
    points[:2] = [[0, 0], [1, 1]]
    points[29] = [0.5, 0.5]
    landmarks = points * [x2 - x1, y2 - y1] + [x1, y1]
    return Face(landmarks, (float(x1), float(y1 - 20), float(x2), float(y2)))


def write_clip(path, frames, boxes, **options):
    with RegionWriter(path, len(frames), frames[0].shape, **options) as writer:
        for frame, box in zip(frames, boxes, strict=True):
            writer.write(frame, box)
    return RegionFile(path)


def test_frames_come_back_where_they_were(tmp_path):
    frames = [smooth_frame(i) for i in range(4)]
    boxes = [(100, 50, 301, 333), None, (0, 0, 640, 480), (600, 470, 640, 480)]

    stored = write_clip(tmp_path / "a.regions", frames, boxes, max_side=1000)

    assert len(stored) == 4 and stored.frame_size == (HEIGHT, WIDTH)
    assert [stored.has(i) for i in range(4)] == [True, False, True, True]
    for i in (0, 3, 2):
        x1, y1, x2, y2 = boxes[i]
        region = stored.read(i)
        assert (region.origin, region.scale, stored.box(i)) == ((x1, y1), 1.0, boxes[i])
        assert region.image.shape == (y2 - y1, x2 - x1, 3)
        assert np.abs(region.image.astype(int) - frames[i][y1:y2, x1:x2]).mean() < 1.0
    assert [path.name for path in tmp_path.iterdir()] == ["a.regions"]


def test_a_large_region_is_scaled_and_boxes_still_map(tmp_path):
    frame = np.full((900, 1200, 3), 40, np.uint8)
    box, marked = (101, 203, 1112, 900), (350, 420, 681, 640)
    frame[marked[1] : marked[3], marked[0] : marked[2]] = 220

    region = write_clip(tmp_path / "a.regions", [frame], [box]).read(0)

    assert max(region.image.shape[:2]) == 512
    origin = np.array(region.origin * 2)
    x1, y1, x2, y2 = (np.array(marked) - origin) * region.scale
    inside = region.image[int(y1) + 2 : int(y2) - 1, int(x1) + 2 : int(x2) - 1]
    assert inside.min() > 200
    bright = region.image[..., 1].astype(float) - 40
    # The bright area is that of the mapped box, to a thousandth: no pixel is lost at the border.
    assert bright.sum() / 180 == pytest.approx((x2 - x1) * (y2 - y1), rel=2e-3)


def test_colour_is_stored_at_full_resolution(tmp_path):
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[:, ::2] = (255, 0, 0)  # with halved chroma these columns would run into each other
    frame[:, 1::2] = (0, 0, 255)
    region = write_clip(tmp_path / "a.regions", [frame], [(0, 0, 64, 64)]).read(0)
    assert np.abs(region.image.astype(int) - frame).mean() < 12


def test_region_holds_the_face_inference_cuts_and_the_margins():
    face = face_at(200, 120, 320, 260)
    x1, y1, x2, y2 = region_box(face, (HEIGHT, WIDTH, 3))
    assert (x1, x2) == (200 - 36, 320 + 36)  # 30 % of the width
    assert y1 == 100 - 48  # of the detection, which is higher than the landmarks
    assert y2 == 260 + 48
    generated = face_box(face, (HEIGHT, WIDTH))
    assert x1 <= generated[0] and y1 <= generated[1] and generated[2] <= x2 and generated[3] + 40 <= y2


def test_a_small_face_has_room_for_margins_below():
    assert region_box(face_at(200, 120, 240, 160), (HEIGHT, WIDTH))[3] == 160 + 40


def test_a_region_ends_at_the_frame():
    assert region_box(face_at(-30, -5, 700, 500), (HEIGHT, WIDTH)) == (0, 0, WIDTH, HEIGHT)
    assert region_box(face_at(700, 10, 800, 100), (HEIGHT, WIDTH)) is None
    assert region_box(Face(np.ones((68, 2)), None), (HEIGHT, WIDTH)) is None


def test_an_open_file_goes_to_another_process(tmp_path):
    stored = write_clip(tmp_path / "a.regions", [smooth_frame()], [(10, 20, 90, 120)])
    copy = pickle.loads(pickle.dumps(stored))  # noqa: S301 - what a DataLoader does
    assert np.array_equal(copy.read(0).image, stored.read(0).image)


def test_nothing_is_left_of_an_unfinished_file(tmp_path):
    with pytest.raises(ZeroDivisionError), RegionWriter(tmp_path / "a.regions", 2, (HEIGHT, WIDTH)) as writer:
        writer.write(smooth_frame(), (0, 0, 64, 64))
        raise ZeroDivisionError
    with pytest.raises(OutputError, match="1 of 2"), RegionWriter(tmp_path / "a.regions", 2, (1, 1)) as writer:
        writer.write(smooth_frame(), None)
    with pytest.raises(OutputError, match="2 of 1"), RegionWriter(tmp_path / "a.regions", 1, (1, 1)) as writer:
        writer.write(smooth_frame(), None)
        writer.write(smooth_frame(), None)
    assert not list(tmp_path.iterdir())


def test_an_old_file_stays_when_the_new_one_fails(tmp_path):
    write_clip(tmp_path / "a.regions", [smooth_frame()], [(10, 20, 90, 120)])
    before = (tmp_path / "a.regions").read_bytes()
    with pytest.raises(ZeroDivisionError), RegionWriter(tmp_path / "a.regions", 2, (HEIGHT, WIDTH)):
        raise ZeroDivisionError
    assert (tmp_path / "a.regions").read_bytes() == before


@pytest.fixture
def whole(tmp_path):
    frames = [smooth_frame(i) for i in range(3)]
    write_clip(tmp_path / "a.regions", frames, [(0, 0, 100, 80), None, (5, 5, 105, 85)])
    return tmp_path / "a.regions"


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda data: b"", "no face regions"),
        (lambda data: b"RIFF" + data[4:], "no face regions"),
        (lambda data: data[:8] + b"\x09" + data[9:], "version 9"),
        (lambda data: data[:100], "cut short"),
        (lambda data: data[:-1], "cut short"),
        (lambda data: data[:12] + b"\xff\xff\xff\xff" + data[16:], "cut short"),
        (lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:], "damaged index"),
    ],
)
def test_a_damaged_file_is_found_on_opening(whole, damage, told):
    whole.write_bytes(damage(whole.read_bytes()))
    with pytest.raises(InputError, match=rf"a\.regions.*{told}"):
        RegionFile(whole)


def test_a_damaged_frame_is_found_on_reading(whole):
    stored = RegionFile(whole)
    data = bytearray(whole.read_bytes())
    data[-20] ^= 1
    whole.write_bytes(bytes(data))
    assert stored.read(0).image.shape == (80, 100, 3)
    with pytest.raises(InputError, match="damaged at frame 2"):
        stored.read(2)
    with pytest.raises(InputError, match="no face"):
        stored.read(1)
    with pytest.raises(IndexError):
        stored.read(3)
    whole.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        stored.read(0)
    with pytest.raises(InputError, match="cannot be read"):
        RegionFile(whole)
