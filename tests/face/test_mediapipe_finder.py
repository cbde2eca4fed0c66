"""MediaPipe's mesh as a face finder, on the demonstration presenter."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from musetalk.face.boxes import face_box
from musetalk.face.landmarks import JAW, LANDMARK_COUNT, NOSE_BRIDGE, OUTER_LIPS, Face
from musetalk.face.mediapipe_finder import MESH_POINTS, MESH_TO_68, MediaPipeFinder, quiet_stderr, tiles

PRESENTER = Path(os.environ.get("MUSETALK_TEST_FACE", Path(__file__).parents[2] / "assets/demo/presenter.mp4"))
needs_presenter = pytest.mark.skipif(not PRESENTER.is_file(), reason="no assets/demo/presenter.mp4")


@pytest.fixture(scope="module")
def presenter() -> np.ndarray:
    capture = cv2.VideoCapture(str(PRESENTER))
    read, frame = capture.read()
    capture.release()
    assert read
    return frame


@pytest.fixture(scope="module")
def finder() -> Iterator[MediaPipeFinder]:
    with MediaPipeFinder() as opened:
        yield opened


@pytest.fixture(scope="module")
def face(finder: MediaPipeFinder, presenter: np.ndarray) -> Face:
    (found,) = finder.find([presenter])
    assert found is not None
    return found


def placed(
    presenter: np.ndarray, face: Face, size: tuple[int, int], centre: tuple[float, float], width: float
) -> tuple[np.ndarray, np.ndarray]:
    """A frame of `size` (width, height) with the face `width` pixels wide around `centre`; and its landmarks there."""
    points = face.landmarks
    scale = width / (points[JAW, 0].max() - points[JAW, 0].min())
    small = cv2.resize(presenter, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2 * scale
    shift = np.array(centre) - middle
    matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
    frame = cv2.warpAffine(small, matrix, size, borderMode=cv2.BORDER_CONSTANT, borderValue=(110, 120, 100))
    return frame, points * scale + shift


def test_the_map_names_each_landmark_once() -> None:
    assert len(MESH_TO_68) == len(set(MESH_TO_68)) == LANDMARK_COUNT
    assert min(MESH_TO_68) >= 0 and max(MESH_TO_68) < MESH_POINTS


@needs_presenter
def test_landmarks_lie_where_the_layout_says(face: Face) -> None:
    points = face.landmarks
    assert points.shape == (LANDMARK_COUNT, 2) and points.dtype == np.float64
    left, right = points[:, 0].min(), points[:, 0].max()
    assert left in points[:3, 0] and right in points[14:17, 0]  # the image's left comes first
    assert points[8, 1] >= points[:, 1].max() - 0.03 * (right - left)  # the chin is lowest
    assert np.all(np.diff(points[NOSE_BRIDGE, 1]) > 0) and points[33, 1] > points[30, 1]
    eyes, lips = points[36:48].mean(axis=0), points[OUTER_LIPS].mean(axis=0)
    assert points[17:27, 1].max() < eyes[1] < points[33, 1] < lips[1] < points[8, 1]
    for start, end in ((36, 39), (42, 45), (48, 54), (60, 64), (31, 35)):
        assert points[start, 0] < points[end, 0]
    for lower, upper in ((41, 37), (40, 38), (47, 43), (46, 44), (57, 51)):
        assert points[lower, 1] > points[upper, 1]
    assert points[66, 1] > points[62, 1] - 0.02 * (right - left)  # closed lips may touch


@needs_presenter
def test_the_box_ends_at_the_chin_and_is_centred_on_the_nose(face: Face, presenter: np.ndarray) -> None:
    box = face_box(face, presenter.shape)
    assert box is not None
    x1, y1, x2, y2 = box
    assert abs(y2 - face.landmarks[8, 1]) <= 0.03 * (y2 - y1) + 1
    assert abs((y1 + y2) / 2 - face.landmarks[29, 1]) <= 2 or y1 == 0
    assert 0.6 < (x2 - x1) / (y2 - y1) < 1.3


@needs_presenter
@pytest.mark.parametrize(
    ("size", "centre", "width"),
    [
        ((704, 1216), (350, 300), 60),
        ((1920, 1080), (1500, 200), 60),  # small: found in a tile
        ((1920, 1080), (960, 500), 300),
        ((1920, 1080), (1870, 500), 90),  # at the border
        ((512, 512), (256, 240), 440),  # fills the frame
    ],
)
def test_small_large_and_border_faces_are_found(
    finder: MediaPipeFinder,
    presenter: np.ndarray,
    face: Face,
    size: tuple[int, int],
    centre: tuple[float, float],
    width: float,
) -> None:
    frame, expected = placed(presenter, face, size, centre, width)
    (found,) = finder.find([frame])
    assert found is not None
    assert np.abs(found.landmarks - expected).mean() < 0.06 * width
    assert found.landmarks.min() >= 0 and (found.landmarks <= size).all()


@needs_presenter
def test_a_face_cut_by_the_border_keeps_its_box_in_the_frame(
    finder: MediaPipeFinder, presenter: np.ndarray, face: Face
) -> None:
    frame, expected = placed(presenter, face, (640, 480), (40, 240), 120)
    (found,) = finder.find([frame])
    assert found is not None
    box = face_box(found, frame.shape)
    assert box is not None and box[0] == 0
    assert abs(box[3] - expected[8, 1]) < 12 and abs(box[2] - expected[:, 0].max()) < 12


@needs_presenter
def test_each_frame_is_answered_by_itself_and_the_largest_face_wins(
    finder: MediaPipeFinder, presenter: np.ndarray, face: Face
) -> None:
    large, expected = placed(presenter, face, (640, 480), (200, 240), 160)
    small, _ = placed(presenter, face, (640, 480), (500, 240), 80)
    both = np.concatenate([large[:, :350], small[:, 350:]], axis=1)
    empty = np.full_like(both, 90)
    before = both.copy()
    answers = finder.find([both, empty, both])
    assert answers[0] is not None and answers[1] is None and answers[2] is not None
    assert np.array_equal(answers[0].landmarks, answers[2].landmarks)
    assert np.abs(answers[0].landmarks - expected).mean() < 10
    assert np.array_equal(both, before)


@needs_presenter
def test_faces_beside_the_main_one_are_counted(finder: MediaPipeFinder, presenter: np.ndarray, face: Face) -> None:
    def beside(width: float, x: float) -> np.ndarray:
        large, _ = placed(presenter, face, (1280, 480), (200, 240), 160)
        other, _ = placed(presenter, face, (1280, 480), (x, 240), width)
        return np.concatenate([large[:, :400], other[:, 400:]], axis=1)

    alone, _ = placed(presenter, face, (1280, 480), (200, 240), 160)
    tiny, _ = placed(presenter, face, (1920, 480), (200, 240), 90)  # both are looked for in tiles
    tiny = np.concatenate([tiny[:, :400], tiny[:, :400], tiny[:, 800:]], axis=1)
    frames = [alone, beside(150, 700), beside(100, 1100), beside(50, 700), tiny]
    faces = finder.find(frames)
    assert None not in faces
    assert finder.count(frames, [one for one in faces if one is not None]) == [1, 2, 2, 1, 2]
    assert finder.count([], []) == []


def test_no_face_in_noise_and_flat_frames(finder: MediaPipeFinder) -> None:
    rng = np.random.default_rng(0)
    coarse = cv2.resize(rng.integers(0, 256, (9, 16, 3), dtype=np.uint8), (1280, 720), interpolation=cv2.INTER_CUBIC)
    noise = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    assert finder.find([coarse, noise, np.zeros((40, 30, 3), np.uint8)]) == [None] * 3
    assert finder.find([]) == []


@needs_presenter
def test_one_finder_serves_several_threads_and_reopens(presenter: np.ndarray, face: Face) -> None:
    finder = MediaPipeFinder()
    answers: list[Face | None] = []
    threads = [threading.Thread(target=lambda: answers.extend(finder.find([presenter]))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    finder.close()
    answers += finder.find([presenter])
    finder.close()
    assert len(answers) == 4
    for answer in answers:
        assert answer is not None and np.array_equal(answer.landmarks, face.landmarks)


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (704, 1216), (3840, 2160), (2000, 300), (900, 900)])
def test_tiles_cover_the_frame(width: int, height: int) -> None:
    covered = np.zeros((height, width), np.uint8)
    boxes = tiles(width, height)
    for x1, y1, x2, y2 in boxes:
        assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
        covered[y1:y2, x1:x2] = 1
    assert covered.all() and len(boxes) <= 20


def test_a_small_frame_needs_no_tiles() -> None:
    assert tiles(704, 512) == []


def test_native_chatter_is_held_back_and_errors_are_not(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_stderr():
        os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n")
        os.write(2, b"W0000 00:00:1.0  77 inference_feedback_manager.cc:114] Feedback\n")
        os.write(2, b"E0000 00:00:1.0  77 graph.cc:9] it broke\n")
        os.write(2, b"a bar\r")
    assert capfd.readouterr().err == "E0000 00:00:1.0  77 graph.cc:9] it broke\na bar\r"


def test_importing_loads_no_network() -> None:
    code = "import sys, musetalk.face.mediapipe_finder; sys.exit('mediapipe' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0 and not result.stdout and not result.stderr
