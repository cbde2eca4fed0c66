import cv2
import numpy as np
import pytest

from musetalk.avatar.idle import MOST_CLOSED, IdleFace, References, closed_mouths, most_alike, with_mouth
from musetalk.face.landmarks import INNER_LIPS, OUTER_LIPS, Face
from musetalk.pipeline.template import template_face

SIZE = 64
BOX = (20, 30, 84, 94)


def face_with(gap, box=BOX):
    """A face whose lips are `gap` pixels apart; None: its landmarks are not known."""
    if gap is None:
        return None
    face = template_face(box)
    landmarks = face.landmarks.copy()
    middle = landmarks[INNER_LIPS, 1].mean()
    landmarks[61:64, 1], landmarks[65:68, 1] = middle - gap / 2, middle + gap / 2
    return Face(landmarks, face.detection)


def idle_faces(*gaps):
    return [IdleFace(frame, BOX, face_with(gap)) for frame, gap in enumerate(gaps)]


def test_a_quarter_of_the_mouths_counts_as_closed():
    assert closed_mouths(idle_faces(3, 0, 2, 1, 5, 6, 7, 8)) == [1, 3]
    assert closed_mouths(idle_faces(9)) == [0]
    assert len(closed_mouths(idle_faces(*[1] * 1000))) == MOST_CLOSED


def test_faces_whose_landmarks_are_not_known_are_not_closed():
    assert closed_mouths(idle_faces(None, 3, None, None, 1, None, None, None)) == [4, 1]
    assert closed_mouths(idle_faces(None, None)) == []


def test_faces_are_laid_on_each_other_by_turning_scaling_and_moving():
    landmarks = template_face((0, 0, 60, 60)).landmarks
    turn, scale, shift = 0.3, 1.7, np.array([12.0, -5.0])
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    same = landmarks @ rotation.T * scale + shift
    other = same * (1, 0.6)
    best, matrix, apart = most_alike(landmarks, np.stack([other, same]))
    assert best == 1 and apart == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(same @ matrix[:, :2].T + matrix[:, 2], landmarks, atol=1e-9)


def test_only_the_mouth_is_taken_over():
    landmarks = template_face((0, 0, SIZE, SIZE)).landmarks
    own, other = np.full((SIZE, SIZE, 3), 100, np.uint8), np.full((SIZE, SIZE, 3), 200, np.uint8)
    mixed = with_mouth(own, landmarks, other, landmarks)
    x, y = landmarks[OUTER_LIPS].mean(axis=0).astype(int)
    assert (mixed[y, x] == 200).all()
    assert (mixed[: SIZE // 2] == 100).all() and (mixed[-4:] == 100).all() and (mixed[:, :12] == 100).all()
    assert 100 < mixed[:, x, 0].mean() < 150


def frame_with(face, grey):
    """A grey frame whose lips are of another grey: light where they are closed."""
    frame = np.full((128, 128, 3), grey, np.uint8)
    closed = np.ptp(face.landmarks[61:68, 1]) < 2
    cv2.fillConvexPoly(frame, np.rint(face.landmarks[OUTER_LIPS]).astype(np.int32), (250 if closed else 10,) * 3)
    return frame


def test_an_open_mouth_is_lent_a_closed_one():
    moved = (30, 20, 94, 84)
    faces = [IdleFace(0, BOX, face_with(9)), IdleFace(1, moved, face_with(0, moved)), IdleFace(2, BOX, None)]
    frames = [frame_with(face_with(9), 100), frame_with(face_with(0, moved), 100), np.zeros((128, 128, 3), np.uint8)]
    references = References(faces, lambda index: frames[index], SIZE)
    lent = references.of(0)
    x, y = (template_face((0, 0, SIZE, SIZE)).landmarks[OUTER_LIPS].mean(axis=0)).astype(int)
    assert lent.shape == (SIZE, SIZE, 3) and lent[y, x, 0] > 240
    assert not (lent < 95).any()  # nothing of the open mouth is left
    assert references.of(1) is None  # closed itself
    assert references.of(2) is None  # not known


def test_another_view_of_the_head_lends_nothing():
    turned = face_with(0)
    narrow = Face(turned.landmarks * (0.5, 1), turned.detection)
    faces = [IdleFace(0, BOX, face_with(9)), IdleFace(1, BOX, narrow)]
    references = References(faces, lambda index: np.zeros((128, 128, 3), np.uint8), SIZE)
    assert references.of(0) is None


def test_a_single_image_is_its_own_reference():
    assert References(idle_faces(7), lambda index: np.zeros((128, 128, 3), np.uint8), SIZE).of(0) is None
