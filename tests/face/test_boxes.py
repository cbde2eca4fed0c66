"""Face boxes: published numbers, smoothing, and the box file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from musetalk.errors import InputError, OutputError
from musetalk.face.boxes import (
    ShiftRange,
    Smoother,
    face_box,
    lower_chin,
    overlap,
    read_boxes,
    smooth_boxes,
    smooth_faces,
    write_boxes,
)
from musetalk.face.landmarks import Box, Face

GOLDEN = json.loads((Path(__file__).parents[1] / "data/golden/face_boxes.json").read_text(encoding="utf-8"))
LARGE_FRAME = (2000, 2000, 3)


def golden_face(case: dict) -> Face:
    return Face(np.array(case["landmarks68"]), tuple(case["detection"]) if case["detection"] else None)


@pytest.mark.parametrize("case", GOLDEN)
def test_box_and_shift_range_equal_the_published_ones(case: dict) -> None:
    face = golden_face(case)
    box = face_box(face, LARGE_FRAME, case["bbox_shift"])
    assert (None if box is None else list(box)) == case["box"]
    shift_range = ShiftRange()
    shift_range.add(face)
    assert shift_range.line(case["bbox_shift"]) == case["range_line"]


def test_a_box_never_leaves_the_frame() -> None:
    case = next(case for case in GOLDEN if case["box"] and case["bbox_shift"] == 0)
    x1, y1, x2, y2 = face_box(golden_face(case), LARGE_FRAME) or (0, 0, 0, 0)
    assert face_box(golden_face(case), (y2 - 20, x2 - 10, 3)) == (x1, y1, x2 - 10, y2 - 20)
    assert face_box(golden_face(case), (y1, x2, 3)) is None


def test_shift_range_averages_faces_and_counts_every_frame() -> None:
    shift_range = ShiftRange()
    assert shift_range.range() is None and shift_range.line(0) is None
    for below, above in ((10, 4), (13, 5)):
        landmarks = np.zeros((68, 2))
        landmarks[[28, 29, 30], 1] = [50 - above, 50, 50 + below]
        shift_range.add(Face(landmarks, (0, 0, 9, 9)))
        shift_range.add(None)
    assert shift_range.range() == (-11, 4)
    assert shift_range.line(3) == "Total frame:「4」 Manually adjust range : [ -11~4 ] , the current value: 3"


def test_chin_margin_stops_at_the_frame() -> None:
    assert lower_chin((1, 2, 30, 40), 10, 100) == (1, 2, 30, 50)
    assert lower_chin((1, 2, 30, 40), 10, 45) == (1, 2, 30, 45)


def test_overlap() -> None:
    assert overlap((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 2, 2), (2, 0, 4, 2)) == 0


def jittered(count: int, seed: int = 0) -> list[Box | None]:
    noise = np.random.default_rng(seed).integers(-3, 4, (count, 4))
    return [(100 + i + a, 50 + b, 200 + i + c, 180 + d) for i, (a, b, c, d) in enumerate(noise.tolist())]


def jitter_energy(boxes: list[Box | None]) -> float:
    return float((np.diff(np.array(boxes, np.float64), n=2, axis=0) ** 2).mean())


def test_smoothing_calms_jitter_and_follows_the_motion() -> None:
    boxes = jittered(60)
    smooth = list(smooth_boxes(boxes, 3))
    assert len(smooth) == 60
    assert jitter_energy(smooth) < 0.15 * jitter_energy(boxes)
    assert np.abs(np.array(smooth, float) - np.array(boxes, float)).max() <= 4


def test_a_steady_course_passes_unchanged_to_its_ends() -> None:
    course: list[Box | None] = [(10 + 2 * i, 20 + i, 110 + 2 * i, 140 + i) for i in range(12)]
    assert list(smooth_boxes(course, 3)) == course


def test_radius_zero_is_exactly_the_input() -> None:
    boxes = [*jittered(5), None, *jittered(5, 1)]
    assert list(smooth_boxes(boxes, 0)) == boxes


@pytest.mark.parametrize("radius", [1, 2, 3, 6])
def test_cuts_and_gaps_are_not_smeared(radius: int) -> None:
    left: Box = (100, 100, 200, 220)
    right: Box = (400, 90, 520, 240)
    boxes = [left] * 7 + [right] * 4 + [None] * 2 + [right] + [None] + [left] * 2
    assert list(smooth_boxes(boxes, radius)) == boxes


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7])
def test_short_streams_give_as_many_boxes_as_they_take(count: int) -> None:
    assert len(list(smooth_boxes(jittered(count), 3))) == count
    assert list(smooth_boxes([None] * count, 3)) == [None] * count


def test_look_ahead_and_memory_are_bounded() -> None:
    smoother = Smoother(3, lambda a, b: True)
    given = 0
    for taken in range(1, 1001):
        given += len(smoother.push(np.zeros(4)))
        assert given == max(0, taken - 3)
        assert len(smoother._window) <= 7
    assert len(smoother.finish()) == 3


def test_smoothed_faces_keep_fractions_and_order() -> None:
    rng = np.random.default_rng(0)
    base = rng.uniform(100, 200, (68, 2))
    faces = [Face(base + rng.normal(0, 2, base.shape), (100, 100, 200, 200)) for _ in range(40)]
    smooth = [face for face in smooth_faces([*faces, None], 3) if face is not None]
    assert len(smooth) == 40
    before = np.std([face.landmarks for face in faces[3:37]], axis=0).mean()
    assert np.std([face.landmarks for face in smooth[3:37]], axis=0).mean() < 0.5 * before
    assert smooth[7].detection == pytest.approx((100, 100, 200, 200))
    assert list(smooth_faces(faces, 0)) == faces


def test_box_file_round_trip(tmp_path: Path) -> None:
    boxes = [*jittered(2500), None, (1, 2, 3, 4)]
    path = tmp_path / "new folder" / "clip 'a' $(b).mp4.json"
    write_boxes(path, boxes)
    assert read_boxes(path) == boxes
    assert json.loads(path.read_text())["boxes"][-2:] == [None, [1, 2, 3, 4]]
    assert [item.name for item in path.parent.iterdir()] == [path.name]
    write_boxes(path, [])
    assert read_boxes(path) == []


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "boxes.json"
    write_boxes(path, [None])

    def failing() -> Iterator[Box]:
        yield (1, 2, 3, 4)
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left"):
        write_boxes(path, failing())
    assert read_boxes(path) == [None]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[1]", 'no list "boxes"'),
        ('{"boxes": 3}', 'no list "boxes"'),
        ('{"boxes": [null, [1, 2, 3]]}', "box 1 "),
        ('{"boxes": [[1, 2, 3, 4], null, [1, 2, 3.5, 4]]}', "box 2 "),
        ('{"boxes": [[5, 2, 5, 4]]}', "box 0 .* no area"),
        ('{"boxes": [[true, 2, 5, 4]]}', "box 0 "),
        ("\x80\x04\x95", "not JSON"),
    ],
)
def test_bad_box_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "boxes.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=message) as error:
        read_boxes(path)
    assert str(path) in error.value.what and "\n" not in error.value.what


def test_missing_box_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_boxes(tmp_path / "none.json")
